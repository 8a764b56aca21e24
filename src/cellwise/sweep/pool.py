"""Executes runs on this machine, each in a process of its own, so that what ends one ends no other.

Threads are shared out: two processes with all cores each are slower than one after the other. Several launchers on
one folder share its runs: each run has a lease, a run that is another's is waited for, and one that its process left
unfinished is taken over.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Literal

from cellwise.errors import CellwiseError
from cellwise.machine import cores
from cellwise.records.finished import ended_since, finished_note, is_finished, mark_ended
from cellwise.records.lease import is_being_run
from cellwise.sweep.child import GRACE_SECONDS, Child, Status, start
from cellwise.sweep.gpus import only_gpus, visible_gpus
from cellwise.sweep.launcher import LauncherSettings
from cellwise.sweep.memory import gib, held_bytes, least_left_bytes, left_bytes
from cellwise.sweep.plan import PlannedRun
from cellwise.sweep.source import Source

_RETRIES = 1  # of a run that a signal ended: it goes on from its checkpoint; an error would come again
_LISTEN_SECONDS = 0.5
_LOOK_SECONDS = 1.0  # between two looks at memory, and at what other launchers do

_Ended = Literal["failed", "pruned"]
Watch = Callable[[PlannedRun, Mapping[str, Any]], str | None]


@dataclass(frozen=True)
class Result:
    """What became of one run; `note` is its score, why it was skipped or pruned, or its error."""

    run: PlannedRun
    status: Status
    note: str
    seconds: float = 0.0


def execute(
    source: Source,
    launcher: LauncherSettings,
    *,
    finished: Callable[[Result], None],
    moved: Callable[[float], None] = lambda done: None,
    watch: Watch = lambda run, row: None,
) -> list[Result]:
    """Run what a source gives and return one result a run, in the order in which they were taken.

    Args:
        source: of runs.
        launcher: how many at a time, how long, how much memory, and how many may fail.
        finished: told of each result as it comes.
        moved: told how many runs are done, fractions of running ones included.
        watch: told of each row that a run logs; what it returns ends the run as pruned, with that note.

    Raises:
        CellwiseError: the source's, once the running runs have ended.
        KeyboardInterrupt: after the running processes were stopped; finished runs keep their records.
    """
    pool = _Pool(source, launcher, finished, watch)
    try:
        while pool.turn():
            moved(pool.done())
        moved(pool.done())
    finally:
        pool.stop(pool.running, "failed", "interrupted")
    if pool.refused is not None:
        raise pool.refused
    return [pool.results[number] for number in sorted(pool.results)]


class _Pool:
    """The state of one call of `execute`; runs are known by the number in which they were taken."""

    def __init__(
        self, source: Source, launcher: LauncherSettings, finished: Callable[[Result], None], watch: Watch
    ) -> None:
        self._source, self._launcher, self._finished, self._watch = source, launcher, finished, watch
        self._gpus: list[str] = []
        self._places: int | None = None  # how many at a time: known with the first run
        self._began, self._looked = time.time(), time.monotonic()
        self._taken = 0
        self._elsewhere: dict[int, PlannedRun] = {}  # made by other launchers
        self._again: deque[tuple[int, PlannedRun]] = deque()  # to begin before others
        self._retried: Counter[int] = Counter()
        self._failed = 0
        self.running: dict[int, Child] = {}
        self.results: dict[int, Result] = {}
        self.refused: CellwiseError | None = None

    def turn(self) -> bool:
        """Start what there is a place for, hear what runs say, end what must end; False when all is done."""
        self._fill()
        planning = self._plan_ahead()
        if self._is_over():
            return False
        self._listen(0.0 if planning or self._again else _LISTEN_SECONDS)
        self._end_overdue()
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look_elsewhere()
            self._end_oversized()
            self._looked = time.monotonic()
        self._reap()
        return True

    def done(self) -> float:
        """How many runs are done, fractions included."""
        return len(self.results) + sum(child.share for child in self.running.values())

    def stop(self, children: Mapping[int, Child], status: _Ended, note: str) -> None:
        """End runs: asked first, so that each writes a checkpoint and closes its mirror; then killed."""
        for child in children.values():
            child.ask_to_end()
        deadline = time.monotonic() + GRACE_SECONDS
        for number, child in list(children.items()):
            child.kill(deadline - time.monotonic())
            mark_ended(child.run.folder, status, note)
            self.running.pop(number, None)

    def _is_over(self) -> bool:
        if self.running:
            return False
        return self._closing() or (self._source.exhausted() and not self._elsewhere and not self._again)

    def _closing(self) -> bool:
        """Whether nothing more is to begin."""
        return self.refused is not None or self._failed > self._launcher.failures_allowed

    def _fill(self) -> None:
        if self._closing():
            return
        while self._places is None or len(self.running) < self._places:
            number, run = self._next()
            if run is None:
                return
            if self._places is None:
                self._share_out(run)
            self._begin(number, run)
            if self._closing():
                return

    def _next(self) -> tuple[int, PlannedRun | None]:
        if self._again:
            return self._again.popleft()
        try:
            run = self._source.take()
        except CellwiseError as error:  # what runs may end well; it is told then
            self.refused = error
            return -1, None
        self._taken += run is not None
        return self._taken - 1, run

    def _plan_ahead(self) -> bool:
        if self._closing():
            return False
        try:
            return self._source.plan_ahead()
        except CellwiseError as error:
            self.refused = error
            return False

    def _share_out(self, run: PlannedRun) -> None:
        """Decide on the number of places: as many as runs like the first one have devices here, GPUs or cores."""
        if run.config["trainer"]["accelerator"] == "gpu":
            self._gpus = visible_gpus()
        here = len(self._gpus) or cores()
        self._places = self._launcher.jobs or max(1, here // run.config["trainer"]["devices"])

    def _begin(self, number: int, run: PlannedRun) -> None:
        """Start a run, unless it is finished, or another launcher's."""
        since = ended_since(run.folder, self._began)
        if is_finished(run.folder) and (since is not None or not run.config["again"]):
            note = (
                finished_note(run.folder, run.config["probe"])
                if since is None
                else "finished meanwhile, by another launcher"
            )
            self._end(number, Result(run, "skipped", note))
        elif is_being_run(run.folder):
            self._elsewhere[number] = run
        elif since is not None:
            self._end(number, Result(run, since[0], since[1]))
        else:
            self._start(number, run)

    def _start(self, number: int, run: PlannedRun) -> None:
        places = self._places or 1
        place = min(set(range(places)) - {child.place for child in self.running.values()})
        environment = only_gpus(self._gpus, place, run.config["trainer"]["devices"])
        self.running[number] = start(run, place, max(1, cores() // places), environment)

    def _listen(self, seconds: float) -> None:
        """Take what running processes say, waiting for so long at most."""
        by_pipe = {child.pipe: (number, child) for number, child in self.running.items() if not child.heard}
        sentinels = [child.process.sentinel for child in self.running.values()]
        for ready in wait([*by_pipe, *sentinels], timeout=seconds):
            if ready in by_pipe:
                self._hear(*by_pipe[ready])

    def _hear(self, number: int, child: Child) -> None:
        for row in child.listen():
            reason = self._watch(child.run, row)
            if reason is not None:
                self._end_one(number, "pruned", reason)

    def _end_overdue(self) -> None:
        minutes = self._launcher.timeout_minutes
        if minutes is None:
            return
        note = f"timed out after {60 * minutes:g} s; the same command goes on from its last checkpoint"
        for number, child in list(self.running.items()):
            if child.told is None and child.seconds > 60 * minutes:
                self._end_one(number, "failed", note)

    def _end_oversized(self) -> None:
        """End runs that hold more than they may; where the machine itself has no more, the one that holds most."""
        held = {number: held_bytes(child.process.pid or 0) for number, child in self.running.items()}
        most = (self._launcher.memory_gb or 0) * 1e9
        for number, size in held.items():
            if most and size > most:
                limit = f"launcher.memory_gb={self._launcher.memory_gb:g}"
                self._end_one(number, "failed", f"out of memory: it held {gib(size)}, more than {limit}; {_SMALLER}")
        largest = max(self.running, key=lambda number: held.get(number, 0), default=None)
        if largest is not None and (left := left_bytes()) < least_left_bytes():
            note = f"out of memory: it held {gib(held[largest])} when the machine had {gib(left)} left; {_SMALLER}"
            self._end_one(largest, "failed", note)

    def _end_one(self, number: int, status: _Ended, note: str) -> None:
        child = self.running.get(number)
        if child is not None and child.told is None:
            self.stop({number: child}, status, note)
            self._end(number, Result(child.run, status, note, child.seconds))

    def _look_elsewhere(self) -> None:
        """Take back what other launchers no longer run: to be told how it ended, or to be gone on with."""
        for number, run in list(self._elsewhere.items()):
            if not is_being_run(run.folder):
                del self._elsewhere[number]
                self._again.append((number, run))

    def _reap(self) -> None:
        gone = [(number, child) for number, child in self.running.items() if not child.process.is_alive()]
        for number, child in gone:
            self._hear(number, child)  # its last words, which lie in the pipe however long it is gone
            if self.running.pop(number, None) is None:  # they, or the end of another, have ended it already
                continue
            child.kill(0.0)
            status, note = child.told or ("failed", child.ending())
            if status == "busy":
                self._elsewhere[number] = child.run
            elif child.told is None and (child.process.exitcode or 0) < 0 and self._retried[number] < _RETRIES:
                self._retried[number] += 1
                self._again.append((number, child.run))
            else:
                if child.told is None:  # it could not write its own end
                    mark_ended(child.run.folder, "failed", note)
                self._end(number, Result(child.run, status, note, child.seconds))

    def _end(self, number: int, result: Result) -> None:
        self.results[number] = result
        self._finished(result)
        self._failed += result.status == "failed"
        if self._closing():
            self.stop(dict(self.running), "failed", "interrupted")


_SMALLER = "the same command tries it again; fewer at a time (launcher.jobs), or a smaller network or task.batch_size"
