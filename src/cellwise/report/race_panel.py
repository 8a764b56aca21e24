"""Which cell reaches a target first: the share of runs that are there over time, and how sure the order is."""

from __future__ import annotations

import math

import numpy as np

from cellwise.compare.numbers import short
from cellwise.compare.survival import survival_curve
from cellwise.compare.table import Comparison
from cellwise.compare.target import Race, Reached, race
from cellwise.records.schema import Axis
from cellwise.report.overlay import Panel
from cellwise.report.references import look
from cellwise.report.terminal.target import sentences, time_of
from cellwise.report.theme import Style
from cellwise.report.traces import Trace, axis, figure, line, numbers


def race_panel(comparison: Comparison, target: float) -> Panel:
    """Draw how soon each cell's validation was at a target or better.

    Args:
        comparison: the runs.
        target: in the unit of the objective.

    Raises:
        CellwiseError: a target that is not finite.
    """
    found = race(comparison.group, target, comparison.direction)
    style = look(comparison.group)
    at = "at most" if comparison.direction == "min" else "at least"
    drawn = figure(
        [_steps(row, style[row.label], _longest(found)) for row in found.rows],
        xaxis=axis(Axis("training steps"), range=numbers([0, 1.02 * _longest(found)])),
        yaxis=axis(Axis("share of runs there"), range=[0, 1.02], tickformat=".0%"),
        hovermode="closest",
    )
    rows = []
    for row in found.rows:
        _, low, high = row.median
        between = "–" if low == 0 and math.isinf(high) else f"{time_of(low)} to {time_of(high)}"
        rows.append((row.label, str(row.n), str(row.reached), time_of(row.median.value), between))
    return Panel(
        "Time to target",
        f"After how many training steps is validation {at} {short(target)}?",
        {"": drawn},
        heading=("cell", "runs", "there", "median steps", "95 % interval"),
        rows=tuple(rows),
        note=" ".join(sentence.removeprefix("- ") for sentence in sentences(found))
        + " A run that never was there counts with the longest time; medians are Kaplan and Meier's.",
    )


def _longest(found: Race) -> float:
    return max((float(row.runs.times.max()) for row in found.rows if row.runs.times.size), default=0.0)


def _steps(row: Reached, style: Style, longest: float) -> Trace:
    """The share of a cell's runs that are there, which jumps where a run arrives."""
    curve = survival_curve(row.runs)
    x = np.concatenate([[0.0], curve.times, [longest]])
    there = np.concatenate([[0.0], 1 - curve.share])
    y = np.concatenate([there, there[-1:]])
    drawn = line(row.label, x, y, style)
    drawn["line"]["shape"] = "hv"
    return {**drawn, "hovertemplate": f"{drawn['name']}: %{{y:.0%}} at %{{x:,}} steps<extra></extra>"}
