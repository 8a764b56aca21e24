"""Executes a plan: each run in a process of its own, forked from one that has torch imported already.

So a run that raises, exits or is killed is that run's failure and nobody else's, and a run costs no import. Threads are
shared out: two processes with all cores each are slower than one after the other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from cellwise.errors import CellwiseError
from cellwise.records.finished import finished_note, is_finished, mark_failed
from cellwise.sweep.plan import PlannedRun

Status = Literal["finished", "skipped", "failed"]
_GRACE_SECONDS = 3.0  # between asking a run to end and killing it
_RETRIES = 1  # of a run that a signal ended: it goes on from its checkpoint; an error would come again


@dataclass(frozen=True)
class Result:
    """What became of one run; `note` is its score, why it was skipped, or its error."""

    run: PlannedRun
    status: Status
    note: str
    seconds: float = 0.0


@dataclass
class _Running:
    run: PlannedRun
    process: multiprocessing.process.BaseProcess
    pipe: Connection
    started: float = field(default_factory=time.monotonic)
    told: tuple[Status, str] | None = None
    heard: bool = False  # the pipe is at its end: nothing more will come


def execute(
    runs: Sequence[PlannedRun],
    *,
    jobs: int | None = None,
    timeout_seconds: float | None = None,
    finished: Callable[[Result], None],
    moved: Callable[[float], None] = lambda done: None,
) -> list[Result]:
    """Run a plan and return one result a run, in the order of the plan.

    Args:
        runs: the plan.
        jobs: runs at a time; None: one a core.
        timeout_seconds: a run that takes longer is ended and is a failure; started again, it goes on from its last
            checkpoint. None: no limit.
        finished: told of each result as it comes.
        moved: told how many runs are done, fractions of running ones included.

    Raises:
        KeyboardInterrupt: after the running processes were stopped; finished runs keep their records.
    """
    cores = os.cpu_count() or 1
    jobs = max(1, min(jobs or cores, len(runs)))
    threads = max(1, cores // jobs)
    results: dict[int, Result] = {}
    shares: dict[int, float] = {}
    retried: Counter[int] = Counter()
    waiting = iter(enumerate(runs))
    running: dict[int, _Running] = {}
    try:
        while True:
            for number, run in _fill(waiting, jobs - len(running)):
                skipped = _skip(run)
                if skipped is not None:
                    results[number] = skipped
                    finished(skipped)
                else:
                    running[number] = _start(run, threads)
            moved(len(results) + sum(shares.get(number, 0.0) for number in running))
            if not running:
                if len(results) == len(runs):
                    return [results[number] for number in range(len(runs))]
                continue
            _listen(running, shares)
            _end_overdue(running.values(), timeout_seconds)
            for number, one, result in _reap(running):
                if one.told is None and (one.process.exitcode or 0) < 0 and retried[number] < _RETRIES:
                    retried[number] += 1
                    running[number] = _start(one.run, threads)
                    continue
                results[number] = result
                finished(result)
    finally:
        _stop(running.values())


def _end_overdue(running: Collection[_Running], timeout_seconds: float | None) -> None:
    overdue = [
        one
        for one in running
        if timeout_seconds is not None and one.told is None and time.monotonic() - one.started > timeout_seconds
    ]
    if overdue:
        note = f"timed out after {timeout_seconds:g} s; the same command goes on from its last checkpoint"
        _stop(overdue, note)
        for one in overdue:
            one.told, one.heard = ("failed", note), True


def _stop(running: Collection[_Running], note: str = "interrupted") -> None:
    """End processes: asked first, so that a mirror can close; then killed, for Lightning answers between steps only."""
    for one in running:
        one.process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for one in running:
        one.process.join(timeout=max(0.0, deadline - time.monotonic()))
        one.process.kill()
        one.process.join()
        mark_failed(one.run.folder, note)


def _fill(waiting: Iterator[tuple[int, PlannedRun]], places: int) -> Iterator[tuple[int, PlannedRun]]:
    for _ in range(places):
        try:
            yield next(waiting)
        except StopIteration:
            return


def _skip(run: PlannedRun) -> Result | None:
    if is_finished(run.folder) and not run.config["again"]:
        return Result(run, "skipped", finished_note(run.folder))
    return None


def _start(run: PlannedRun, threads: int) -> _Running:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cellwise.training.train"])
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(run.config, threads, sys.argv, sending), daemon=True)
    process.start()
    sending.close()
    return _Running(run, process, receiving)


def _child(config: Mapping[str, Any], threads: int, argv: list[str], sending: Connection) -> None:
    """One run, in its own process; tells the parent how far it is and how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its children
    sys.argv = argv  # the record's command is what the user typed
    from cellwise.training.train import train  # imported already in the fork server

    def progress(share: float, line: str) -> None:
        try:
            sending.send(("progress", share))
        except OSError:  # nobody listens: the launcher was killed, and a run of nobody's ends like an interrupted one
            raise KeyboardInterrupt from None

    try:
        outcome = train(config, progress=progress, own_process=True, threads=threads)
        sending.send(("skipped" if outcome.skipped else "finished", outcome.note))
    except KeyboardInterrupt:
        sys.exit(1)
    except CellwiseError as error:
        sending.send(("failed", str(error)))
    except Exception as error:
        sending.send(("failed", " ".join(f"{type(error).__name__}: {error}".split())))
        raise


def _listen(running: Mapping[int, _Running], shares: dict[int, float]) -> None:
    """Take what running processes say, for at most half a second."""
    numbers = {one.pipe: number for number, one in running.items() if not one.heard}
    for ready in wait([*numbers, *(one.process.sentinel for one in running.values())], timeout=0.5):
        if not isinstance(ready, Connection):
            continue
        one = running[numbers[ready]]
        try:
            kind, value = ready.recv()
        except EOFError:
            one.heard = True
            one.process.join()  # its end of the pipe is closed: it is gone or going
            continue
        if kind == "progress":
            shares[numbers[ready]] = value
        else:
            one.told = (kind, value)


def _reap(running: dict[int, _Running]) -> Iterator[tuple[int, _Running, Result]]:
    for number, one in list(running.items()):
        if one.process.is_alive() or not one.heard:
            continue
        one.pipe.close()
        del running[number]
        status, note = one.told or ("failed", _ending(one.process.exitcode))
        if one.told is None:  # it could not write its own end
            mark_failed(one.run.folder, note)
        yield number, one, Result(one.run, status, note, time.monotonic() - one.started)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    return f"its process ended with exit code {code} before the run was finished"
