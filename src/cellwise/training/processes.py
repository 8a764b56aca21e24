"""The other ranks of a run: processes that rank 0 starts, listens to, and takes with it however it ends.

Each is a new interpreter, for a fork of a process that has computed already may hang in OpenMP or CUDA. They are
children of rank 0, in its session, so whoever ends all of the run's processes ends them too. Signals they leave to
rank 0, which stops at a step of all.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch.distributed as dist

from cellwise.errors import CellwiseError
from cellwise.training.ranks import Ranks
from cellwise.training.stopping import SIGNALS

_HOST = "127.0.0.1"
_LAST_WORDS_SECONDS = 2.0  # until a rank whose connection is gone has told why, or is known to be dead

Work = Callable[..., None]


@contextmanager
def all_ranks(of: int, accelerator: str, log: Path, work: Work, *arguments: Any) -> Iterator[Ranks]:
    """Start the other ranks of a run and return rank 0 of them; without others, nothing is started.

    Args:
        of: how many ranks there are, this one included.
        accelerator: what they compute on.
        log: a file that takes what the others print.
        work: what each of the others does: a function of a module, called with its place and the arguments.
        arguments: of the work; they are pickled.

    Raises:
        CellwiseError: one of the others failed or was killed; names it and its error.
    """
    ranks = Ranks(0, of)
    if of == 1:
        yield ranks
        return
    store = dist.TCPStore(_HOST, 0, of, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    others: list[_Other] = []
    try:
        for rank in range(1, of):
            others.append(_Other(rank, of, (store.port, accelerator, log, work, arguments)))
        for other in others:
            other.wait()
        ranks.join(store, accelerator)
        yield ranks
    except CellwiseError:
        raise
    except Exception as error:  # a closed connection is how this rank learns that another ended
        told = _first_error(others)
        if told is None:
            raise
        raise CellwiseError(told) from error
    finally:
        for other in others:
            other.kill()
        if dist.is_initialized():
            dist.destroy_process_group()


class _Other:
    """One of the other ranks, as rank 0 sees it."""

    def __init__(self, rank: int, of: int, arguments: tuple[Any, ...]):
        self._name = f"rank {rank} of {of}"
        context = multiprocessing.get_context("spawn")
        self.pipe, sending = context.Pipe(duplex=False)
        # Not a daemon: those may not have workers that prepare batches.
        self._process: BaseProcess = context.Process(target=_serve, args=(rank, of, sending, *arguments))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # inherited, and stronger than any handler
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sending.close()

    def wait(self) -> None:
        """Wait until it is there; from then on it needs no longer than the others to meet them."""
        with suppress(EOFError):
            self.pipe.recv()
            return
        raise RuntimeError(f"{self._name} ended before it began")

    def error(self) -> tuple[float, str] | None:
        """Return when and how it failed; None where it did not, or only ended."""
        if not self.pipe.poll():
            return None
        with suppress(EOFError, OSError):
            seconds, text = self.pipe.recv()
            return seconds, f"{self._name}: {text}"
        self._process.join(_LAST_WORDS_SECONDS)
        code = self._process.exitcode
        if not code:
            return None
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return 0.0, f"{self._name} {how}"  # it can't have been another's end that ended it

    def kill(self) -> None:
        """End it; what it holds is of no use to anybody."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _first_error(others: list[_Other]) -> str | None:
    """Of several the first: it is why the others lost their connections."""
    wait([other.pipe for other in others], timeout=_LAST_WORDS_SECONDS)
    found = [error for other in others if (error := other.error()) is not None]
    return min(found)[1] if found else None


def _serve(
    rank: int, of: int, sending: Connection, port: int, accelerator: str, log: Path, work: Work, arguments: Any
) -> None:
    """One of the other ranks, in its own process."""
    threading.Thread(target=_end_with_rank_0, daemon=True).start()
    with open(log, "a", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sending.send("ready")
    try:
        ranks = Ranks(rank, of)
        ranks.join(dist.TCPStore(_HOST, port, of, is_master=False), accelerator)  # type: ignore[attr-defined]
        work(ranks, *arguments)
    except CellwiseError as error:
        sending.send((time.monotonic(), str(error)))
        sys.exit(1)
    except Exception as error:
        sending.send((time.monotonic(), " ".join(f"{type(error).__name__}: {error}".split())))
        raise


def _end_with_rank_0() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
