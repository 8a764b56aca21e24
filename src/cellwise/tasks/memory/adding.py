"""The adding problem: remember two marked numbers among many, and answer their sum at the end.

Source: Hochreiter and Schmidhuber 1997 (doi 10.1162/neco.1997.9.8.1735), experiment 4, in the form of Arjovsky et al.
2016 (arXiv 1511.06464), section 5.2: at each step a number from U[0, 1) and a marker; one marker in the first half, one
in the second; the target is the sum of the two marked numbers.

Differences: none from Arjovsky et al. but for an odd length, whose second half is the longer one. Hochreiter and
Schmidhuber have numbers from [-1, 1], the first marker among the first ten steps, sequences of varying length and the
target 0.5 + (X1 + X2) / 4, which is half of ours on our numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cellwise.data.shuffled import Rows
from cellwise.records.schema import View
from cellwise.tasks.contract import Learned, Probed, Scores, Split
from cellwise.tasks.memory import views
from cellwise.tasks.memory.metrics import SquaredError
from cellwise.tasks.memory.problem import Batch, Problem
from cellwise.tasks.memory.settings import OBJECTIVES, MemorySettings, SequenceData

MEAN_ANSWER_MSE = 1 / 6
"""Expected squared error of always answering 1, the mean: twice the variance 1/12 of a number from U[0, 1]."""

ONE_NUMBER_MSE = 1 / 12
"""Expected squared error of adding 1/2 to one of the two numbers."""


@dataclass(frozen=True, eq=False)
class Additions:
    """The sequences of one split.

    Attributes:
        numbers: float32 (sequences, length), from [0, 1).
        first: step of the marker in the first half, int64 (sequences,), from 0 on.
        second: step of the marker in the second half, int64 (sequences,).
    """

    numbers: npt.NDArray[np.float32]
    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Rows) -> Batch:
        """Return inputs float32 (length, rows, 2), number and marker, and targets float32 (rows, 1)."""
        inputs = np.zeros((self.numbers.shape[1], len(rows), 2), dtype=np.float32)
        inputs[:, :, 0] = self.numbers[rows].T
        column = np.arange(len(rows))
        inputs[self.first[rows], column, 1] = 1
        inputs[self.second[rows], column, 1] = 1
        return torch.from_numpy(inputs), torch.from_numpy(self.sums[rows, None])

    @property
    def sums(self) -> npt.NDArray[np.float32]:
        """The targets, (sequences,)."""
        return self.marked(self.first) + self.marked(self.second)

    def marked(self, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the number of each sequence at its own step, (sequences,)."""
        return self.numbers[np.arange(len(self)), steps]

    def sha256(self) -> str:
        """Return the checksum of numbers and markers."""
        arrays = (self.numbers, self.first, self.second)
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def draw(data: SequenceData, split: Split) -> Additions:
    """Return the sequences of a split; sequence i depends on seed, split and length alone, not on how many there are.

    Args:
        data: seed, length and numbers of sequences.
        split: each has a random stream of its own, so no sequence of one is drawn again for another.
    """
    stream = np.random.SeedSequence(data.seed, spawn_key=(get_args(Split).index(split),))
    sequences, length = getattr(data, f"{split}_sequences"), data.length
    # A row is all that its sequence needs: the numbers, then the places of the two markers in their halves.
    rows = np.random.default_rng(stream).random((sequences, length + 2), dtype=np.float32)
    half = length // 2
    # In float64: in float32 the product of the greatest number below 1 with a half is rounded up to the half.
    place = rows[:, length:].astype(np.float64)
    return Additions(
        numbers=np.ascontiguousarray(rows[:, :length]),
        first=(place[:, 0] * half).astype(np.int64),
        second=half + (place[:, 1] * (length - half)).astype(np.int64),
    )


def floors(additions: Additions) -> dict[str, float]:
    """Return the mean squared error of trivial answers on given sequences.

    `mean` always answers 1. `second_number` reads the later number and takes 1/2 for the earlier one: where a network
    stands that carries nothing over from the first half.
    """
    sums = additions.sums.astype(np.float64)
    answers = {"mean": np.ones(len(sums)), "second_number": additions.marked(additions.second) + 0.5}
    return {name: float(np.square(answer - sums).mean()) for name, answer in answers.items()}


class Adding(Problem):
    """The adding problem as a task; its objective is the mean squared error of the answer after the last step."""

    objective = OBJECTIVES["adding"]

    def __init__(self, settings: MemorySettings, additions: Mapping[Split, Additions] | None = None):
        self._additions = additions or {s: draw(settings.data, s) for s in get_args(Split)}
        super().__init__(settings, self._additions, output_size=1, per_step=False)

    def learn(self, network: nn.Module, batch: Batch, state: None) -> Learned:
        """Return the mean squared error of one batch."""
        inputs, targets = batch
        answers, _ = network(inputs)
        squared: Tensor = (answers - targets).square()
        return Learned(squared.mean(), {"mse": (squared.detach().double().sum(), len(targets))}, len(targets), None)

    def probed(self) -> Probed:
        """Return the first sequences of validation; of the first one, the numbers that count."""
        batch = super().probed().batch
        number, marker = batch[0][:, 0].unbind(-1)
        words = (f"{n:.2f}" if marked else "\N{MIDDLE DOT}" for n, marked in zip(number, marker, strict=True))
        return Probed(batch, tuple(words))

    def last_loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the squared error of each answer, (sequences,)."""
        inputs, targets = batch
        answers, _ = network(inputs)
        squared: Tensor = (answers - targets).square().squeeze(-1)
        return squared

    def scores(self) -> Scores:
        """Return empty scores for one pass over a split."""
        return SquaredError()

    def floors(self) -> dict[str, float]:
        """Return the mean answer's and the second number's error on the same test sequences."""
        return floors(self._additions["test"])

    def optimum(self) -> float:
        """Return 0: the sum is certain."""
        return 0.0

    def on_other_data(self, settings: MemorySettings, split: Split) -> Adding:
        """Return this problem with a split of other sequences, longer ones for example, as its test split."""
        drawn = draw(settings.data, split)
        task = Adding(settings, {**self._additions, "test": drawn})
        task.checksums = {f"adding/{split}": drawn.sha256()}
        task.remarks = (f"{len(drawn):,} sequences of {settings.data.length} steps",)
        return task

    def views(self, network: nn.Module) -> list[View]:
        """Return where the trained network errs on the test sequences."""
        test = self._additions["test"]
        answers = self.answers(network, "test").squeeze(-1).numpy()
        sums = test.sums.astype(np.float64)
        kept_steps = self.settings.data.length - 1 - test.first
        floor = {"always the mean": MEAN_ANSWER_MSE, "second number alone": ONE_NUMBER_MSE}
        return [views.error_by_distance(answers, sums, kept_steps, floor), views.answer_by_sum(answers, sums)]
