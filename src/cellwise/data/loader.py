"""Items in order, with the position in the checkpoint.

Where state is carried from one window of a text to the next, order is part of the problem: nothing is
shuffled, and a run that was cut off in the middle of an epoch goes on with the very next window. Items that
are tensors already are handed out as they are; where making one takes time, `workers` do it ahead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, Self, TypeVar, runtime_checkable

from cellwise.errors import CellwiseError

Item_co = TypeVar("Item_co", covariant=True)


class Items(Protocol[Item_co]):
    """What a loader needs: a length and items by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, k: int, /) -> Item_co: ...


@runtime_checkable
class Divisible(Protocol):
    """Items that the processes of a run can share."""

    def share(self, rank: int, of: int) -> Self:
        """Return the items with a rank's part of each; all ranks' parts are the item.

        Raises:
            CellwiseError: some item can't be divided among so many.
        """
        ...


class SequentialLoader(Generic[Item_co]):
    """Yield items 0, 1, 2, ...; every epoch from the start, except the first one after `load_state_dict`.

    Lightning saves and restores a loader that has `state_dict` and `load_state_dict`. The position counts the
    items handed out, modulo the length: after an epoch's last item it is 0, or the resumed epoch would be
    empty. Cut an epoch short by fewer items, not by Lightning's ``limit_train_batches``: at the end of such
    an epoch the position is not 0.

    Attributes:
        workers: processes that fetch items ahead; 0: this one fetches each when it is asked for. No item changes, and
            what they have fetched but not handed out does not count. Set by training.
    """

    workers = 0

    def __init__(self, items: Items[Item_co]) -> None:
        self.items = items
        self._start = 0  # where the next epoch begins
        self._position = 0  # items handed out in this epoch

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item_co]:
        # A generator runs from its first item on, so an iterator that is made and dropped uses up nothing.
        start, self._start = self._start, 0
        for position, item in enumerate(self._fetched(range(start, len(self.items))), start + 1):
            self._position = position
            yield item

    def share(self, rank: int, of: int) -> None:
        """Hand out a rank's part of every item from now on.

        Raises:
            CellwiseError: the items can't be divided among so many.
        """
        if not isinstance(self.items, Divisible):
            raise CellwiseError("the batches of this task can't be shared; type trainer.devices=1")
        self.items = self.items.share(rank, of)

    def state_dict(self) -> dict[str, int]:
        """Return the position, and the length it belongs to."""
        length = len(self.items)
        return {"position": self._position % max(length, 1), "length": length}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Begin the next epoch where `state_dict` was taken.

        Raises:
            CellwiseError: the state is that of a loader of another length.
        """
        if state["length"] != len(self.items):
            raise CellwiseError(
                f"cannot resume: the checkpoint is of {state['length']} batches an epoch, the data now gives "
                f"{len(self.items)}; restore the data or start again with again=true"
            )
        self._start = self._position = state["position"]

    def _fetched(self, numbers: range) -> Iterator[Item_co]:
        if not self.workers or not numbers:
            return (self.items[k] for k in numbers)
        from cellwise.data.workers import fetched  # torch's, so only who asks for it imports it

        return fetched(self.items, numbers, self.workers)


def require_shares(batch_size: int, of: int) -> None:
    """Refuse a batch that can't be divided evenly.

    Raises:
        CellwiseError: it can't.
    """
    if batch_size % of:
        raise CellwiseError(
            f"task.batch_size={batch_size} can't be shared evenly by trainer.devices={of}; "
            f"type task.batch_size={-(-batch_size // of) * of}, or another multiple of {of}"
        )
