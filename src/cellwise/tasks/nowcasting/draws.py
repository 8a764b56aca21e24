"""Random numbers of an example that depend on nothing but seed, split and the example's number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from cellwise.data.shuffled import Rows
from cellwise.tasks.contract import Split


@dataclass(frozen=True)
class Draws:
    """A random stream for each row of a split, however many rows there are and in whatever order they are asked for.

    Philox is a counter, not a chain, so the stream of row 10^9 costs what that of row 0 does.

    Attributes:
        seed: 0 or more.
        split: each has streams of its own.
    """

    seed: int
    split: Split

    def row(self, number: int) -> np.random.Generator:
        """Return a row's stream, from its beginning."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(get_args(Split).index(self.split),))
        # The upper half of the counter is the row; a stream counts in the lower one.
        counter = np.array([0, 0, number, 0], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=sequence.generate_state(2, np.uint64), counter=counter))

    def uniform(self, rows: Rows, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """Return numbers of [0, 1), the first ones of each row's stream, (rows, *shape)."""
        drawn = np.empty((len(rows), *shape))
        for found, row in zip(drawn, rows, strict=True):
            found[...] = self.row(int(row)).random(shape)
        return drawn
