"""The two figures that every study has: learning curves and final scores, as plain dictionaries."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellwise.compare.groups import Group
from cellwise.compare.numbers import short
from cellwise.compare.statistics import t_interval
from cellwise.compare.table import Comparison, Row
from cellwise.records.schema import Axis
from cellwise.records.store import RunRecord
from cellwise.report.theme import Style, literal, styles
from cellwise.report.traces import (
    Figure,
    Trace,
    axis,
    band,
    figure,
    jitter,
    line,
    numbers,
    reference,
    reference_dashes,
    thin_line,
    thinned,
)

# What a learning curve may be drawn against: the key in metrics.jsonl and its name.
AGAINST = {"step": "training steps", "examples": "examples seen", "seconds": "training time (s)"}


@dataclass(frozen=True)
class Curve:
    """One run's validation objective ``y`` by global step; ``x`` has the places of ``AGAINST`` by step."""

    seed: int
    status: str
    y: dict[int, float]
    x: dict[str, dict[int, float]]


def look(group: Group) -> dict[str, Style]:
    """Return the style of each configuration of a group."""
    return styles({label: cell for (cell, _), label in group.labels.items()})


def validation_curves(group: Group) -> dict[str, list[Curve]]:
    """Read the validation rows of every run, by label."""
    found: dict[str, list[Curve]] = {}
    for run in group.runs:
        curve = _read_curve(run, f"validation_{group.objective}")
        if curve.y:
            found.setdefault(group.label(run), []).append(curve)
    return found


def learning_curves(comparison: Comparison, curves: dict[str, list[Curve]], against: str = "step") -> Figure:
    """Draw the validation objective: per cell a mean, a 95 % band, every seed; floors and optimum across.

    The mean is over finished runs (all runs while none is) at the steps that each of them reached. Bands are cut where
    no score can be.

    Args:
        comparison: gives floors, optimum and labels.
        curves: ``validation_curves(comparison.group)``.
        against: a key of ``AGAINST``.
    """
    style = look(comparison.group)
    data: list[Trace] = []
    for label in [row.label for row in comparison.rows if row.label in curves]:
        data += _curve_traces(label, curves[label], against, style[label], comparison.least)
    drawn = [(x, y) for trace in data for x, y in zip(trace["x"], trace["y"], strict=True) if y is not None]
    right = max((x for x, _ in drawn), default=1)
    lines = _references(comparison)
    dashes = reference_dashes({name: name == "optimum" for name in lines})
    near = _near([y for _, y in drawn], lines)
    for name, value in lines.items():
        # A floor far away would press the cells into one line: a click on the legend shows it.
        hidden = {} if name in near else {"visible": "legendonly"}
        data.append(reference(name, [0, right], [value, value], dashes[name], **hidden))
    heights = [y for _, y in drawn] + list(near.values())
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


def final_scores(comparison: Comparison) -> tuple[Figure, str]:
    """Draw every seed's test score as a dot, with mean and 95 % interval per cell; best cell on top.

    Intervals are cut where no score can be.

    Returns:
        the figure, and a note that names the floors or the optimum that lie outside of it.
    """
    style = look(comparison.group)
    rows = [row for row in comparison.rows if row.n]
    data = [
        trace
        for place, row in enumerate(reversed(rows))
        for trace in _score_traces(row, place, style[row.label], comparison.shown_interval(row))
    ]
    values = [value for row in rows for value in row.values.values()]
    values += [bound for row in rows if row.n > 1 for bound in comparison.shown_interval(row)]
    span = _span(values)
    lines = _references(comparison)
    near = _near(values, lines)  # a floor far away would press the cells into one point: it is named instead
    dashes = reference_dashes({name: name == "optimum" for name in lines})
    for name, value in near.items():
        ends = [-0.5, len(rows) - 0.5]
        hover = "%{x:.4~g}<extra></extra>"
        data.append(reference(name, [value, value], ends, dashes[name], hovertemplate=hover))
    shown = [*values, *near.values()]
    outside = ", ".join(f"{name} {short(value)}" for name, value in lines.items() if name not in near)
    x = Axis(f"test {comparison.objective.replace('_', ' ')}", comparison.unit)
    y = {
        "tickvals": list(range(len(rows))),
        "ticktext": [literal(row.label) for row in reversed(rows)],
        "range": [-0.5, len(rows) - 0.5],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }
    drawn = figure(
        data,
        130 + 62 * len(rows),
        xaxis=axis(x, range=numbers([min(shown) - 0.06 * span, max(shown) + 0.06 * span])),
        yaxis=y,
        showlegend=bool(near),
    )
    return drawn, f"Outside the picture: {outside}." if outside else ""


def _read_curve(run: RunRecord, key: str) -> Curve:
    y: dict[int, float] = {}
    x: dict[str, dict[int, float]] = {name: {} for name in AGAINST}
    for row in run.metrics():
        if isinstance(row.get("step"), int) and isinstance(row.get(key), int | float):
            y[row["step"]] = float(row[key])
            for name in AGAINST:
                if isinstance(row.get(name), int | float):
                    x[name][row["step"]] = float(row[name])
    return Curve(run.seed, run.status, y, x)


def _curve_traces(label: str, curves: list[Curve], against: str, style: Style, least: float) -> list[Trace]:
    traces: list[Trace] = []
    for curve in curves:
        steps = _thin(sorted(curve.y.keys() & curve.x[against].keys()))
        state = "" if curve.status == "finished" else f" ({curve.status})"
        hover = f"{label}, seed {curve.seed}{state}"
        y = [curve.y[s] for s in steps]
        traces.append(thin_line(label, hover, [curve.x[against][s] for s in steps], y, style))
    counted = [c for c in curves if c.status == "finished"] or curves
    common = set.intersection(*(c.y.keys() & c.x[against].keys() for c in counted))
    steps = _thin(sorted(common))
    if not steps:
        return traces
    x = [float(np.mean([c.x[against][s] for c in counted])) for s in steps]
    intervals = [t_interval([c.y[s] for c in counted]) for s in steps]
    if len(counted) > 1:
        low, high = [max(i.low, least) for i in intervals], [i.high for i in intervals]
        traces.append(band(label, x, low, high, style))
    traces.append(line(label, x, [i.value for i in intervals], style))
    return traces


def _thin(steps: list[int]) -> list[int]:
    return [steps[i] for i in thinned(len(steps))]


def _references(comparison: Comparison) -> dict[str, float]:
    """Floors and optimum, by the name in the legend."""
    lines = {f"floor: {name}": value for name, value in comparison.floors.items() if math.isfinite(value)}
    if comparison.optimum is not None and math.isfinite(comparison.optimum):
        lines["optimum"] = comparison.optimum
    return lines


def _span(values: list[float]) -> float:
    return (max(values) - min(values)) or abs(values[0]) * 0.1 or 1.0


def _near(values: list[float], lines: dict[str, float]) -> dict[str, float]:
    """The lines that a picture of these values has room for: at most as far outside as the values reach."""
    if not values:
        return lines
    span = _span(values)
    return {name: value for name, value in lines.items() if min(values) - span <= value <= max(values) + span}


def _score_traces(row: Row, place: float, style: Style, interval: tuple[float, float]) -> list[Trace]:
    """One row of the final scores: every seed's dot, and below them the mean with its interval."""
    dots = [place + 0.12 + offset for offset in jitter(row.n, 0.16)]
    seeds = [f"{literal(row.label)}, seed {seed}" for seed in row.values]
    marker = {"color": style.colour, "symbol": style.symbol, "size": 9, "opacity": 0.7}
    hover = "%{text}: %{x:.5~g}<extra></extra>"
    traces = [_dots(list(row.values.values()), dots, marker, text=seeds, hovertemplate=hover)]
    if row.n > 1:
        traces.append(_mean_bar(row.mean, interval, place - 0.18, style.colour))
    return traces


def _dots(x: Any, y: Any, marker: dict[str, Any], **more: Any) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": numbers(x),
        "y": numbers(y),
        "marker": marker,
        "showlegend": False,
        **more,
    }


def _mean_bar(mean: float, interval: tuple[float, float], place: float, colour: str) -> Trace:
    """The mean as a line across its 95 % interval, which is lopsided where it is cut."""
    low, high = interval
    error = {
        "type": "data",
        "symmetric": False,
        "array": numbers([high - mean]),
        "arrayminus": numbers([mean - low]),
        "color": colour,
        "thickness": 2.5,
        "width": 6,
    }
    # Plotly draws open line symbols with the outline alone.
    marker = {"color": colour, "symbol": "line-ns", "size": 16, "line": {"width": 3, "color": colour}}
    return {
        **_dots([mean], [place], marker),
        "error_x": error,
        "hovertemplate": f"mean %{{x:.5~g}}, 95 % interval {short(low)} to {short(high)}<extra></extra>",
    }
