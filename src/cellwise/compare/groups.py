"""Runs that may be compared: the same task and the same objective; and what each configuration is called."""

from __future__ import annotations

from dataclasses import dataclass

from cellwise.records.store import RunRecord, Study


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


def _labels(runs: list[RunRecord]) -> dict[tuple[str, str], str]:
    """A cell with one configuration is called by its name, one with several by name and identity."""
    configurations = {(run.cell, run.identity) for run in runs}
    return {
        (cell, identity): cell if sum(c == cell for c, _ in configurations) == 1 else f"{cell}-{identity}"
        for cell, identity in sorted(configurations)
    }
