"""The search of a study's first phase: a source of runs for the pool, which hears how they do and how they end."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cellwise.errors import CellwiseError
from cellwise.records.plain import read_json
from cellwise.records.planned import write_plan
from cellwise.records.schema import Summary
from cellwise.records.store import read_metrics
from cellwise.records.tuning import Trial
from cellwise.sweep.ledger import Claim, GridLedger, Ledger, Outcome
from cellwise.sweep.plan import PlannedRun
from cellwise.sweep.pool import Result
from cellwise.sweep.tuning import Tuning

_LOOK_SECONDS = 1.0  # between two looks into a ledger that has nothing to claim at present


@dataclass
class _Begun:
    """A claimed trial and what its runs have come to."""

    claim: Claim
    runs: list[PlannedRun]
    results: dict[int, Result] = field(default_factory=dict)
    told: bool = False


class Search:
    """The runs of all trials, cells taking turns; a `cellwise.sweep.source.Source`.

    Args:
        tuning: what is searched.
    """

    def __init__(self, tuning: Tuning):
        self._tuning = tuning
        self._key = f"validation_{tuning.objective.metric}"
        self._queued: deque[PlannedRun] = deque()
        self._begun: dict[int, _Begun] = {}  # by the run itself: two trials may mean one folder
        self._looked = -math.inf
        self._ledger = _ledger(tuning)

    def __len__(self) -> int:
        """How many runs there will be; fewer where trials are pruned."""
        return self._tuning.trials * len(self._tuning.tune.seeds)

    def take(self) -> PlannedRun | None:
        """Return the next run, of a trial that was begun before another is claimed.

        Raises:
            CellwiseError: the folder of tuning can't be written.
        """
        while not self._queued:
            if time.monotonic() - self._looked < _LOOK_SECONDS:
                return None
            claim = self._ledger.claim()
            if claim is None:
                self._looked = time.monotonic()
                return None
            self._begin(claim)
        return self._queued.popleft()

    def exhausted(self) -> bool:
        """Whether each trial has ended; one that another launcher runs has not, and may come to this one yet."""
        return not self._queued and self._ledger.all_ended()

    def plan_ahead(self) -> bool:
        """Return False: what comes next follows from what comes out."""
        return False

    def watch(self, run: PlannedRun, row: Mapping[str, Any]) -> str | None:
        """Take a row that a run logged; returns why the run is to be pruned, if it is.

        Of a trial with several seeds the first alone is watched: the others follow a trial that is worth it.
        """
        begun, value = self._begun[id(run)], row.get(self._key)
        if run is not begun.runs[0] or value is None or not math.isfinite(value):
            return None
        if begun.told or not self._ledger.report(begun.claim, row["step"], value):
            return None
        return f"pruned at step {row['step']}: {self._key} {value:.4g} falls behind ({self._tuning.tune.prune})"

    def told(self, result: Result) -> str:
        """Take the end of a run, and return what to say of it: its validation; test is no business of tuning."""
        self._ended(self._begun[id(result.run)], result)
        if result.status != "finished":
            return result.note
        return f"validation {self._tuning.objective.metric} {_validation(result.run.folder):.5g}"

    def label(self, run: PlannedRun) -> str:
        """Return how a person names a run: `lstm trial 3`."""
        claim = self._begun[id(run)].claim
        seed = f" seed {run.config['seed']}" if len(self._tuning.tune.seeds) > 1 else ""
        return f"{claim.combination.label} trial {claim.number}{seed}"

    def trials(self) -> dict[str, list[Trial]]:
        """Return the trials of each combination by number, by the combination's label."""
        return {each.label: self._ledger.trials(each) for each in self._tuning.combinations}

    def ended(self) -> int:
        """Return how many trials have ended."""
        return sum(trial.has_ended for each in self.trials().values() for trial in each)

    def close(self) -> None:
        """Let go of what is claimed and has not ended; the same command goes on with it."""
        self._ledger.close()

    def _begin(self, claim: Claim) -> None:
        try:
            runs = self._tuning.trial(claim.combination, claim.settings)
        except CellwiseError as error:  # settings that are allowed one by one, and not together
            self._ledger.tell(claim, Outcome("failed", seconds=0.0, error=str(error)))
            return
        begun = _Begun(claim, runs)
        self._begun.update({id(run): begun for run in runs})
        self._queued.extend(runs)
        write_plan(run.folder for run in runs)
        for row in read_metrics(runs[0].folder):  # of an earlier start: a pruner looks back
            self.watch(runs[0], row)

    def _ended(self, begun: _Begun, result: Result) -> None:
        """The end of a trial's last run, or of one that failed or was pruned, is the trial's."""
        begun.results[id(result.run)] = result
        broken = result.status in ("failed", "pruned")
        if begun.told or (not broken and len(begun.results) < len(begun.runs)):
            return
        begun.told = True
        self._queued = deque(run for run in self._queued if self._begun[id(run)] is not begun)
        self._ledger.tell(begun.claim, self._outcome(begun, result))

    def _outcome(self, begun: _Begun, last: Result) -> Outcome:
        seconds = sum(_seconds(run.folder) for run in begun.runs)
        if last.status == "pruned":
            rows = read_metrics(begun.runs[0].folder)
            values = [row[self._key] for row in rows if row.get(self._key) is not None]
            best = (min if self._tuning.objective.direction == "min" else max)(values, default=None)
            return Outcome("pruned", best, seconds, last.note)
        if last.status == "failed":
            return Outcome("failed", None, seconds, f"seed {last.run.config['seed']}: {last.note}")
        values = [_validation(run.folder) for run in begun.runs]
        mean = sum(values) / len(values)
        if not math.isfinite(mean):
            return Outcome("failed", None, seconds, f"diverged: {self._key} is no finite number")
        return Outcome("finished", mean, seconds)


def _ledger(tuning: Tuning) -> Ledger:
    if tuning.tune.sampler == "grid":
        return GridLedger(tuning.combinations, tuning.tune.space)
    from cellwise.sweep.journal import JournalLedger  # a grid needs no Optuna

    return JournalLedger(tuning.tuning_folder, tuning.combinations, tuning.tune, tuning.objective)


def _validation(folder: Path) -> float:
    path = folder / "summary.json"
    return Summary.from_dict(read_json(path), str(path)).validation


def _seconds(folder: Path) -> float:
    """What a run spent in training, all its starts together."""
    path = folder / "summary.json"
    if path.exists():
        return Summary.from_dict(read_json(path), str(path)).train_seconds
    rows = read_metrics(folder)
    return float(rows[-1].get("seconds", 0.0)) if rows else 0.0
