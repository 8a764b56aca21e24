"""What runs on a machine of the cluster: one run, which leaves with a checkpoint when its machine or time is taken.

SLURM sends SIGUSR2 some time before it ends a job, and submitit's answer to it is to have SLURM start the job again.
Here the run comes first: it ends its step and writes a checkpoint (`training.stopping`), and submitit answers then.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cellwise.cells.registry import import_cells
from cellwise.records.finished import is_finished, mark_ended
from cellwise.records.identity import run_folder
from cellwise.records.lease import SILENCE_SECONDS, BeingRunError
from cellwise.training.stopping import StoppedError

# A machine that went down in the middle of a run holds its lease for a while longer.
_PAUSE_SECONDS = SILENCE_SECONDS / 10
_TRIES = 20


class RunJob:
    """One run, on the machine that SLURM gives it; submitit pickles this and calls it there.

    Args:
        config: resolved and plain.
        threads: as many as it has cores.
        command: what the user typed, for the record.
    """

    def __init__(self, config: Mapping[str, Any], threads: int, command: Sequence[str]):
        self._config, self._threads, self._command = dict(config), threads, list(command)

    def checkpoint(self) -> Any:
        """What submitit is to start again: the same, for the run goes on from its own checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def __call__(self) -> str:
        """Make the run, and return its note."""
        from submitit.core.utils import UncompletedJobError

        # SIGTERM comes before every end, of a job that is cancelled too; SIGUSR2 is what asks a run to move.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        import_cells(self._config.get("cell_modules") or [])
        sys.argv = self._command
        try:
            return self._train()
        except StoppedError as stopped:
            if stopped.by is None:
                raise
            try:
                signal.raise_signal(stopped.by)  # submitit's answer: have SLURM start this job again, and leave
            except UncompletedJobError as error:
                note = f"{error} Give launcher.minutes or launcher.requeues more; the same command goes on with it"
                mark_ended(run_folder(self._config), "failed", note)
                raise
            raise

    def _train(self) -> str:
        from cellwise.training.train import train

        config = self._config
        if int(os.environ.get("SLURM_RESTART_COUNT", 0)) and not is_finished(run_folder(config)):
            config = {**config, "again": False}  # what it was to repeat is set aside already
        for _ in range(_TRIES):
            try:
                return train(config, own_process=True, threads=self._threads).note
            except BeingRunError as error:
                busy = error
                time.sleep(_PAUSE_SECONDS)
        raise busy
