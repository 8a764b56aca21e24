"""What data of questions give to everything else: questions by row, batches of them, the vocabulary of answers.

A question has one true answer, or those of several people (VQA: ten). How much an answer counts for a question, its
credit, is known before training for every answer that a network can give; everything else is its cross product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from cellwise.data.shuffled import Rows

PADDING = 0
"""The word that stands behind a question's last one."""

UNKNOWN = 1
"""The word in place of one that the train split's questions do not have."""

OUTSIDE = -1
"""The class of a mode answer that is not in the vocabulary: no network can be right, and the loss leaves it out."""

UNSCORED = -1
"""The answer type of a question whose answers nobody published: no score counts it."""

ANSWER_TYPES = ("yes/no", "number", "other")
"""What kinds of answers VQA tells apart; scores are given for each. What data call otherwise counts as the last."""

ImageKind = Literal["pixels", "regions"]


@dataclass(frozen=True)
class Question:
    """One question about an image.

    Attributes:
        id: of the data set; unique within a split.
        image: what the image is called there.
        text: as asked.
        tokens: its words, lower case, at least one.
        answers: of all people, as they gave them; one where the answer is known for certain; none in a split whose
            answers nobody published.
        mode: the most frequent answer, or what the data set says that it is (`multiple_choice_answer`).
        question_type: `is the`, `relational`, ...; a floor answers by it.
        answer_type: one of `ANSWER_TYPES`, or another name that the data have.
    """

    id: int | str
    image: str
    text: str
    tokens: tuple[str, ...]
    answers: tuple[str, ...]
    mode: str
    question_type: str
    answer_type: str

    @property
    def scored_as(self) -> int:
        """The place of its answer type in `ANSWER_TYPES`; `UNSCORED` where nobody published an answer."""
        return place_of_type(self.answer_type) if self.answers else UNSCORED


def place_of_type(answer_type: str) -> int:
    """Return the place of an answer type in `ANSWER_TYPES`."""
    return ANSWER_TYPES.index(answer_type if answer_type in ANSWER_TYPES else ANSWER_TYPES[-1])


class Batch(NamedTuple):
    """Questions side by side, time first.

    Attributes:
        words: int64 (steps, batch); `PADDING` behind each question's end.
        lengths: int64 (batch,), at least 1.
        images: float32 (batch, channels, height, width) in [0, 1], or (batch, regions, features), as
            `Questions.image_kind` says.
        mode: int64 (batch,), the class of the mode answer, or `OUTSIDE`.
        credit: float32 (batch, answers), how much each answer of the vocabulary counts, 0 to 1.
        rows: int64 (batch,), of the split.
        answer_type: int64 (batch,), its place in `ANSWER_TYPES`, or `UNSCORED`.
    """

    words: Tensor
    lengths: Tensor
    images: Tensor
    mode: Tensor
    credit: Tensor
    rows: Tensor
    answer_type: Tensor


@dataclass(frozen=True)
class Vocabulary:
    """Words and answers, from the train split alone.

    Attributes:
        words: number k is word k; the first two are `PADDING`'s and `UNKNOWN`'s names.
        answers: number k is class k.
    """

    words: tuple[str, ...]
    answers: tuple[str, ...]


class Questions(Protocol):
    """The questions of one split, with the vocabulary of all."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The same in every split."""
        ...

    @property
    def image_kind(self) -> ImageKind:
        """What an image is for the network."""
        ...

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(channels, height, width), or (regions, features)."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What whoever reads the scores must know, a line each: what was skipped, unknown words, the upper bound."""
        ...

    @property
    def redistributable(self) -> bool:
        """Whether the data's owner allows questions and images to be passed on; a view of them says so."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> Batch:
        """Return a batch of these rows, in this order, padded to the longest of them."""
        ...

    def question(self, row: int) -> Question:
        """Return one question with its answers."""
        ...

    def lengths(self) -> Rows:
        """Return the words of each question, int64 (questions,)."""
        ...

    def pixels(self, row: int) -> Tensor | None:
        """Return the image of a question to look at, uint8 (height, width, 3).

        None where there are features alone.
        """
        ...

    def upper_bound(self) -> float | None:
        """Return the mean over questions of the best credit that an answer of the vocabulary has, 0 to 1.

        None where nobody published an answer; questions of which that is true do not count.
        """
        ...

    def sha256(self) -> str:
        """Return the checksum of questions, answers and images, whatever the vocabulary."""
        ...
