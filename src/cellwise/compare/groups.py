"""Runs that may be compared: the same task and the same objective; and what each configuration is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cellwise.records.identity import what_counts
from cellwise.records.store import RunRecord, Study
from cellwise.settings import typed

MOST_KEYS_NAMED = 2  # in a label; a longer one fits no legend


@dataclass(frozen=True)
class Group:
    """Runs of one task and one objective; ``labels`` maps a configuration (cell, identity) to its name."""

    task: str
    objective: str
    runs: tuple[RunRecord, ...]
    labels: dict[tuple[str, str], str]

    def label(self, run: RunRecord) -> str:
        """Return what the run's configuration is called in tables and legends."""
        return self.labels[run.cell, run.identity]

    @property
    def explained(self) -> dict[str, str]:
        """What differs, by label, for labels that end in an identity: it tells a reader nothing."""
        found = {}
        for cell, configurations in _by_cell(self.runs).items():
            settings, differing = _differing(configurations)
            for identity, each in settings.items():
                if self.labels[cell, identity] == _hashed(cell, identity):
                    said = ", ".join(f"{key}={typed(each.get(key))}" for key in differing)
                    found[_hashed(cell, identity)] = said or f"no setting differs, so the code of {cell} does"
        return found


def group_runs(study: Study) -> tuple[Group, ...]:
    """Return the comparable groups of a study, in order of task and objective.

    A run that is not finished names no objective: it joins the group of its own configuration, else the first
    group of its task, else the first group of all; without any finished run the objective is "".
    """
    finished = [run for run in study.runs if run.summary is not None]
    keys = {(r.summary.task, r.summary.objective) for r in finished if r.summary}
    ordered = sorted(keys) or [(next((r.task for r in study.runs if r.task), ""), "")]
    by_configuration = {(r.cell, r.identity): (r.summary.task, r.summary.objective) for r in finished if r.summary}
    members: dict[tuple[str, str], list[RunRecord]] = {key: [] for key in ordered}
    for run in study.runs:
        same_task = next((key for key in ordered if key[0] == run.task), ordered[0])
        key = by_configuration.get((run.cell, run.identity), same_task)
        members[key].append(run)
    return tuple(Group(task, objective, tuple(runs), _labels(runs)) for (task, objective), runs in members.items())


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a nested configuration's values by dotted key."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _labels(runs: list[RunRecord]) -> dict[tuple[str, str], str]:
    """A cell with one configuration is called by its name, one with several by name and what differs."""
    return {
        (cell, identity): label
        for cell, configurations in _by_cell(runs).items()
        for identity, label in _told_apart(cell, configurations).items()
    }


def _by_cell(runs: Iterable[RunRecord]) -> dict[str, dict[str, RunRecord]]:
    """One run of each configuration, by identity, by cell; all sorted."""
    found: dict[str, dict[str, RunRecord]] = {}
    for run in sorted(runs, key=lambda run: (run.cell, run.identity)):
        found.setdefault(run.cell, {}).setdefault(run.identity, run)
    return found


def _differing(configurations: Mapping[str, RunRecord]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The settings of each configuration by dotted key, and the keys with several values."""
    settings = {identity: dict(flat(what_counts(run.config))) for identity, run in configurations.items()}
    keys = sorted({key for each in settings.values() for key in each})
    return settings, [key for key in keys if len({repr(each.get(key)) for each in settings.values()}) > 1]


def _hashed(cell: str, identity: str) -> str:
    return f"{cell}-{identity}"


def _told_apart(cell: str, configurations: Mapping[str, RunRecord]) -> dict[str, str]:
    """A name by identity: `gru reset=before`; with the identity where the settings don't say enough, or too much."""
    if len(configurations) == 1:
        return dict.fromkeys(configurations, cell)
    settings, differing = _differing(configurations)
    names = {
        identity: " ".join([cell, *(f"{key.split('.')[-1]}={typed(each.get(key))}" for key in differing)])
        for identity, each in settings.items()
    }
    if len(set(names.values())) < len(names) or len(differing) > MOST_KEYS_NAMED:
        return {identity: _hashed(cell, identity) for identity in names}
    return names
