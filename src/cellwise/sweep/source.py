"""Where a pool gets its runs from: a plan, or a search that decides as results come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from cellwise.records.planned import write_plan
from cellwise.sweep.plan import PlannedRun

_WRITTEN_SECONDS = 1.0  # what `cellwise status` lags behind a plan that is still being made


class Source(Protocol):
    """Runs, one at a time."""

    def take(self) -> PlannedRun | None:
        """Return the next run, asked for when there is a place for it; None when there is none at present."""

    def exhausted(self) -> bool:
        """Whether none will come any more."""

    def plan_ahead(self) -> bool:
        """Do a little of what is to be done before `take`, while runs run; False when there is nothing to do."""


class PlanSource:
    """The runs of a plan, in its order, composed and written to `plan.json` ahead of their turn.

    Args:
        runs: a plan; each of its runs is asked for once.
    """

    def __init__(self, runs: Sequence[PlannedRun]):
        self._coming: Iterator[PlannedRun] = iter(runs)
        self._ahead: deque[PlannedRun] = deque()
        self._unwritten: list[PlannedRun] = []
        self._written = 0.0
        self._made = False

    def take(self) -> PlannedRun | None:
        """Return the next run.

        Raises:
            CellwiseError: the plan's next configuration is not allowed, or its folder can't be written.
        """
        if not self._ahead:
            self.plan_ahead()
        return self._ahead.popleft() if self._ahead else None

    def exhausted(self) -> bool:
        """Whether each run was taken."""
        return self._made and not self._ahead

    def plan_ahead(self) -> bool:
        """Compose one more run."""
        if self._made:
            return False
        run = next(self._coming, None)
        if run is None:
            self._made = True
        else:
            self._ahead.append(run)
            self._unwritten.append(run)
        if self._unwritten and (self._made or time.monotonic() - self._written > _WRITTEN_SECONDS):
            write_plan(run.folder for run in self._unwritten)
            self._unwritten, self._written = [], time.monotonic()
        return not self._made
