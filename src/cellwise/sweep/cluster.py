"""Executes runs on a SLURM cluster: submits what is neither finished nor submitted yet, and tells of each as it ends.

What becomes of a run is read from its record, and whether it is still to come from SLURM's queue. So this process may
be killed: the jobs go on, and the same command finds them in the queue and waits for them, submitting none twice.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cellwise.errors import CellwiseError
from cellwise.records.finished import ended_since, finished_note, is_finished, mark_ended
from cellwise.records.lease import is_being_run
from cellwise.records.plain import read_json
from cellwise.records.schema import RunInfo, Summary
from cellwise.records.store import read_metrics
from cellwise.sweep.launcher import SlurmSettings
from cellwise.sweep.plan import PlannedRun
from cellwise.sweep.pool import Result, Watch
from cellwise.sweep.slurm import Job, Queue, name_of, require_slurm
from cellwise.sweep.source import PlanSource, Source

# Between two looks: short at first and after each end, long when nothing happens, for a controller serves many.
_LOOK_SECONDS = (1.0, 20.0)
_SLOWER = 1.3


def execute(
    source: Source,
    launcher: SlurmSettings,
    *,
    finished: Callable[[Result], None],
    moved: Callable[[float], None] = lambda done: None,
    watch: Watch = lambda run, row: None,
) -> list[Result]:
    """Run what a source gives as jobs of a cluster; arguments and result are those of `pool.execute`.

    With `launcher.wait=false` there is no result for a run that is submitted.

    Raises:
        CellwiseError: no SLURM here, or it refuses the runs.
        KeyboardInterrupt: the jobs go on.
    """
    require_slurm()
    if not launcher.wait and not isinstance(source, PlanSource):
        raise CellwiseError("launcher.wait=false is for a plan; a search needs to know what came out; drop it")
    cluster = _Cluster(source, launcher, finished, watch)
    pause = _LOOK_SECONDS[0]
    try:
        while True:
            cluster.take()
            moved(cluster.done())
            if cluster.is_over() or not launcher.wait:
                return [cluster.results[number] for number in sorted(cluster.results)]
            time.sleep(pause)
            pause = _LOOK_SECONDS[0] if cluster.look() else min(_SLOWER * pause, _LOOK_SECONDS[1])
    except KeyboardInterrupt:
        print(f"the jobs go on; `scancel --name={cluster.name}` ends them", file=sys.stderr)
        raise


@dataclass
class _Submitted:
    run: PlannedRun
    job: Job | None  # None: another process makes it
    missed: bool = False  # SLURM did not know it at the last look
    told: int = 0  # rows that the source has seen, or need not see

    def __post_init__(self) -> None:
        self.told = len(read_metrics(self.run.folder))  # of an earlier start


class _Cluster:
    """The state of one call of `execute`; runs are known by the number in which they were taken."""

    def __init__(
        self, source: Source, launcher: SlurmSettings, finished: Callable[[Result], None], watch: Watch
    ) -> None:
        self._source, self._launcher, self._finished, self._watch = source, launcher, finished, watch
        # A plan is submitted as a whole, so that it needs nobody to go on; a search has as many under way as may run.
        self._places = None if isinstance(source, PlanSource) else launcher.at_once
        self._queue: Queue | None = None
        self._taken = 0
        self._failed = 0
        self._coming: dict[int, _Submitted] = {}
        self.results: dict[int, Result] = {}
        self.name = "cellwise"

    def take(self) -> None:
        """Take what there is a place for, and submit what nobody has submitted."""
        taken: list[tuple[int, PlannedRun]] = []
        while not self._closing() and (self._places is None or len(self._coming) + len(taken) < self._places):
            run = self._source.take()
            if run is None:
                break
            taken.append((self._taken, run))
            self._taken += 1
        if not taken:
            return
        study = taken[0][1].folder.parents[1]
        self._queue = self._queue or Queue(study)
        self.name = self._queue.name
        with self._queue.alone():
            self._submit(self._queue, taken)

    def _submit(self, queue: Queue, taken: list[tuple[int, PlannedRun]]) -> None:
        present, known = queue.require_present(), queue.submitted()
        new = []
        for number, run in taken:
            job = known.get(name_of(run))
            if job is not None and job.number in present:
                self._coming[number] = _Submitted(run, job)
            elif is_finished(run.folder) and not run.config["again"]:
                self._end(number, Result(run, "skipped", finished_note(run.folder, run.config["probe"])))
            elif is_being_run(run.folder):
                self._coming[number] = _Submitted(run, None)
            else:
                new.append((number, run))
        waited = len(self._coming)
        jobs = queue.submit([run for _, run in new], self._launcher)
        for (number, run), job in zip(new, jobs, strict=True):
            self._coming[number] = _Submitted(run, job)
        arrays = ", ".join(dict.fromkeys(job.number.partition("_")[0] for job in jobs))
        if jobs and self._places is None:
            others = f"; {waited} are there already" if waited else ""
            print(f"submitted {len(jobs)} runs as job {arrays}{others}", flush=True)

    def look(self) -> bool:
        """Tell of each run that has ended; True if any has."""
        if self._queue is None:
            return False
        present = self._queue.present()
        before = len(self.results)
        for number, one in list(self._coming.items()):
            if number not in self._coming:
                continue  # cancelled with the others
            self._watch_rows(one)
            result = self._result(one, present)
            if result is not None:
                del self._coming[number]
                self._end(number, result)
        return len(self.results) > before

    def done(self) -> float:
        """How many runs are done."""
        return len(self.results)

    def is_over(self) -> bool:
        """Whether nothing is to come."""
        return not self._coming and (self._closing() or self._source.exhausted())

    def _closing(self) -> bool:
        return self._failed > self._launcher.failures_allowed

    def _result(self, one: _Submitted, present: set[str] | None) -> Result | None:
        """What became of a run, None while that is not known."""
        folder, job = one.run.folder, one.job
        if present is None or (job is not None and job.number in present) or is_being_run(folder):
            one.missed = False
            return None
        if not one.missed:  # files may need a moment to be seen here
            one.missed = True
            return None
        since = ended_since(folder, job.submitted) if job else ended_since(folder, 0.0)
        if is_finished(folder) and (since is not None or not one.run.config["again"]):
            return Result(one.run, "finished", *_score(folder))
        if since is not None and since[0] != "finished":
            return Result(one.run, since[0], since[1])
        note = self._queue.ending(job) if self._queue and job else "the process that made it is gone"
        mark_ended(folder, "failed", note)
        return Result(one.run, "failed", note)

    def _watch_rows(self, one: _Submitted) -> None:
        """Let the source see the rows that a run has logged since the last look, and end it where that says so."""
        rows = read_metrics(one.run.folder)
        # A run that was started again logs anew, and the same, what came after its checkpoint.
        new, one.told = rows[one.told :], max(one.told, len(rows))
        for row in new:
            reason = self._watch(one.run, row)
            if reason is not None and self._queue and one.job:
                self._queue.cancel([one.job])
                mark_ended(one.run.folder, "pruned", reason)
                return

    def _end(self, number: int, result: Result) -> None:
        self.results[number] = result
        self._finished(result)
        self._failed += result.status == "failed"
        if self._closing() and self._queue:
            self._queue.cancel([one.job for one in self._coming.values() if one.job])
            self._coming.clear()


def _score(folder: Path) -> tuple[str, float]:
    """The note of a finished run, and how many seconds it took."""
    summary = Summary.from_dict(read_json(folder / "summary.json"), str(folder))
    info = RunInfo.from_dict(read_json(folder / "run.json"), str(folder))
    note = f"{summary.objective} {summary.value:.5g} {summary.unit}".rstrip()
    return note, sum((info.times_seconds or {}).values())
