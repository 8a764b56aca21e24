"""Curves and distributions as Plotly figures, which W&B shows as they are: lines with bands, bars, axes with units."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import plotly.graph_objects as go

from cellwise.records.mirrors.colours import GIVEN, LINES, rgb
from cellwise.records.mirrors.words import with_unit
from cellwise.records.schema import Axis, Curves, Distribution, Series

_BINS = 40


def plot_curves(view: Curves) -> go.Figure:
    """Return lines with their bands; the best possible and floors are grey and dashed."""
    traces: list[dict[str, Any]] = []
    colours = iter(LINES * len(view.series))
    for series in view.series:
        measured = series.role == "measured"
        colour = next(colours) if measured else GIVEN
        line = {"color": colour, "width": 2, "dash": "solid" if measured else "dash"}
        mode = "lines+markers" if measured or len(series.x) == 1 else "lines"
        look = {"mode": "markers" if view.marks == "dots" else mode, "line": line}
        name = _literal(series.name)
        traces += _band(series, colour)
        traces.append({"type": "scatter", "x": series.x.tolist(), "y": series.y.tolist(), "name": name, **look})
    return _figure(traces, view, _axis(view.x), _axis(view.y))


def plot_distribution(view: Distribution) -> go.Figure:
    """Return the share of each group's samples in bins that all groups have in common."""
    every = np.concatenate([values[np.isfinite(values)] for values in view.samples.values()] or [np.zeros(0)])
    edges = np.histogram_bin_edges(every, _BINS) if every.size else np.array([0.0, 1.0])
    traces = []
    for (group, values), colour in zip(view.samples.items(), LINES * (1 + len(view.samples)), strict=False):
        counts = np.histogram(values[np.isfinite(values)], edges)[0]
        shares = (counts / max(1, counts.sum())).tolist()
        middles = ((edges[:-1] + edges[1:]) / 2).tolist()
        line = {"color": colour, "width": 2, "shape": "hvh"}
        named = _literal(group)
        traces.append({"type": "scatter", "mode": "lines", "x": middles, "y": shares, "name": named, "line": line})
    return _figure(traces, view, _axis(view.value), _axis(Axis("share of samples")))


def _band(series: Series, colour: str) -> list[dict[str, Any]]:
    if series.low is None or series.high is None:
        return []
    around = [*series.x.tolist(), *series.x.tolist()[::-1]]
    edge = [*series.low.tolist(), *series.high.tolist()[::-1]]
    red, green, blue = rgb(colour)
    look = {"fill": "toself", "fillcolor": f"rgba({red},{green},{blue},0.2)", "line": {"width": 0}, "mode": "lines"}
    return [{"type": "scatter", "x": around, "y": edge, "hoverinfo": "skip", "showlegend": False, **look}]


def _axis(axis: Axis) -> dict[str, Any]:
    return {"title": {"text": _literal(with_unit(axis))}, "type": axis.scale, "automargin": True}


def _figure(traces: list[dict[str, Any]], view: Curves | Distribution, x: Any, y: Any) -> go.Figure:
    heading = f"{_literal(view.title)}<br><sub>{_literal(view.question)}</sub>"
    layout = {"title": {"text": heading}, "xaxis": x, "yaxis": y, "template": "none", "showlegend": True}
    return go.Figure(data=traces, layout=layout)


def _literal(text: str) -> str:
    """Plotly reads tags and links in every text that it draws."""
    return html.escape(text, quote=False)
