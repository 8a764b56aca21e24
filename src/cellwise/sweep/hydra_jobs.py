"""The jobs of any Hydra application, each in a process of its own: what `hydra/launcher=cellwise` does.

Of Hydra's own launchers two end the sweep with a job that exits or is killed, and all tell the first failure only. Here
a job that raises, exits, is killed or takes too long is that job's failure; there is a line for each as it ends; at the
end every failure is told. A job is pickled as the submitit plugin does it, so a sweeper gets what the task returned.

Called as `python -m cellwise.sweep.hydra_jobs FOLDER`, this is the job's side.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

log = logging.getLogger("hydra.cellwise_launcher")  # below `hydra`, so it is seen as Hydra's own lines are


class JobFailedError(CompactHydraException):  # type: ignore[misc]
    """A job failed; Hydra prints its text without a traceback."""


@dataclass
class Application:
    """What Hydra gives a launcher."""

    context: HydraContext
    task: TaskFunction
    config: DictConfig
    singletons: dict[type, Singleton] = field(default_factory=Singleton.get_state)

    def run(self, number: int, overrides: Sequence[str]) -> JobReturn:
        """Run a job in this process."""
        Singleton.set_state(self.singletons)
        setup_globals()
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return run_job(
            hydra_context=self.context,
            task_function=self.task,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


def run_jobs(
    application: Application,
    job_overrides: Sequence[Sequence[str]],
    *,
    first: int = 0,
    jobs: int | None = None,
    timeout_seconds: float | None = None,
) -> list[JobReturn]:
    """Run a batch of jobs and return one result a job, in order.

    Args:
        application: of which these are jobs.
        job_overrides: `key=value`s for each.
        first: the number of the first; files of job 3 are in `<hydra.sweep.dir>/.jobs/3/`.
        jobs: at a time; None: one a core.
        timeout_seconds: of each; None: no limit.

    Raises:
        KeyboardInterrupt: after the running processes were ended.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    places = max(1, min(jobs or cores, len(job_overrides)))
    folder = Path(str(application.config.hydra.sweep.dir)).absolute() / ".jobs"
    pool = _Processes(application, folder, threads=max(1, cores // places), timeout_seconds=timeout_seconds)
    with ThreadPoolExecutor(places) as threads:
        futures: dict[Future[JobReturn], int] = {
            threads.submit(pool.run, number, overrides): number
            for number, overrides in enumerate(job_overrides, start=first)
        }
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            pool.stop()  # nothing runs any more, unless this was interrupted
            threads.shutdown(cancel_futures=True)
    results = [future.result() for future in futures]
    _tell_failures(results, first)
    return results


class _Processes:
    """Runs one job in one process, from as many threads as there are places."""

    def __init__(self, application: Application, folder: Path, threads: int, timeout_seconds: float | None):
        self._application, self._folder, self._timeout_seconds = application, folder, timeout_seconds
        self._environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, number: int, overrides: Sequence[str]) -> JobReturn:
        """Run a job, say how it ended, and return that."""
        folder = self._folder / str(number)
        started = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "result.pickle").unlink(missing_ok=True)
            pickled = cloudpickle.dumps((self._application, number, list(overrides)))
            (folder / "job.pickle").write_bytes(pickled)
            ending = self._wait(folder)
            result = _result(folder, list(overrides), ending)
        except Exception as error:
            result = _failed(list(overrides), f"{type(error).__name__}: {error}")
        words = " ".join(filter_overrides(overrides))
        took = f"({time.monotonic() - started:.1f} s)"
        if result.status == JobStatus.COMPLETED:
            log.info(f"#{number} finished {took}: {words}")
        else:
            log.error(f"#{number} failed   {took}: {words}: {result._return_value}")
        return result

    def _wait(self, folder: Path) -> str:
        """Run the process and say how it ended."""
        command = [sys.executable, "-m", "cellwise.sweep.hydra_jobs", str(folder)]
        with open(folder / "output.txt", "wb") as output:
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.PIPE,  # its end tells the job that its launcher is gone
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # what the job starts ends with it
            )
        self._running.add(process)
        if self._stopped:
            _kill(process)
        try:
            code = process.wait(self._timeout_seconds)
        except subprocess.TimeoutExpired:
            return f"timed out after {self._timeout_seconds:g} s"
        finally:
            _kill(process)
            self._running.discard(process)
        if code < 0:
            return f"killed by {signal.Signals(-code).name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
        return f"its process ended with exit code {code} before the job was finished"

    def stop(self) -> None:
        """End what runs, and start nothing more."""
        self._stopped = True
        for process in list(self._running):
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started; nothing where they are gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _result(folder: Path, overrides: list[str], ending: str) -> JobReturn:
    path = folder / "result.pickle"
    if not path.exists():
        return _failed(overrides, f"{ending}; {folder / 'output.txt'}")
    result, error = cloudpickle.loads(path.read_bytes())
    for name in ("job.pickle", "result.pickle"):
        (folder / name).unlink()
    return result if error is None else _failed(overrides, f"{error}; {folder / 'output.txt'}")


def _failed(overrides: list[str], why: str) -> JobReturn:
    return JobReturn(overrides=overrides, status=JobStatus.FAILED, _return_value=JobFailedError(why))


def _tell_failures(results: Sequence[JobReturn], first: int) -> None:
    """Let each failure, of which Hydra's sweeper raises the first alone, tell them all."""
    failed = [(n, result) for n, result in enumerate(results, start=first) if result.status != JobStatus.COMPLETED]
    told = "".join(f"\n  #{n} {' '.join(filter_overrides(r.overrides))}: {r._return_value}" for n, r in failed)
    for _, result in failed:
        result._return_value = JobFailedError(f"{len(failed)} of {len(results)} jobs failed:{told}")


def _job(folder: Path) -> None:
    """The job's side: run what is pickled, and pickle what became of it."""
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    application, number, overrides = cloudpickle.loads((folder / "job.pickle").read_bytes())
    try:
        result = application.run(number, overrides)
        if result.status == JobStatus.FAILED:
            raise result._return_value
        pickled = cloudpickle.dumps((result, None))
    except Exception as error:
        pickled = cloudpickle.dumps((None, _told(error)))
    temporary = folder / "result.tmp"
    temporary.write_bytes(pickled)
    temporary.rename(folder / "result.pickle")


def _told(error: Any) -> str:
    if isinstance(error, JobFailedError):
        return str(error)
    traceback.print_exception(error)
    return " ".join(f"{type(error).__name__}: {error}".split())


def _end_with_launcher() -> None:
    os.read(0, 1)  # not sys.stdin: its lock would hold up the end of this process
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    from cellwise.sweep import hydra_jobs  # the classes in the pickle are that module's, not __main__'s

    hydra_jobs._job(Path(sys.argv[1]))
