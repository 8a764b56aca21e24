"""A stored view drawn from its kind alone: the same view of different cells in one figure or table.

The report knows no task: what it needs is in the view. Curves and table numbers are means over seeds;
where an average makes no sense (images, heat maps, text) the first seed is shown and named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from cellwise.compare.numbers import short
from cellwise.compare.statistics import t_interval
from cellwise.records.schema import Axis, Curves, Distribution, Gallery, Series, Table, Text, View, kind_of
from cellwise.report.cards import Card, cards
from cellwise.report.fields import draw_filmstrip, draw_heatmap
from cellwise.report.theme import BLUE, DASHES, SYMBOLS, VERMILLION, Style, faded, literal
from cellwise.report.traces import (
    Figure,
    Trace,
    axis,
    band,
    between,
    decades,
    figure,
    jitter,
    line,
    reference,
    reference_dashes,
    thinned,
)

# Up to this many samples a group's values are drawn one by one, beyond it as a density.
MOST_DOTS = 60
BINS = 40
# Kinds of which an average makes no sense.
OF_ONE_SEED = ("heatmap", "filmstrip", "gallery", "text")

ByCell: TypeAlias = Mapping[str, Sequence[tuple[int, View]]]


@dataclass(frozen=True)
class Panel:
    """One piece of evidence as it is shown: a figure, a table (heading, rows), coloured texts by cell, or cards.

    A figure may have several ``variants`` by name, of which the reader picks one. A text is its label and its
    tokens, each with background colour and weight. A card is an example with what each cell says of it. ``note``
    explains what is averaged.
    """

    title: str
    question: str
    variants: Mapping[str, Figure] = field(default_factory=dict)
    heading: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    texts: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = ()
    cards: tuple[Card, ...] = ()
    note: str = ""


def draw_view(views: ByCell, style: Mapping[str, Style]) -> Panel:
    """Draw one view of every cell that stored it.

    Args:
        views: per label the (seed, view) pairs in order of seeds; all of one kind and one name.
        style: how each label looks.
    """
    first = next(iter(views.values()))[0][1]
    draw: dict[str, Callable[[Any, Mapping[str, Style]], Panel]] = {
        "curves": _curves,
        "distribution": _distribution,
        "heatmap": lambda v, s: _first_seed(v, draw_heatmap),
        "filmstrip": lambda v, s: _first_seed(v, draw_filmstrip),
        "gallery": _gallery,
        "table": _table,
        "text": _text,
    }
    return draw[kind_of(first)](views, style)


def _first(views: ByCell) -> View:
    return next(iter(views.values()))[0][1]


def _seed_note(views: ByCell) -> str:
    seeds = sorted({found[0][0] for found in views.values()})
    return f"Shown is the first seed of each cell (seed {', '.join(map(str, seeds))})."


def _first_seed(views: ByCell, draw: Callable[[dict[str, Any]], Figure]) -> Panel:
    view = _first(views)
    drawn = draw({label: found[0][1] for label, found in views.items()})
    return Panel(view.title, view.question, {"": drawn}, note=_seed_note(views))


def _curves(views: Mapping[str, Sequence[tuple[int, Curves]]], style: Mapping[str, Style]) -> Panel:
    view = next(iter(views.values()))[0][1]
    if view.marks == "dots":
        return _dots(views, style)
    data: list[Trace] = []
    for label, found in views.items():
        measured = _by_name([s for _, v in found for s in v.series if s.role == "measured"])
        for number, (name, series) in enumerate(measured.items()):
            shown = label if len(measured) == 1 else f"{label}: {name}"
            dash = style[label].dash if len(measured) == 1 else DASHES[number % len(DASHES)]
            data += _mean_line(shown, series, view.y, Style(style[label].colour, dash, style[label].symbol))
    every = [s for found in views.values() for _, v in found for s in v.series if s.role != "measured"]
    known = _by_name(every)
    dashes = reference_dashes({name: series[0].role == "optimum" for name, series in known.items()})
    for name, series in known.items():
        x, _, mean, _ = _over_seeds(series, view.y)
        data.append(reference(name, x, mean, dashes[name]))
    ticks = decades(view.y, [y for trace in data for y in trace["y"]])
    drawn = figure(data, xaxis=axis(view.x), yaxis=axis(view.y, **ticks), hovermode="x unified")
    most = max(len(found) for found in views.values())
    means = "geometric means" if view.y.scale == "log" else "means"
    note = f"Lines are {means} over up to {most} seeds, bands 95 % intervals." if most > 1 else ""
    return Panel(view.title, view.question, {"": drawn}, note=note)


def _dots(views: Mapping[str, Sequence[tuple[int, Curves]]], style: Mapping[str, Style]) -> Panel:
    """Every point of the first seed."""
    view = _first(views)
    assert isinstance(view, Curves)
    data: list[Trace] = []
    for label, found in views.items():
        series = found[0][1].series
        for number, one in enumerate(series):
            name = label if len(series) == 1 else f"{label}: {one.name}"
            symbol = style[label].symbol if len(series) == 1 else SYMBOLS[number % len(SYMBOLS)]
            marker = {"color": style[label].colour, "symbol": symbol, "size": 7, "opacity": 0.6}
            hover = f"{literal(name)}: %{{x:.4~g}}, %{{y:.4~g}}<extra></extra>"
            drawn = line(name, one.x, one.y, style[label], mode="markers", marker=marker, hovertemplate=hover)
            data.append(drawn)
    x, y = (axis(of, **between(of)) for of in (view.x, view.y))
    return Panel(view.title, view.question, {"": figure(data, xaxis=x, yaxis=y)}, note=_seed_note(views))


def _by_name(series: Sequence[Series]) -> dict[str, list[Series]]:
    found: dict[str, list[Series]] = {}
    for one in series:
        found.setdefault(one.name, []).append(one)
    return found


def _mean_line(name: str, series: list[Series], measured: Axis, style: Style) -> list[Trace]:
    x, low, mean, high = _over_seeds(series, measured)
    low, high = (_within(measured, edge) for edge in (low, high))
    keep = thinned(len(x))
    traces = []
    if np.isfinite(low).any():
        traces.append(band(name, x[keep], low[keep], high[keep], style))
    more = {"mode": "lines+markers", "marker": {"size": 6, "symbol": style.symbol}} if len(keep) <= 30 else {}
    traces.append(line(name, x[keep], mean[keep], style, **more))
    return traces


def _within(measured: Axis, values: Any) -> Any:
    """Values cut where the quantity ends."""
    least = -math.inf if measured.least is None else measured.least
    return np.clip(values, least, math.inf if measured.most is None else measured.most)


def _over_seeds(series: list[Series], measured: Axis) -> tuple[Any, Any, Any, Any]:
    """Return x, low, mean, high over seeds; of one seed, the band that it stored.

    On a log axis mean and interval are those of the logarithms: in the middle of what is drawn, and never below 0.
    """
    log = measured.scale == "log"
    if len(series) == 1:
        only = series[0]
        none = np.full(only.y.shape, np.nan)
        known = only.low is not None and only.high is not None
        return only.x, only.low if known else none, only.y, only.high if known else none
    at: dict[Any, list[float]] = {}
    for one in series:
        for x, y in zip(one.x.tolist(), one.y.tolist(), strict=True):
            at.setdefault(x, [])
            if math.isfinite(y) and not (log and y <= 0):
                at[x].append(math.log(y) if log else y)
    places = list(at) if series[0].x.dtype.kind in "USO" else sorted(at)
    found = np.array([t_interval(at[x]) for x in places]).reshape(-1, 3)
    if log:
        with np.errstate(over="ignore"):  # two seeds far apart have an interval without an upper end
            found = np.exp(found)
    return np.array(places), found[:, 1], found[:, 0], found[:, 2]


def _distribution(views: Mapping[str, Sequence[tuple[int, Distribution]]], style: Mapping[str, Style]) -> Panel:
    view = next(iter(views.values()))[0][1]
    pooled: dict[tuple[str, str], Any] = {}
    for label, found in views.items():
        for group in dict.fromkeys(g for _, v in found for g in v.samples):
            parts = [v.samples[group] for _, v in found if group in v.samples]
            values = np.concatenate(parts).astype(float)
            pooled[label, group] = values[np.isfinite(values)]
    pooled = {key: values for key, values in pooled.items() if values.size}
    several = len({group for _, group in pooled}) > 1
    names = {key: f"{key[0]}: {key[1]}" if several else key[0] for key in pooled}
    groups = list(dict.fromkeys(group for _, group in pooled))
    dash = {key: DASHES[groups.index(key[1]) % len(DASHES)] if several else style[key[0]].dash for key in pooled}
    look = {key: Style(style[key[0]].colour, dash[key], style[key[0]].symbol) for key in pooled}
    if pooled and max(values.size for values in pooled.values()) > MOST_DOTS:
        drawn = _densities(view, pooled, names, look)
    else:
        drawn = _strips(view, pooled, names, look)
    return Panel(view.title, view.question, {"": drawn}, note="Values of all seeds together.")


def _densities(view: Distribution, pooled: Any, names: Any, look: Any) -> Figure:
    every = np.concatenate(list(pooled.values()))
    log = view.value.scale == "log" and every.min() > 0
    edges = np.histogram_bin_edges(np.log10(every) if log else every, BINS)
    edges = 10**edges if log else edges
    data = []
    for key, values in pooled.items():
        density = np.histogram(values, edges)[0] / values.size
        step = {"color": look[key].colour, "dash": look[key].dash, "width": 2, "shape": "hvh"}
        middle = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
        data.append({**line(names[key], middle, density, look[key]), "line": step})
    share = {
        "title": {"text": "share of values"},
        "rangemode": "tozero",
        "automargin": True,
        "tickformat": ".0%",
    }
    return figure(data, xaxis=axis(view.value), yaxis=share)


def _strips(view: Distribution, pooled: Any, names: Any, look: Any) -> Figure:
    data = []
    for place, (key, values) in enumerate(reversed(pooled.items())):
        trace = line(names[key], values, [place + o for o in jitter(values.size, 0.4)], look[key])
        marker = {"color": look[key].colour, "symbol": look[key].symbol, "size": 7, "opacity": 0.6}
        data.append({**trace, "mode": "markers", "marker": marker, "showlegend": False})
        data[-1]["hovertemplate"] = f"{literal(names[key])}: %{{x:.4~g}}<extra></extra>"
    ticks = [literal(names[key]) for key in reversed(pooled)]
    y = {"tickvals": list(range(len(ticks))), "ticktext": ticks, "automargin": True, "zeroline": False}
    return figure(data, 110 + 44 * len(ticks), xaxis=axis(view.value), yaxis=y)


def _table(views: Mapping[str, Sequence[tuple[int, Table]]], style: Mapping[str, Style]) -> Panel:
    view = next(iter(views.values()))[0][1]
    heading = ("cell", *(f"{c.name} ({c.unit})" if c.unit else c.name for c in view.columns))
    rows = []
    for label, found in views.items():
        same: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        for _, table in found:
            seen: dict[tuple[Any, ...], int] = {}
            for row in table.rows:
                words = tuple(value for value in row if isinstance(value, str))
                seen[words] = seen.get(words, 0) + 1
                # Rows with the same words (or none) are matched in order.
                same.setdefault((*words, seen[words]), []).append(row)
        rows += [(label, *(_average(column) for column in zip(*r, strict=True))) for r in same.values()]
    most = max(len(found) for found in views.values())
    note = f"Numbers are means over up to {most} seeds." if most > 1 else ""
    return Panel(view.title, view.question, heading=heading, rows=tuple(rows), note=note)


def _average(values: tuple[Any, ...]) -> str:
    if any(isinstance(value, str) for value in values) or len(set(values)) == 1:
        return values[0] if isinstance(values[0], str) else short(values[0])
    return short(float(np.mean([float(value) for value in values])))


def _gallery(views: Mapping[str, Sequence[tuple[int, Gallery]]], style: Mapping[str, Style]) -> Panel:
    view = next(iter(views.values()))[0][1]
    found = cards({label: found[0][1] for label, found in views.items()})
    unit = f" ({view.value.unit})" if view.value.unit else ""
    note = f"Beside each answer: {view.value.name}{unit}; bold: the right one. {_seed_note(views)}"
    return Panel(view.title, view.question, cards=found, note=note)


def _text(views: Mapping[str, Sequence[tuple[int, Text]]], style: Mapping[str, Style]) -> Panel:
    view = next(iter(views.values()))[0][1]
    weights = np.concatenate([found[0][1].weights.astype(float) for found in views.values()])
    largest = float(np.nanmax(np.abs(weights))) if np.isfinite(weights).any() else 1.0
    texts = []
    for label, found in views.items():
        shown = found[0][1]
        tokens = []
        for token, weight in zip(shown.tokens, shown.weights.astype(float).tolist(), strict=True):
            strength = 0.75 * abs(weight) / (largest or 1.0) if math.isfinite(weight) else 0.0
            tokens.append((token, faded(BLUE if weight >= 0 else VERMILLION, strength), short(weight, 3)))
        texts.append((label, tuple(tokens)))
    unit = f" ({view.value.unit})" if view.value.unit else ""
    note = f"Background: {view.value.name}{unit}; blue above zero, vermillion below. {_seed_note(views)}"
    return Panel(view.title, view.question, texts=tuple(texts), note=note)
