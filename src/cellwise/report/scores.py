"""A dot for every seed, and below the dots what they amount to: final scores and speed, one row a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cellwise.compare.numbers import short
from cellwise.compare.table import Comparison, Row
from cellwise.records.schema import Axis
from cellwise.report.references import look, near, references, span
from cellwise.report.theme import Style, literal
from cellwise.report.traces import Figure, Trace, axis, figure, jitter, numbers, reference, reference_dashes

# Rows of few cells have room; of many the figure would be longer than a screen.
_ROW, _NARROW_ROW, _MANY = 62, 38, 8


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
    lines = references(comparison)
    shown = near(values, lines)  # a floor far away would press the cells into one point: it is named instead
    dashes = reference_dashes({name: name == "optimum" for name in lines})
    for name, value in shown.items():
        ends = [-0.5, len(rows) - 0.5]
        hover = "%{x:.4~g}<extra></extra>"
        data.append(reference(name, [value, value], ends, dashes[name], hovertemplate=hover))
    outside = ", ".join(f"{name} {short(value)}" for name, value in lines.items() if name not in shown)
    x = Axis(f"test {comparison.objective.replace('_', ' ')}", comparison.unit)
    drawn = dot_rows([row.label for row in rows], data, axis(x, range=_around([*values, *shown.values()], values)))
    drawn["layout"]["showlegend"] = bool(shown)
    return drawn, f"Outside the picture: {outside}." if outside else ""


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
        "legendgroup": literal(label),
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
    return dots(label, [x], [place - 0.18], style, marker=marker, hovertemplate=f"{hover}<extra></extra>")


def row_of_dots(label: str, by_seed: dict[int, float], place: float, style: Style) -> Trace:
    """Return the dots of one row, a little above its place, never two on each other."""
    y = [place + 0.12 + offset for offset in jitter(len(by_seed), 0.16 if len(by_seed) <= 20 else 0.34)]
    said = [literal(f"{label}, seed {seed}") for seed in by_seed]
    hover = "%{text}: %{x:.5~g}<extra></extra>"
    return dots(label, list(by_seed.values()), y, style, text=said, hovertemplate=hover)


def _around(shown: list[float], values: list[float]) -> list[float]:
    margin = 0.06 * span(values)
    return numbers([min(shown) - margin, max(shown) + margin])


def _score_traces(row: Row, place: float, style: Style, interval: tuple[float, float]) -> list[Trace]:
    """One row of the final scores: every seed's dot, and below them the mean with its interval."""
    traces = [row_of_dots(row.label, row.values, place, style)]
    if row.n > 1:
        traces.append(_mean_bar(row, interval, place, style))
    return traces


def _mean_bar(row: Row, interval: tuple[float, float], place: float, style: Style) -> Trace:
    """The mean as a line across its 95 % interval, which is lopsided where it is cut."""
    low, high = interval
    error = {
        "type": "data",
        "symmetric": False,
        "array": numbers([high - row.mean]),
        "arrayminus": numbers([row.mean - low]),
        "color": style.colour,
        "thickness": 2.5,
        "width": 6,
    }
    hover = f"mean %{{x:.5~g}}, 95 % interval {short(low)} to {short(high)}"
    return {**bar(row.label, row.mean, place, style, hover), "error_x": error}
