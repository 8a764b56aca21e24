"""Learning curves of every seed, with the mean and the interval of each cell, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwise.compare.groups import Group
from cellwise.compare.numbers import short
from cellwise.compare.statistics import t_intervals
from cellwise.compare.table import Comparison
from cellwise.compare.values import Floats
from cellwise.records.schema import Axis
from cellwise.records.store import RunRecord
from cellwise.report.references import look, near, references
from cellwise.report.theme import Style, literal
from cellwise.report.traces import (
    MOST_POINTS,
    Figure,
    Trace,
    axis,
    band,
    figure,
    line,
    numbers,
    reference,
    reference_dashes,
    thin_lines,
    thinned,
)

# What a learning curve may be drawn against: the key in metrics.jsonl and its name.
AGAINST = {"step": "training steps", "examples": "examples seen", "seconds": "training time (s)"}
# All seeds of a figure together: a browser draws so many at once, and three variants of them take 3 MB.
MOST_SEED_POINTS = 80_000


@dataclass(frozen=True)
class Curve:
    """One run's validation objective ``y`` ``(rows,)`` at its ``steps`` ``(rows,)``, in order.

    ``x`` has the places of ``AGAINST``, each ``(rows,)``, NaN where a row does not tell.
    """

    seed: int
    status: str
    steps: npt.NDArray[np.int64]
    y: Floats
    x: Mapping[str, Floats]


def validation_curves(group: Group) -> dict[str, list[Curve]]:
    """Read the validation rows of every run, by label."""
    found: dict[str, list[Curve]] = {}
    for run in group.runs:
        curve = _read_curve(run, f"validation_{group.objective}")
        if curve.steps.size:
            found.setdefault(group.label(run), []).append(curve)
    return found


def learning_curves(comparison: Comparison, curves: Mapping[str, list[Curve]], against: str = "step") -> Figure:
    """Draw the validation objective: per cell a mean, a 95 % band, every seed; floors and optimum across.

    The mean is over finished runs (all runs while none is) at the steps that each of them reached. Bands are cut where
    no score can be.

    Args:
        comparison: gives floors, optimum and labels.
        curves: ``validation_curves(comparison.group)``.
        against: a key of ``AGAINST``.
    """
    style = look(comparison.group)
    most = points_of_a_seed(curves)
    data: list[Trace] = []
    for label in [row.label for row in comparison.rows if row.label in curves]:
        data += _curve_traces(label, curves[label], against, style[label], comparison.least, most)
    xs = [x for trace in data for x in trace["x"] if x is not None]
    ys = [y for trace in data for y in trace["y"] if y is not None]
    right = max(xs, default=1)
    lines = references(comparison)
    dashes = reference_dashes({name: name == "optimum" for name in lines})
    shown = near(ys, lines)
    for name, value in lines.items():
        # A floor far away would press the cells into one line: a click on the legend shows it.
        hidden = {} if name in shown else {"visible": "legendonly"}
        data.append(reference(name, [0, right], [value, value], dashes[name], **hidden))
    heights = [*ys, *shown.values()]
    wide = bool(heights) and min(heights) > 0 and max(heights) > 8 * min(heights)
    y = Axis(f"validation {comparison.objective.replace('_', ' ')}", comparison.unit, "log" if wide else "linear")
    return figure(
        data,
        460,
        xaxis=axis(Axis(AGAINST[against]), rangemode="tozero"),
        yaxis=axis(y),
        hovermode="x unified",
    )


def bands_cut(figure: Figure, least: float) -> str:
    """Say where bands of learning curves are cut, ``cut at 0``; "" where none is."""
    cut = any(trace.get("fill") and least in trace["y"] for trace in figure["data"])
    return f"cut at {short(least)}" if cut else ""


def points_of_a_seed(curves: Mapping[str, list[Curve]]) -> int:
    """Return with how many points at most each seed is drawn, so that all together stay light."""
    seeds = sum(map(len, curves.values()))
    return max(20, min(MOST_POINTS, MOST_SEED_POINTS // max(1, seeds)))


def _read_curve(run: RunRecord, key: str) -> Curve:
    rows: dict[int, dict[str, Any]] = {}
    for row in run.metrics():
        if isinstance(row.get("step"), int) and isinstance(row.get(key), int | float):
            rows[row["step"]] = row
    steps = sorted(rows)
    x = {name: np.array([_number(rows[step].get(name)) for step in steps]) for name in AGAINST}
    y = np.array([float(rows[step][key]) for step in steps])
    return Curve(run.seed, run.status, np.array(steps, dtype=np.int64), y, x)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def _curve_traces(label: str, curves: list[Curve], against: str, style: Style, least: float, most: int) -> list[Trace]:
    placed = [(curve, np.isfinite(curve.x[against])) for curve in curves]
    drawn = [(curve.x[against][at], curve.y[at]) for curve, at in placed]
    keep = [thinned(len(x), most) for x, _ in drawn]
    traces = [thin_lines(label, [(x[k], y[k]) for (x, y), k in zip(drawn, keep, strict=True)], style)]
    traces += _ends(label, [curve for curve, _ in placed], drawn, style)
    counted = [(c, at) for c, at in placed if c.status == "finished"] or placed
    common = reduce(np.intersect1d, [c.steps[at] for c, at in counted])
    if not common.size:
        return traces
    steps = common[thinned(len(common))]
    rows = [np.searchsorted(c.steps, steps) for c, _ in counted]
    x = np.mean([c.x[against][row] for (c, _), row in zip(counted, rows, strict=True)], axis=0)
    mean, low, high = t_intervals(np.array([c.y[row] for (c, _), row in zip(counted, rows, strict=True)]))
    if len(counted) > 1:
        traces.append(band(label, x, np.maximum(low, least), high, style))
    traces.append(line(label, x, mean, style))
    return traces


def _ends(label: str, curves: list[Curve], drawn: list[tuple[Floats, Floats]], style: Style) -> list[Trace]:
    """A cross where a run ended, or is, that has not finished; its line alone does not tell it from the others."""
    ends = [
        (x[-1], y[-1], f"{literal(label)}, seed {curve.seed} ({curve.status})")
        for curve, (x, y) in zip(curves, drawn, strict=True)
        if curve.status != "finished" and x.size
    ]
    if not ends:
        return []
    marker = {"color": style.colour, "symbol": "x-thin", "size": 9, "line": {"width": 2, "color": style.colour}}
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": literal(f"{label}, not finished"),
            "legendgroup": literal(label),
            "showlegend": False,
            "x": numbers([x for x, _, _ in ends]),
            "y": numbers([y for _, y, _ in ends]),
            "text": [said for _, _, said in ends],
            "marker": marker,
            "hovertemplate": "%{text}: %{y:.4~g}<extra></extra>",
        }
    ]
