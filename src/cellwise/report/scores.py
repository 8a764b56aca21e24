"""A dot for every seed, and below the dots what they amount to: final scores and speed, one row a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from cellwise.compare.numbers import short
from cellwise.compare.table import Comparison, Row
from cellwise.records.schema import Axis
from cellwise.report.references import least_of_log, look, near, references, scale, span
from cellwise.report.theme import Style, literal
from cellwise.report.traces import Figure, Trace, axis, decades, figure, jitter, numbers, reference, reference_dashes

# Rows of few cells have room; of many the figure would be longer than a screen.
_ROW, _NARROW_ROW, _MANY = 62, 38, 8
_MANY_SEEDS = 20


def final_scores(comparison: Comparison) -> tuple[Figure, str]:
    """Draw every seed's test score as a dot, with mean and 95 % interval per cell; best cell on top.

    Intervals are cut where no score can be.

    Returns:
        the figure, and a note that names the floors or the optimum that lie outside of it.
    """
    style = look(comparison.group)
    rows = [row for row in comparison.rows if row.n]
    scored = [value for row in rows for value in row.values.values()]
    log = scale(scored) == "log"
    lows = [comparison.shown_interval(row)[0] for row in rows if row.n > 1]
    least = least_of_log(scored, lows) if log else -math.inf
    intervals = {row.label: tuple(max(bound, least) for bound in comparison.shown_interval(row)) for row in rows}
    data = [
        trace
        for place, row in enumerate(reversed(rows))
        for trace in _score_traces(comparison, row, place, style[row.label], intervals[row.label])
    ]
    values = [*scored, *(bound for row in rows if row.n > 1 for bound in intervals[row.label])]
    lines = references(comparison)
    # A floor far away would press the cells into one point: it is named instead.
    shown = near(values, {name: value for name, value in lines.items() if value > 0 or not log})
    dashes = reference_dashes({name: name == "optimum" for name in lines})
    for name, value in shown.items():
        ends = [-0.5, len(rows) - 0.5]
        hover = "%{x:.4~g}<extra></extra>"
        data.append(reference(name, [value, value], ends, dashes[name], hovertemplate=hover))
    x = Axis(f"test {comparison.objective.replace('_', ' ')}", comparison.unit, "log" if log else "linear")
    every = [*values, *shown.values()]
    drawn = dot_rows([row.label for row in rows], data, axis(x, range=_around(every, log), **decades(x, every)))
    drawn["layout"]["showlegend"] = bool(shown)
    notes = [f"Outside the picture: {_listed(lines, shown)}."] if len(shown) < len(lines) else []
    if any(low < least for low in lows):
        notes.append("The axis is logarithmic: an interval that reaches 0 ends at its edge.")
    return drawn, " ".join(notes)


def dot_rows(labels: Sequence[str], data: list[Trace], xaxis: dict[str, Any]) -> Figure:
    """Return a figure with one row a label, the first on top; traces of a row are around its place from below.

    ``layout.meta.rows`` tells the page that a row can be taken out.
    """
    y = {
        "tickvals": list(range(len(labels))),
        "ticktext": [literal(label) for label in reversed(labels)],
        "range": [-0.5, len(labels) - 0.5],
        "automargin": True,
        "showgrid": False,
        "zeroline": False,
    }
    each = _ROW if len(labels) <= _MANY else _NARROW_ROW
    return figure(
        data, 130 + each * len(labels), xaxis=xaxis, yaxis=y, showlegend=False, meta={"rows": each}, hovermode="closest"
    )


def dots(label: str, x: Any, y: Any, style: Style, **more: Any) -> Trace:
    """Return dots in the colour and marker of their cell."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": literal(label),
        "x": numbers(x),
        "y": numbers(y),
        "marker": {"color": style.colour, "symbol": style.symbol, "size": 9, "opacity": 0.7},
        "showlegend": False,
        **more,
    }


def bar(label: str, x: float, place: float, style: Style, hover: str) -> Trace:
    """Return the short upright line of a mean or median below the dots of its row."""
    # Plotly draws open line symbols with the outline alone.
    marker = {
        "color": style.colour,
        "symbol": "line-ns",
        "size": 16,
        "line": {"width": 3, "color": style.colour},
    }
    return dots(label, [x], [place - 0.2], style, marker=marker, hovertemplate=f"{hover}<extra></extra>")


def row_of_dots(label: str, by_seed: dict[int, float], place: float, style: Style) -> Trace:
    """Return the dots of one row, a little above its place, never two on each other."""
    many = len(by_seed) > _MANY_SEEDS
    y = [place + (0.2 if many else 0.12) + offset for offset in jitter(len(by_seed), 0.34 if many else 0.16)]
    said = [literal(f"{label}, seed {seed}") for seed in by_seed]
    hover = "%{text}: %{x:.5~g}<extra></extra>"
    drawn = dots(label, list(by_seed.values()), y, style, text=said, hovertemplate=hover)
    drawn["marker"]["size"] = 6 if many else 9
    return drawn


def _listed(lines: dict[str, float], shown: dict[str, float]) -> str:
    return ", ".join(f"{name} {short(value)}" for name, value in lines.items() if name not in shown)


def _around(shown: list[float], log: bool) -> list[Any]:
    """The range of an axis with a margin, as Plotly takes it."""
    at = [math.log10(value) for value in shown] if log else shown
    margin = 0.05 * span(at)
    return numbers([min(at) - margin, max(at) + margin])


def _score_traces(
    comparison: Comparison, row: Row, place: float, style: Style, drawn: tuple[float, ...]
) -> list[Trace]:
    """One row of the final scores: every seed's dot, and below them the mean with its interval."""
    traces = [row_of_dots(row.label, row.values, place, style)]
    if row.n > 1:
        low, high = comparison.shown_interval(row)
        hover = f"mean %{{x:.5~g}}, 95 % interval {short(low)} to {short(high)}"
        traces.append({**bar(row.label, row.mean, place, style, hover), "error_x": whiskers(row.mean, drawn, style)})
    return traces


def whiskers(mean: float, interval: Sequence[float], style: Style, thickness: float = 2.5) -> dict[str, Any]:
    """Return the error bar of a mean, lopsided where its interval is cut."""
    low, high = interval
    return {
        "type": "data",
        "symmetric": False,
        "array": numbers([high - mean]),
        "arrayminus": numbers([mean - low]),
        "color": style.colour,
        "thickness": thickness,
        "width": 6,
    }
