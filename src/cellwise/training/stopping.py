"""A run that is asked to stop: by SIGTERM, Ctrl-C, or SIGUSR2 (from SLURM's launcher before it takes the machine).

While it trains, the run finishes its step first, so that it can write a checkpoint; at any other moment, or asked once
more, it stops at once.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
# Two within this time are one: `timeout` and other wrappers pass on what the whole group was sent already.
_ONE_SECONDS = 0.3


class StoppedError(KeyboardInterrupt):
    """A run was stopped.

    Attributes:
        by: the signal that stopped it; None: something else raised KeyboardInterrupt.
    """

    def __init__(self, by: signal.Signals | None):
        super().__init__("interrupted" if by is None else f"interrupted by {by.name}")
        self.by = by


class Stop:
    """Whether this process was asked to stop the run that it makes; made by `stop_signals`.

    Attributes:
        by: the first signal that asked; None: none did.
        can_wait: whether the run looks here between its steps, so that the first signal need not stop it at once.
    """

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self.can_wait = False
        self._heard = 0.0
        # Who ignores one has a reason: a sweep's processes leave Ctrl-C to their launcher, SLURM's SIGTERM to SLURM.
        self._ignored = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN]

    def listen(self) -> None:
        """Take the signals, also back from who took them in between; Python lets the main thread alone do that."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN if number in self._ignored else self._hear)

    def check(self) -> None:
        """Stop here if that was asked for.

        Raises:
            StoppedError: it was.
        """
        if self.by is not None:
            raise StoppedError(self.by)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        first, since = self.by is None, time.monotonic() - self._heard
        if not first and since < _ONE_SECONDS:
            return
        self.by, self._heard = self.by or signal.Signals(number), time.monotonic()
        if not (first and self.can_wait):
            raise StoppedError(self.by)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Listen while a run is made; afterwards every signal is answered as before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop = Stop()
    try:
        stop.listen()
        yield stop
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # None: not Python's, so it can't be put back
                    signal.signal(number, handler)
