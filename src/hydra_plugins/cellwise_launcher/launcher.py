"""The class that Hydra calls; see `cellwise.sweep.hydra_jobs` for what it does."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class CellwiseLauncher(Launcher):  # type: ignore[misc]
    """Runs jobs so that what ends one ends no other.

    Args:
        jobs: at a time; None: one a core.
        timeout_minutes: of each; None: no limit.
    """

    def __init__(self, jobs: int | None = None, timeout_minutes: float | None = None):
        self._jobs, self._timeout_minutes = jobs, timeout_minutes

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra gives, before the first launch."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs and return what became of each, in order."""
        from cellwise.sweep.hydra_jobs import Application, run_jobs

        return run_jobs(
            Application(self._context, self._task, self._config),
            job_overrides,
            first=initial_job_idx,
            jobs=self._jobs,
            timeout_seconds=None if self._timeout_minutes is None else 60 * self._timeout_minutes,
        )
