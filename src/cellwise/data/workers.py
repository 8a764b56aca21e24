"""Items fetched ahead by processes of their own, in order and without a trace in the run's random numbers.

The processes are torch's DataLoader's. They are forked, so they need no copy of the data and are children of the run:
each ends by itself within seconds once the run is gone, however it went.
"""

from __future__ import annotations

import atexit
import ctypes
import signal
import sys
import warnings
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from cellwise.errors import CellwiseError

if TYPE_CHECKING:
    from cellwise.data.loader import Items

_SET_PARENT_DEATH_SIGNAL = 1  # linux/prctl.h
_epochs: weakref.WeakSet[Any] = weakref.WeakSet()  # whose workers may be alive

Item_co = TypeVar("Item_co", covariant=True)


def fetched(items: Items[Item_co], numbers: range, workers: int) -> Iterator[Item_co]:
    """Yield the items with these numbers; item k must depend on k alone.

    Args:
        items: what is fetched.
        numbers: which, in this order; one at least.
        workers: processes, 1 or more.

    Raises:
        CellwiseError: as the item itself raised it.
    """
    for item in _started(_Answers(items), numbers, min(workers, len(numbers))):
        if isinstance(item, CellwiseError):
            raise item
        yield item


def _started(items: Dataset[Any], numbers: range, workers: int) -> Iterator[Any]:
    loader: DataLoader[Any]
    # Processes inherit what is blocked. Ctrl-C, and some clusters' signals, reach every process of a run; it still
    # needs items to finish its step, and ends its workers itself.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*worker processes in total")  # more than cores, as asked for
            loader = DataLoader(
                items,
                batch_size=None,
                sampler=numbers,
                num_workers=workers,
                collate_fn=_as_it_is,
                worker_init_fn=_end_with_the_run,
                generator=torch.Generator(),  # DataLoader draws a seed per epoch: not from the run's own stream
                multiprocessing_context="fork",
            )
            epoch = iter(loader)
            _epochs.add(epoch)
            return epoch
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# Registered after multiprocessing's own hook, so called before it.
@atexit.register
def _end_workers() -> None:
    """End the workers of an epoch that nobody ended: multiprocessing would ask them by SIGTERM, which they block."""
    for epoch in list(_epochs):
        epoch._shutdown_workers()  # what its own __del__ calls


class _Answers(Dataset[Any], Generic[Item_co]):
    """Items, or the line that says why not: DataLoader would wrap it in a traceback."""

    def __init__(self, items: Items[Item_co]) -> None:
        self._items = items

    def __getitem__(self, k: int) -> Item_co | CellwiseError:
        try:
            return self._items[k]
        except CellwiseError as error:
            return error


def _as_it_is(item: Any) -> Any:
    return item  # DataLoader would turn arrays into tensors


def _end_with_the_run(worker: int) -> None:
    # torch's workers look for their parent every five seconds. Until then they would hold what they inherited, the
    # lock of the run's folder too.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
