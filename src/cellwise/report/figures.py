"""Learning curves of every seed, with the mean and the interval of each cell, as plain dictionaries."""

from __future__ import annotations

import math
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
from cellwise.report.references import is_wide, least_of_log, look, near, references
from cellwise.report.theme import Style, literal
from cellwise.report.traces import (
    MOST_POINTS,
    Figure,
    Trace,
    axis,
    band,
    decades,
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
    key = f"validation_{objective_of(group)}"
    for run in group.runs:
        curve = _read_curve(run, key)
        if curve.steps.size:
            found.setdefault(group.label(run), []).append(curve)
    return found


def objective_of(group: Group) -> str:
    """Return the objective; while no run has finished, which would name it, that of the first validation row."""
    rows = (row for run in group.runs for row in run.metrics()) if not group.objective else iter(())
    names = (key.removeprefix("validation_") for row in rows for key in row if key.startswith("validation_"))
    return group.objective or next(names, "")


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
    every = [y for each in curves.values() for curve in each for y in curve.y[np.isfinite(curve.y)].tolist()]
    wide = is_wide(every)
    least = max(comparison.least, least_of_log(every)) if wide else comparison.least
    opacity = _opacity(sum(map(len, curves.values())))
    beneath: list[Trace] = []
    above: list[Trace] = []
    for label in [row.label for row in comparison.rows if row.label in curves]:
        x, y = _points(curves[label], against)
        keep = [thinned(len(each), most) for each in x]
        seeds = [(x[k][at], y[k][at]) for k, at in enumerate(keep)]
        beneath += [thin_lines(label, seeds, style[label], opacity), *_ends(label, curves[label], x, y, style[label])]
        above += _mean(label, curves[label], against, style[label], least)
    # Bands beneath every mean, seeds beneath every band.
    data = [*beneath, *sorted(above, key=lambda trace: "fill" not in trace)]
    xs = [x for trace in data for x in trace["x"] if x is not None]
    ys = [y for trace in data for y in trace["y"] if y is not None]
    right = max(xs, default=1)
    lines = {name: value for name, value in references(comparison).items() if value > 0 or not wide}
    dashes = reference_dashes({name: name == "optimum" for name in lines})
    shown = near(ys, lines)
    for name, value in lines.items():
        # A floor far away would press the cells into one line: a click on the legend shows it.
        hidden = {} if name in shown else {"visible": "legendonly"}
        data.append(reference(name, [0, right], [value, value], dashes[name], **hidden))
    measured = Axis(
        f"validation {objective_of(comparison.group).replace('_', ' ')}", comparison.unit, "log" if wide else "linear"
    )
    return figure(
        data,
        460,
        xaxis=axis(Axis(AGAINST[against]), rangemode="tozero"),
        yaxis=axis(measured, **decades(measured, ys)),
        hovermode="x unified",
        meta={"least": numbers([least])[0]},
    )


def bands_cut(figure: Figure) -> str:
    """Say where bands of learning curves are cut and why; "" where none is."""
    least = figure["layout"]["meta"]["least"]
    if least is None or not any(trace.get("fill") and least in trace["y"] for trace in figure["data"]):
        return ""
    why = "where the axis ends" if figure["layout"]["yaxis"].get("type") == "log" else "no score can be below"
    return f"cut at {short(float(least), 2)}: {why}"


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
    ordered = [rows[step] for step in steps]
    x = {name: _numbers([row.get(name) for row in ordered]) for name in AGAINST}
    y = np.array([row[key] for row in ordered], dtype=np.float64)
    return Curve(run.seed, run.status, np.array(steps, dtype=np.int64), y, x)


def _numbers(values: list[Any]) -> Floats:
    """Numbers ``(n,)``; NaN for what is none."""
    return np.array([value if isinstance(value, int | float) else np.nan for value in values], dtype=np.float64)


def _opacity(seeds: int) -> float:
    """How strong a seed's line is: of a thousand each is a breath, or they would be one area."""
    return 0.35 * min(1.0, math.sqrt(25 / max(1, seeds)))


def _points(curves: list[Curve], against: str) -> tuple[list[Floats], list[Floats]]:
    """Where each curve is drawn, ``(rows,)``: x is not known of every row."""
    known = [np.isfinite(curve.x[against]) for curve in curves]
    x = [curve.x[against][at] for curve, at in zip(curves, known, strict=True)]
    return x, [curve.y[at] for curve, at in zip(curves, known, strict=True)]


def _mean(label: str, curves: list[Curve], against: str, style: Style, least: float) -> list[Trace]:
    """The mean of a cell with its band, at the steps that each counted run has reached."""
    counted = [curve for curve in curves if curve.status == "finished"] or curves
    common = reduce(np.intersect1d, [curve.steps[np.isfinite(curve.x[against])] for curve in counted])
    if not common.size:
        return []
    steps = common[thinned(len(common))]
    rows = [np.searchsorted(curve.steps, steps) for curve in counted]
    x = np.mean([curve.x[against][row] for curve, row in zip(counted, rows, strict=True)], axis=0)
    mean, low, high = t_intervals(np.array([curve.y[row] for curve, row in zip(counted, rows, strict=True)]))
    drawn = [line(label, x, mean, style)]
    return [band(label, x, np.maximum(low, least), high, style), *drawn] if len(counted) > 1 else drawn


def _ends(label: str, curves: list[Curve], xs: list[Floats], ys: list[Floats], style: Style) -> list[Trace]:
    """A cross where a run ended, or is, that has not finished; its line alone does not tell it from the others."""
    ends = [
        (x[-1], y[-1], f"{literal(label)}, seed {curve.seed} ({curve.status})")
        for curve, x, y in zip(curves, xs, ys, strict=True)
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
