"""Made-up questions with answers that can be told by hand, so that networks are tested without any data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from cellwise.data.shuffled import Rows
from cellwise.tasks.vqa.questions import OUTSIDE, Batch, ImageKind, Question, Vocabulary

WORDS = ("<padding>", "<unknown>", "red", "blue", "is", "it", "not")
ANSWERS = ("yes", "no", "maybe")


@dataclass
class MadeUp:
    """Questions of 1 to `longest` random words on random images; the answer follows the first word and the image.

    Every fifth question's mode answer is in no vocabulary; of the second of each five, two people in three say so.
    """

    count: int = 20
    seed: int = 0
    longest: int = 6
    image_kind: ImageKind = "pixels"
    image_shape: tuple[int, ...] = (3, 16, 16)
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(WORDS, ANSWERS))
    remarks: Sequence[str] = ()
    redistributable: bool = True

    def __post_init__(self) -> None:
        draws = torch.Generator().manual_seed(self.seed)
        self.words = torch.randint(2, len(WORDS), (self.longest, self.count), generator=draws)
        self.steps = torch.randint(1, self.longest + 1, (self.count,), generator=draws)
        self.images = torch.rand(self.count, *self.image_shape, generator=draws)
        bright = self.images.flatten(1).mean(1) > self.images.mean()
        self.mode = ((self.words[0] % 2).bool() ^ bright).long()
        self.mode[::5] = OUTSIDE

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: Rows, /) -> Batch:
        at = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        lengths = self.steps[at]
        words = self.words[: int(lengths.max()), at].clone()
        words[torch.arange(len(words))[:, None] >= lengths] = 0
        credit = torch.zeros(len(at), len(ANSWERS))
        known = self.mode[at] != OUTSIDE
        credit[known, self.mode[at][known]] = 1.0
        credit[at % 5 == 1, 2] = 0.6
        kinds = torch.tensor([self.question(row).scored_as for row in at.tolist()])
        return Batch(words, lengths, self.images[at], self.mode[at], credit, at, kinds)

    def question(self, row: int) -> Question:
        tokens = tuple(WORDS[word] for word in self.words[: int(self.steps[row]), row].tolist())
        mode = "something" if self.mode[row] == OUTSIDE else ANSWERS[int(self.mode[row])]
        kind = "yes/no" if mode in ("yes", "no") else "other"
        return Question(row, f"image {row}", " ".join(tokens), tokens, (mode,), mode, tokens[0], kind)

    def lengths(self) -> Rows:
        return np.asarray(self.steps.numpy(), dtype=np.int64)

    def pixels(self, row: int) -> Tensor | None:
        return None

    def upper_bound(self) -> float | None:
        return float(self[np.arange(len(self))].credit.amax(1).double().mean())

    def sha256(self) -> str:
        return hashlib.sha256(self.images.numpy().tobytes()).hexdigest()
