"""What every figure of a search shares: the scale of validation, the cells' looks, what became of a trial."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from cellwise.records.schema import Axis
from cellwise.records.trials import Searched
from cellwise.records.tuning import Trial
from cellwise.report.theme import Style, styles

Fate: TypeAlias = Literal["finished", "pruned", "diverged", "failed", "running", "waiting"]
FATES: tuple[Fate, ...] = ("finished", "pruned", "diverged", "failed", "running", "waiting")
# So many times the best: validation is drawn on a logarithmic scale.
_WIDE = 8.0
# As a search and a run say it: no finite validation, or a loss that is lost.
_DIVERGED = re.compile(r"^diverged:|\bis -?(nan|inf) at step \d")


def fate(trial: Trial) -> Fate:
    """Return what became of a trial; one that failed because a number was lost has diverged."""
    if trial.state == "failed" and _DIVERGED.search(trial.error or ""):
        return "diverged"
    return trial.state


@dataclass(frozen=True)
class Trials:
    """A search as figures need it: the trials of each label that have settings, the looks, the scale of validation."""

    searched: Searched
    style: dict[str, Style]
    log: bool

    @property
    def lower_is_better(self) -> bool:
        """Whether less is better."""
        return self.searched.record.direction == "min"

    @property
    def axis(self) -> Axis:
        """Validation, with its unit and scale."""
        record = self.searched.record
        name = f"validation {record.objective.replace('_', ' ')}".strip()
        return Axis(name, record.unit, "log" if self.log else "linear")

    def by_label(self) -> Iterator[tuple[str, tuple[Trial, ...]]]:
        """Give each label with its trials, in order of labels as recorded."""
        for tuned in self.searched.record.tuned:
            found = self.searched.trials.get(tuned.label, ())
            if found:
                yield tuned.label, found

    def best(self, trials: Iterable[Trial]) -> Trial | None:
        """Return the finished trial with the best validation, the first of equals."""
        scored = [t for t in trials if t.state == "finished" and t.validation is not None]
        return min(scored, key=self.badness, default=None)

    def badness(self, trial: Trial) -> float:
        """Return what is less for a better trial."""
        assert trial.validation is not None
        return trial.validation if self.lower_is_better else -trial.validation

    def scored(self) -> list[float]:
        """Return every validation."""
        return [t.validation for _, each in self.by_label() for t in each if t.validation is not None]


def trials_of(searched: Searched) -> Trials:
    """Return a search as its figures need it."""
    style = styles({tuned.label: tuned.cell for tuned in searched.record.tuned})
    found = Trials(searched, style, False)
    values = found.scored()
    wide = bool(values) and min(values) > 0 and max(values) > _WIDE * min(values)
    return Trials(searched, style, wide)


def marker(style: Style, trial_fate: Fate) -> dict[str, Any]:
    """Return the marker of a trial: open where it was pruned, a cross where it has no score."""
    if trial_fate in ("failed", "diverged"):
        return {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": style.colour}, "color": style.colour}
    if trial_fate == "pruned":
        return {"symbol": f"{style.symbol}-open", "size": 7, "color": style.colour}
    return {"symbol": style.symbol, "size": 7, "color": style.colour, "opacity": 0.75}
