"""Runs that may be compared, in groups; and what each configuration is called."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cellwise.compare.comparable import GROUNDS, Facts, Ground, differences, facts_of, partition, what_sets_apart
from cellwise.records.identity import what_counts
from cellwise.records.plain import flat
from cellwise.records.schema import RunInfo, Summary
from cellwise.records.store import RunRecord, Study
from cellwise.settings import typed

MOST_KEYS_NAMED = 2  # in a label; a longer one fits no legend


@dataclass(frozen=True)
class Group:
    """Runs that may be compared; ``labels`` maps a configuration (cell, identity) to its name.

    ``apart`` says what sets them apart from other runs of the same objective, "" where nothing does; ``crossed`` in
    what they differ though they should not.
    """

    task: str
    objective: str
    runs: tuple[RunRecord, ...]
    labels: dict[tuple[str, str], str]
    apart: str = ""
    crossed: tuple[str, ...] = ()

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


def group_runs(study: Study, across: Collection[Ground] = ()) -> tuple[Group, ...]:
    """Return the comparable groups of a study: of one task, objective and unit, on the same data, budget and code.

    A run that is not finished and names no objective (it has just begun) joins the group of its own configuration, else
    the first group of its task, else the first group of all; where no run names one, the objective is "".

    Args:
        study: the runs.
        across: what runs may differ in and be compared all the same.
    """
    found: list[Group] = []
    for (task, objective, *_), runs in _by_objective(study).items():
        facts = facts_of(runs)
        classes = partition(facts, across) or [[]]
        for members in classes:
            others = [one for one in facts if one not in members]
            inside = _members(runs, classes, members)
            crossed = tuple(differences(members, [ground for ground in GROUNDS if ground in across]))
            apart = what_sets_apart(members, others)
            found.append(Group(task, objective, inside, _labels(inside), apart, crossed))
    return tuple(found)


def refusals(study: Study, across: Collection[Ground] = ()) -> tuple[str, ...]:
    """Return one line for each ground on which runs of one objective are not compared, with what to type."""
    asked = [ground for ground in GROUNDS if ground not in across]
    lines = []
    for runs in _by_objective(study).values():
        facts = facts_of(runs)
        lines += [
            f"Not compared with each other: {said}; to compare them all the same, type "
            f"`cellwise report {study.path} --across {','.join([*sorted(across), ground])}`."
            for ground in asked
            for said in differences(facts, [ground])
        ]
    return tuple(lines)


def _by_objective(study: Study) -> dict[tuple[str, str, str, str], list[RunRecord]]:
    """The runs by task, objective, direction and unit, sorted."""
    by_configuration = {
        **{(run.cell, run.identity): _key(run.info) for run in study.runs if run.info and run.info.objective},
        **{(run.cell, run.identity): _key(run.summary) for run in study.runs if run.summary},
    }
    ordered = sorted(set(by_configuration.values()))
    ordered = ordered or [(next((run.task for run in study.runs if run.task), ""), "", "min", "")]
    members: dict[tuple[str, str, str, str], list[RunRecord]] = {key: [] for key in ordered}
    for run in study.runs:
        same_task = next((key for key in ordered if key[0] == run.task), ordered[0])
        members[by_configuration.get((run.cell, run.identity), same_task)].append(run)
    return members


def _key(of: Summary | RunInfo) -> tuple[str, str, str, str]:
    return of.task, of.objective, of.direction, of.unit


def _members(
    runs: Iterable[RunRecord], classes: Sequence[Sequence[Facts]], members: Sequence[Facts]
) -> tuple[RunRecord, ...]:
    """The runs of a class; one of a configuration that nothing is known of is in the first."""
    mine = {one.configuration for one in members}
    known = {one.configuration for each in classes for one in each}
    first = members is classes[0]
    return tuple(r for r in runs if (r.cell, r.identity) in mine or (first and (r.cell, r.identity) not in known))


def _labels(runs: Sequence[RunRecord]) -> dict[tuple[str, str], str]:
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
