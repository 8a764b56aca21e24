"""One cell over several tasks: means on one scale, and performance profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cellwise.compare.numbers import short
from cellwise.compare.profiles import interquartile_mean_over_tasks, performance_profile
from cellwise.compare.statistics import Interval
from cellwise.compare.table import Comparison
from cellwise.compare.tasks import scores_over_tasks
from cellwise.compare.values import Floats
from cellwise.records.schema import Axis
from cellwise.report.overlay import Panel
from cellwise.report.references import look
from cellwise.report.terminal.table import over_tasks as said_of
from cellwise.report.theme import Style
from cellwise.report.traces import Trace, axis, band, figure, line

_THRESHOLDS = 101


def has_several_tasks(comparisons: Sequence[Comparison]) -> bool:
    """Return whether the comparisons are of more than one task or objective."""
    return len({(comparison.task, comparison.objective) for comparison in comparisons}) > 1


def tasks_panels(comparisons: Sequence[Comparison]) -> tuple[tuple[str, Panel], ...]:
    """Return the table of means and the performance profiles, by name.

    Raises:
        CellwiseError: scores have no scale in common, or no cell ran in each task.
    """
    scores = scores_over_tasks(comparisons)
    means = {label: interquartile_mean_over_tasks(by_task) for label, by_task in scores.items()}
    ranked = sorted(scores, key=lambda label: (-means[label].value, label))
    style = {label: each for comparison in comparisons for label, each in look(comparison.group).items()}
    return ("means", _means(ranked, scores, means)), ("profiles", _profiles(ranked, scores, style))


def _means(ranked: Sequence[str], scores: Mapping[str, Mapping[str, Floats]], means: Mapping[str, Interval]) -> Panel:
    tasks = list(next(iter(scores.values())))
    rows = [
        (label, said_of(means[label]), *(short(float(scores[label][task].mean()), 3) for task in tasks))
        for label in ranked
    ]
    return Panel(
        "Means over tasks",
        "Which cell is best over all tasks, each put on one scale?",
        heading=("cell", "interquartile mean [95 %]", *tasks),
        rows=tuple(rows),
        note="0 is the best floor of a task, 1 the best possible value. Interquartile means are over all runs of all "
        "tasks, with intervals by a stratified bootstrap; of each task the mean.",
    )


def _profiles(ranked: Sequence[str], scores: Mapping[str, Mapping[str, Floats]], style: Mapping[str, Style]) -> Panel:
    every = np.concatenate([values for by_task in scores.values() for values in by_task.values()])
    thresholds = np.linspace(min(0.0, float(every.min())), max(1.0, float(every.max())), _THRESHOLDS)
    data: list[Trace] = []
    for label in ranked:
        found = performance_profile(scores[label], thresholds)
        data.append(band(label, found.thresholds, found.low, found.high, style[label]))
        data.append(line(label, found.thresholds, found.share, style[label]))
    drawn = figure(
        data,
        xaxis=axis(Axis("score, 0 the best floor, 1 the best possible")),
        yaxis=axis(Axis("share of runs above"), range=[0, 1.02], tickformat=".0%"),
        hovermode="x unified",
    )
    question = "What share of a cell's runs is at least so good, over all tasks?"
    return Panel("Performance profiles", question, {"": drawn}, note="Higher is better; bands are 95 %, at each point.")
