"""Batches of a fixed set of examples, every epoch in an order of its own, with the position in the checkpoint.

The order is a pure function of (seed, epoch): every cell of a comparison sees the same examples in the same order, and
a run that was cut off goes on with the very next batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from cellwise.data.loader import SequentialLoader, require_shares
from cellwise.errors import CellwiseError

Batch_co = TypeVar("Batch_co", covariant=True)
Rows = npt.NDArray[np.int64]


class Examples(Protocol[Batch_co]):
    """What is batched: a number of examples, and any of them as one batch."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> Batch_co: ...


class Batches(Generic[Batch_co]):
    """Examples as items of a loader: item k holds examples k B to (k + 1) B of the order; the last may be smaller."""

    def __init__(self, examples: Examples[Batch_co], batch_size: int) -> None:
        self.examples, self.batch_size = examples, batch_size
        self.order: Rows = np.arange(len(examples))
        self._rank, self._of = 0, 1

    def __len__(self) -> int:
        return -(-len(self.examples) // self.batch_size)

    def __getitem__(self, k: int) -> Batch_co:
        if not 0 <= k < len(self):
            raise IndexError(k)
        rows = self.order[k * self.batch_size : (k + 1) * self.batch_size]
        return self.examples[rows[len(rows) * self._rank // self._of : len(rows) * (self._rank + 1) // self._of]]

    def share(self, rank: int, of: int) -> Self:
        """Return the batches with a rank's examples of each.

        Raises:
            CellwiseError: a batch that can't be divided evenly, or a last one of an epoch with too few examples.
        """
        require_shares(self.batch_size, of)
        if 0 < (left := len(self.examples) % self.batch_size) < of:
            raise CellwiseError(
                f"of {len(self.examples)} examples an epoch's last batch has {left}, too few for trainer.devices={of}; "
                "give another task.batch_size or number of examples"
            )
        shared = copy(self)
        shared._rank, shared._of = rank, of
        return shared


class ShuffledLoader(SequentialLoader[Batch_co]):
    """Yield every example once an epoch; `SequentialLoader` with an order that changes from epoch to epoch.

    Args:
        examples: what is batched.
        batch_size: examples of a batch.
        seed: of the order, 0 or more.
        endless: the examples have rows beyond their length, and epoch e sees those from e times the length on: drawn
            anew, or under another augmentation.
    """

    items: Batches[Batch_co]

    def __init__(self, examples: Examples[Batch_co], batch_size: int, seed: int, *, endless: bool = False) -> None:
        super().__init__(Batches(examples, batch_size))
        self._seed, self._endless = seed, endless
        self._epoch = 0  # the one that the position is in

    def __iter__(self) -> Iterator[Batch_co]:
        # A generator, as the parent's: an iterator that is made and dropped uses up nothing. An epoch is counted when
        # the next one begins, for Lightning stops at the last batch and never asks for the end.
        self._epoch += self._ended()
        first = self._epoch * len(self.items.examples) if self._endless else 0
        self.items.order = first + self._order(self._epoch)
        yield from super().__iter__()

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, the position in it, and the length that they belong to."""
        return {**super().state_dict(), "epoch": self._epoch + self._ended()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the next epoch where `state_dict` was taken.

        Raises:
            CellwiseError: the state is that of a loader of another length.
        """
        super().load_state_dict(state)
        self._epoch = state["epoch"]

    def _order(self, epoch: int) -> Rows:
        """Return the order of an epoch, a permutation that depends on it and on the seed alone."""
        return order_of_epoch(self._seed, epoch, len(self.items.examples))

    def _ended(self) -> bool:
        """Whether the epoch's last batch was handed out."""
        return self._position == len(self.items)


def order_of_epoch(seed: int, epoch: int, examples: int) -> Rows:
    """Return a permutation, int64 (examples,), that depends on its arguments alone."""
    return np.random.default_rng([seed, epoch]).permutation(examples)
