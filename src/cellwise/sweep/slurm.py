"""SLURM through submitit: one run is one array task; a run that must leave its machine is started again and goes on.

submitit is called itself, not through its Hydra launcher: that one stays until the last job has ended, tells the first
failure alone, keeps no numbers of jobs, and starts nothing again by default.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellwise.errors import CellwiseError
from cellwise.sweep.launcher import SlurmSettings
from cellwise.sweep.plan import PlannedRun
from cellwise.sweep.slurm_job import RunJob

_ASK_SECONDS = 60  # a controller that takes longer to answer is away


@dataclass(frozen=True)
class Job:
    """A submitted run.

    Attributes:
        number: as SLURM writes it, `17_3` or `17`.
        submitted: when, in seconds since 1970.
    """

    number: str
    submitted: float


class Queue:
    """The jobs of one study: those it has submitted, kept in `slurm/jobs.jsonl`, and those that SLURM still has.

    Args:
        study: its folder, `<runs_dir>/<study>`.

    Attributes:
        name: of its jobs, to SLURM.

    Raises:
        CellwiseError: the folder can't be written.
    """

    def __init__(self, study: Path):
        self.name, self._folder = f"cellwise-{study.name}", study / "slurm"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "jobs.jsonl").touch()
        except OSError as error:
            raise CellwiseError(f"can't write {self._folder}: {error.strerror}; give runs_dir=...") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other launchers from submitting, so that what is looked up stays true until it is acted on."""
        with open(self._folder / "jobs.jsonl", "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def submitted(self) -> dict[str, Job]:
        """Return the last job of each run that was ever submitted, by `<cell>-<8 hex>/seed-<n>`."""
        rows = map(json.loads, (self._folder / "jobs.jsonl").read_text(encoding="utf-8").splitlines())
        return {row["run"]: Job(row["job"], row["submitted"]) for row in rows}

    def submit(self, runs: Sequence[PlannedRun], settings: SlurmSettings) -> list[Job]:
        """Submit runs, as few arrays as SLURM allows, keep their numbers, and return them in the same order.

        Raises:
            CellwiseError: what sbatch says against it.
        """
        most = _most_of_an_array()
        found: list[Job] = []
        for start in range(0, len(runs), most):
            part = runs[start : start + most]
            now = time.time()
            jobs = [Job(number, now) for number in self._submit(part, settings)]
            lines = [
                {"run": name_of(run), "job": j.number, "submitted": now} for run, j in zip(part, jobs, strict=True)
            ]
            with open(self._folder / "jobs.jsonl", "a", encoding="utf-8") as file:
                file.write("".join(json.dumps(line) + "\n" for line in lines))
            found += jobs
        return found

    def _submit(self, runs: Sequence[PlannedRun], settings: SlurmSettings) -> list[str]:
        from submitit import AutoExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        try:
            executor = AutoExecutor(self._folder, cluster="slurm", slurm_max_num_timeout=settings.requeues)
            executor.update_parameters(**sbatch_parameters(settings, runs[0], self.name))
            with redirect_stderr(io.StringIO()):  # submitit prints there what it raises
                jobs = executor.submit_array([RunJob(run.config, settings.cores, sys.argv) for run in runs])
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError, ValueError) as error:
            raise CellwiseError(f"SLURM refuses the runs: {_last_line(str(error))}; see launcher.<key>") from error
        return [job.job_id for job in jobs]

    def require_present(self) -> set[str]:
        """Return the numbers of the study's jobs that wait, run or end just now.

        Raises:
            CellwiseError: SLURM does not answer.
        """
        out = _asked("squeue", "--noheader", "--array", f"--user={os.getuid()}", "--format=%i|%j")
        rows = (line.strip().partition("|") for line in out.splitlines())
        return {number for number, _, name in rows if name == self.name}

    def present(self) -> set[str] | None:
        """The same, and None where SLURM does not answer."""
        try:
            return self.require_present()
        except CellwiseError:
            return None

    def ending(self, job: Job) -> str:
        """Say how a job ended that left no result."""
        out = subprocess.run(["scontrol", "show", "job", "-o", job.number], capture_output=True, text=True).stdout
        state = re.search(r"JobState=(\S+)", out)
        log = self._folder / f"{job.number}_0_log.err"
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            said = _last_line("\n".join([line for line in lines if not line.startswith("srun: ")] or lines))
        except OSError:
            said = ""
        told = [part for part in (state.group(1) if state else "", said) if part]
        return f"job {job.number} ended before the run was finished: {'; '.join([*told, str(log)])}"

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Take jobs out of the queue, and end those that run."""
        numbers = [job.number for job in jobs]
        if numbers:
            subprocess.run(["scancel", *numbers], capture_output=True)


def sbatch_parameters(settings: SlurmSettings, run: PlannedRun, name: str) -> dict[str, Any]:
    """Return submitit's parameters for the jobs of a study.

    Args:
        settings: the group `launcher`.
        run: any of the runs.
        name: of the jobs.
    """
    gpus = settings.gpus
    if gpus is None and run.config["trainer"]["accelerator"] == "gpu":
        gpus = run.config["trainer"]["devices"]
    given = {
        "name": name,
        "slurm_partition": settings.partition,
        "slurm_account": settings.account,
        "timeout_min": settings.minutes,
        "cpus_per_task": settings.cores,
        "slurm_srun_args": [f"--cpus-per-task={settings.cores}"],  # since 22.05 a step no longer inherits it
        "mem_gb": settings.memory_gb,
        "gpus_per_node": gpus or None,
        "slurm_array_parallelism": settings.at_once,
        "slurm_signal_delay_s": settings.grace_seconds,
        # A run goes on from its checkpoint, so a job may be started again: also by SLURM, when a machine is lost.
        "slurm_additional_parameters": {"requeue": True, **(settings.extra or {})},
    }
    return {key: value for key, value in given.items() if value is not None}


def require_slurm() -> None:
    """Refuse to go on where there is no SLURM.

    Raises:
        CellwiseError: saying what is missing.
    """
    import importlib.util
    import shutil

    if importlib.util.find_spec("submitit") is None:
        raise CellwiseError("launcher=slurm needs submitit; type `pip install 'cellwise[slurm]'`")
    for command in ("sbatch", "squeue", "srun"):
        if shutil.which(command) is None:
            raise CellwiseError(
                f"no {command} here: launcher=slurm is typed on a machine of a SLURM cluster; launcher=local runs here"
            )


def _most_of_an_array() -> int:
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _asked("scontrol", "show", "config"))
    return max(1, int(found.group(1)) - 1) if found else 1000


def _asked(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise CellwiseError(f"SLURM does not answer `{command[0]}`") from error
    if done.returncode:
        raise CellwiseError(f"SLURM does not answer `{command[0]}`: {_last_line(done.stderr)}")
    return done.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def name_of(run: PlannedRun) -> str:
    """Return what the study's files call a run: `<cell>-<8 hex>/seed-<n>`."""
    return f"{run.folder.parent.name}/{run.folder.name}"
