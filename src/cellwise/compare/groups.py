"""Runs that may be compared: the same task and the same objective; and what each configuration is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cellwise.records.identity import what_counts
from cellwise.records.store import RunRecord, Study

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
    by_cell: dict[str, dict[str, RunRecord]] = {}
    for run in sorted(runs, key=lambda run: run.identity):
        by_cell.setdefault(run.cell, {}).setdefault(run.identity, run)
    return {
        (cell, identity): label
        for cell, configurations in sorted(by_cell.items())
        for identity, label in _told_apart(cell, configurations).items()
    }


def _told_apart(cell: str, configurations: Mapping[str, RunRecord]) -> dict[str, str]:
    """A name by identity: `gru reset=before`; with the identity where the settings don't say enough, or too much."""
    if len(configurations) == 1:
        return dict.fromkeys(configurations, cell)
    settings = {identity: dict(flat(what_counts(run.config))) for identity, run in configurations.items()}
    keys = sorted({key for each in settings.values() for key in each})
    differing = [key for key in keys if len({repr(each.get(key)) for each in settings.values()}) > 1]
    names = {
        identity: " ".join([cell, *(f"{key.split('.')[-1]}={each.get(key)}" for key in differing)])
        for identity, each in settings.items()
    }
    if len(set(names.values())) < len(names) or len(differing) > MOST_KEYS_NAMED:
        return {identity: f"{cell}-{identity}" for identity in names}
    return names
