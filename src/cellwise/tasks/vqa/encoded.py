"""Questions as numbers: words, mode answers and credit of a split in flat arrays, with the images they are about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwise.data.shuffled import Rows
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.credit import Credit, credit_of
from cellwise.tasks.vqa.images import Images
from cellwise.tasks.vqa.questions import (
    OUTSIDE,
    PADDING,
    UNKNOWN,
    UNSCORED,
    Batch,
    ImageKind,
    Question,
    Vocabulary,
    place_of_type,
)
from cellwise.tasks.vqa.table import QuestionTable, words_of
from cellwise.tasks.vqa.vocabulary import fit_vocabulary


@dataclass(frozen=True, eq=False)
class EncodedQuestions:
    """The questions of one split; implements `Questions`.

    Attributes:
        vocabulary: the same in every split.
        table: as they were read.
        images: what they are about.
        remarks: for the record.
        words: int32, of all questions one after the other.
        ends: int64 (questions + 1,), question k has words ends[k] to ends[k + 1].
        image_rows: int64 (questions,), the number of each question's image.
        modes: int64 (questions,), the class of the mode answer, or `OUTSIDE`.
        credit: what each answer counts.
        of_all: those of the remarks that are of all the data.
        answer_types: int64 (questions,), places in `ANSWER_TYPES`, or `UNSCORED`.
    """

    vocabulary: Vocabulary
    table: QuestionTable
    images: Images
    remarks: Sequence[str]
    words: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int64]
    image_rows: npt.NDArray[np.int64]
    modes: npt.NDArray[np.int64]
    credit: Credit
    of_all: Sequence[str]
    answer_types: npt.NDArray[np.int64]

    @property
    def image_kind(self) -> ImageKind:
        """What an image is for the network."""
        return self.images.kind

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(channels, height, width), or (regions, features)."""
        return self.images.shape

    @property
    def redistributable(self) -> bool:
        """Whether the data's owner allows questions and images to be passed on."""
        return self.images.redistributable

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: Rows) -> Batch:
        """Return a batch of these rows, in this order, padded to the longest of them."""
        starts, lengths = self.ends[rows], self.ends[rows + 1] - self.ends[rows]
        steps = np.arange(int(lengths.max(initial=0)))[:, None]
        there = steps < lengths  # (steps, batch)
        words = np.full(there.shape, PADDING, dtype=np.int64)
        words[there] = self.words[(starts + steps)[there]]
        return Batch(
            words=torch.from_numpy(words),
            lengths=torch.from_numpy(lengths),
            images=self.images.batch(self.image_rows[rows]),
            mode=torch.from_numpy(self.modes[rows]),
            credit=self.credit.dense(rows),
            rows=torch.from_numpy(np.array(rows, dtype=np.int64)),
            answer_type=torch.from_numpy(self.answer_types[rows]),
        )

    def question(self, row: int) -> Question:
        """Return one question with its answers."""
        table = self.table
        text, answers = table.texts[row], table.answers[row]
        return Question(
            id=table.ids[row],
            image=table.images[row],
            text=text,
            tokens=words_of(text),
            answers=answers,
            mode=table.modes[row],
            question_type=table.question_types[row],
            answer_type=table.answer_types[row],
        )

    def lengths(self) -> Rows:
        """Return the words of each question, int64 (questions,)."""
        return np.diff(self.ends)

    def pixels(self, row: int) -> Tensor | None:
        """Return the image of a question to look at, uint8 (height, width, 3), or None."""
        return self.images.pixels(int(self.image_rows[row]))

    def upper_bound(self) -> float | None:
        """Return the mean over questions of the best credit that an answer of the vocabulary has, 0 to 1.

        None where nobody published an answer; questions of which that is true do not count.
        """
        scored = self.answer_types != UNSCORED
        return float(self.credit.best()[scored].mean(dtype=np.float64)) if scored.any() else None

    def sha256(self) -> str:
        """Return the checksum of questions, answers and images, whatever the vocabulary."""
        return hashlib.sha256(f"{self.table.sha256()} {self.images.sha256()}".encode()).hexdigest()


def encode(
    tables: Mapping[Split, QuestionTable],
    images: Mapping[Split, Images],
    *,
    answers: int | None = None,
    answers_min_count: int = 1,
    words_min_count: int = 1,
    remarks: Sequence[str] = (),
) -> dict[Split, EncodedQuestions]:
    """Return the questions of each split as numbers.

    Args:
        tables: of each split, nothing bad left in them; each image is one of its split's images.
        images: of each split.
        answers: classes at most; None: all answers of train.
        answers_min_count: questions of train that an answer must be the mode of to be a class.
        words_min_count: times that a word must occur in train.
        remarks: of all the data, for the record.

    Raises:
        CellwiseError: train has too few answers.
    """
    vocabulary = fit_vocabulary(
        tables["train"], answers=answers, answers_min_count=answers_min_count, words_min_count=words_min_count
    )
    return {split: _encoded(vocabulary, tables[split], images[split], split, remarks) for split in get_args(Split)}


def in_vocabulary(questions: EncodedQuestions, vocabulary: Vocabulary, split: Split) -> EncodedQuestions:
    """Return questions as numbers of another vocabulary: as a network sees them that was trained on other data."""
    return _encoded(vocabulary, questions.table, questions.images, split, questions.of_all)


def _encoded(
    vocabulary: Vocabulary, table: QuestionTable, images: Images, split: Split, remarks: Sequence[str]
) -> EncodedQuestions:
    word, answer = ({text: k for k, text in enumerate(texts)} for texts in (vocabulary.words, vocabulary.answers))
    asked = [words_of(text) for text in table.texts]
    ends = np.concatenate([[0], np.cumsum([len(each) for each in asked], dtype=np.int64)]).astype(np.int64)
    words = np.fromiter((word.get(each, UNKNOWN) for each in chain.from_iterable(asked)), dtype=np.int32)
    questions = EncodedQuestions(
        vocabulary=vocabulary,
        table=table,
        images=images,
        remarks=(),
        words=words,
        ends=ends,
        image_rows=np.array([images.rows[name] for name in table.images], dtype=np.int64),
        modes=np.array([answer.get(mode, OUTSIDE) for mode in table.modes], dtype=np.int64),
        credit=credit_of(table.answers, vocabulary.answers),
        of_all=remarks,
        answer_types=np.array(
            [
                place_of_type(kind) if answers else UNSCORED
                for kind, answers in zip(table.answer_types, table.answers, strict=True)
            ],
            dtype=np.int64,
        ),
    )
    return replace(questions, remarks=(*remarks, *table.remark(split), *_counted(questions, split)))


def _counted(questions: EncodedQuestions, split: Split) -> list[str]:
    """Return what no network can know: unknown words, answers outside the vocabulary, the bound that follows."""
    found = []
    unknown = int((questions.words == UNKNOWN).sum())
    if unknown:
        asked = len(np.unique(np.searchsorted(questions.ends, np.flatnonzero(questions.words == UNKNOWN), "right")))
        found.append(f"{split}: {unknown:,} of {len(questions.words):,} words unknown, in {asked:,} questions")
    scored = questions.answer_types != UNSCORED
    outside = int((questions.modes[scored] == OUTSIDE).sum())
    bound = questions.upper_bound()
    if bound is not None and bound < 1:
        found.append(
            f"{split}: the mode answer of {outside:,} of {int(scored.sum()):,} questions is outside the vocabulary of "
            f"{len(questions.vocabulary.answers):,}; the best possible accuracy is {100 * bound:.2f} %"
        )
    return found
