"""What each cell costs: quality against parameters, FLOPs, time and memory with the front drawn, and speed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cellwise.compare.costs import fronts
from cellwise.compare.numbers import short
from cellwise.compare.pareto import Place, pareto_front
from cellwise.compare.table import Comparison, Row
from cellwise.records.schema import Axis
from cellwise.report.overlay import Panel
from cellwise.report.references import is_wide, least_of_log, look, scale
from cellwise.report.scores import bar, dot_rows, row_of_dots, whiskers
from cellwise.report.theme import NEUTRAL, Style, literal
from cellwise.report.traces import Figure, Trace, axis, decades, figure, numbers

# With more cells than this names beside the points cover each other; the legend and hovering tell them.
MOST_NAMED = 12
_MOST_LISTED = 8
_PEAK = "peak memory (bytes)"
_MIB = 1 / 2**20


@dataclass(frozen=True)
class Cost:
    """One cost: what it is called, where each cell stands, and what to say of each."""

    name: str
    axis: str
    places: tuple[Place, ...]


def costs(comparison: Comparison) -> tuple[Cost, ...]:
    """Return every cost that is known of the cells, memory in MiB; throughput as the time of one example."""
    found = []
    for name, places in fronts(comparison).items():
        if name == _PEAK:
            scaled = tuple(Place(p.label, p.quality, p.cost * _MIB, p.beaten_by, p.surely_beaten) for p in places)
            found.append(Cost("peak memory", "peak memory (MiB)", scaled))
        else:
            found.append(Cost(name.removesuffix(" (s)").replace(" per step", ""), name, places))
    return (*found, *_throughput(comparison))


def pareto(comparison: Comparison) -> Panel | None:
    """Draw quality against each cost; None where nothing has a score. The table says who is on which front."""
    known = costs(comparison)
    if not known:
        return None
    labels = [row.label for row in comparison.rows if row.n]
    places = {cost.name: {place.label: _stands(place) for place in cost.places} for cost in known}
    return Panel(
        "Quality against cost",
        "Which cells are worth what they cost?",
        {cost.name: _scatter(comparison, cost) for cost in known},
        heading=("cell", *places),
        rows=tuple((label, *(of.get(label, "–") for of in places.values())) for label in labels),
        note=f"{said_of_fronts(known, labels)} On the front (dotted line, filled marker): no other cell is as good and "
        "as cheap. A cell that is beaten (open marker) is so for sure where the better one is told apart from it. Bars "
        "are 95 % intervals of the mean.",
    )


def said_of_fronts(known: Sequence[Cost], labels: Sequence[str]) -> str:
    """Say which cells are on the front of every cost, of some, of none."""
    on = {label: [c.name for c in known for p in c.places if p.label == label and p.on_front] for label in labels}
    every = [label for label, names in on.items() if len(names) == len(known)]
    some = [f"{label} ({', '.join(names)})" for label, names in on.items() if 0 < len(names) < len(known)]
    none = [label for label, names in on.items() if not names]
    parts = [("on the front of every cost", every), ("on some", some), ("on none", none)]
    listed = [(what, f"{len(who)} cells" if len(who) > _MOST_LISTED else ", ".join(who)) for what, who in parts if who]
    said = "; ".join(f"{what}: {who}" for what, who in listed)
    return f"{said[0].upper()}{said[1:]}."


def _stands(place: Place) -> str:
    if place.on_front:
        return "front"
    return "beaten" if place.surely_beaten else "perhaps beaten"


def speed(comparison: Comparison) -> Panel | None:
    """Draw each run's throughput as a dot, and the median of its cell, the fastest on top; None where none has one."""
    style = look(comparison.group)
    found: dict[str, dict[int, float]] = {}
    for run in comparison.group.runs:
        if run.summary is not None and math.isfinite(run.summary.throughput.value):
            found.setdefault(comparison.group.label(run), {})[run.seed] = run.summary.throughput.value
    unit = next((row.throughput_unit for row in comparison.rows if row.throughput_unit), "")
    known = {
        row.label: row.throughput for row in comparison.rows if row.label in found and math.isfinite(row.throughput)
    }
    labels = sorted(known, key=lambda label: (-known[label], label))
    if not labels:
        return None
    data: list[Trace] = []
    for place, label in enumerate(reversed(labels)):
        data.append(row_of_dots(label, found[label], place, style[label]))
        data.append(bar(label, known[label], place, style[label], "median %{x:,.4~r}"))
    drawn = dot_rows(labels, data, axis(Axis("examples while training", unit), rangemode="tozero", tickformat=",~g"))
    drawn["layout"]["xaxis"]["title"]["text"] = literal(f"training throughput ({unit})")
    note = "Each dot is one run, the bar the median. Speed is that of the machine and of the engine that ran the cell"
    return Panel("Speed", "How fast does each cell train?", {"": drawn}, note=f"{note}{_engines(comparison)}.")


def engines(comparison: Comparison) -> dict[str, str]:
    """Return by label what ran the cell over time: `native`, or several."""
    found: dict[str, set[str]] = {}
    for run in comparison.group.runs:
        if run.info is not None:
            found.setdefault(comparison.group.label(run), set()).add(run.info.engine)
    return {label: ", ".join(sorted(each)) for label, each in found.items()}


def _engines(comparison: Comparison) -> str:
    by_engine: dict[str, list[str]] = {}
    for label, engine in engines(comparison).items():
        by_engine.setdefault(engine, []).append(label)
    if len(by_engine) < 2:
        return "".join(f" ({engine})" for engine in by_engine)
    listed = "; ".join(f"{engine}: {', '.join(labels)}" for engine, labels in sorted(by_engine.items()))
    return f" ({listed})"


def _throughput(comparison: Comparison) -> tuple[Cost, ...]:
    """Where each cell stands by the time that one example takes: less is better, as of every cost."""
    rows = [row for row in comparison.rows if row.n and math.isfinite(row.throughput) and row.throughput > 0]
    if not rows:
        return ()
    example = rows[0].throughput_unit.removesuffix("s/s").removesuffix("/s") or "example"
    apart = {frozenset((pair.better, pair.other)) for pair in comparison.verdict.apart}
    quality = {row.label: row.mean for row in rows}
    places = pareto_front(quality, {row.label: 1e6 / row.throughput for row in rows}, comparison.direction, apart)
    return (Cost("throughput", f"training time of one {example} (µs), 1 / throughput", places),)


def _scatter(comparison: Comparison, cost: Cost) -> Figure:
    style = look(comparison.group)
    rows = {row.label: row for row in comparison.rows}
    data = [_front(cost.places)]
    named = len(cost.places) <= MOST_NAMED
    x = axis(Axis(cost.axis, scale=scale([place.cost for place in cost.places])))
    x["range"], middle = _room(x, [place.cost for place in cost.places])
    qualities = [place.quality for place in cost.places]
    lows = [comparison.shown_interval(row)[0] for row in comparison.rows if row.n > 1]
    least = least_of_log(qualities, lows) if is_wide(qualities) else -math.inf
    ordered = sorted(cost.places, key=lambda place: place.quality)
    for number, place in enumerate(ordered):
        # Names of neighbours in quality stand on different sides, so that they cover each other less, and all within.
        side = f"{('top', 'bottom')[number % 2]} {'left' if place.cost > middle else 'right'}" if named else ""
        data.append(_point(comparison, rows[place.label], place, cost, style[place.label], side, least))
    unit = comparison.unit if comparison.unit != comparison.objective else ""
    quality = Axis(f"test {comparison.objective.replace('_', ' ')}", unit, scale(qualities))
    y = axis(quality, **decades(quality, qualities))
    return figure(data, 460, xaxis=x, yaxis=y, hovermode="closest", showlegend=not named)


def _room(x: Mapping[str, object], values: Sequence[float]) -> tuple[list[Any], float]:
    """The range of the axis, as Plotly takes it, and the cost in its middle."""
    log = x.get("type") == "log"
    at = [math.log10(value) for value in values] if log else list(values)
    reach = (max(at) - min(at)) or (0.3 if log else abs(at[0]) * 0.2 or 1.0)
    middle = (min(at) + max(at)) / 2
    return numbers([min(at) - 0.08 * reach, max(at) + 0.08 * reach]), 10**middle if log else middle


def _front(places: Sequence[Place]) -> Trace:
    """The front as steps: what is reached at a cost is the quality of the best cell that costs no more."""
    on = [place for place in places if place.on_front]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "front",
        "x": numbers([place.cost for place in on]),
        "y": numbers([place.quality for place in on]),
        "line": {"color": NEUTRAL, "width": 1.5, "dash": "dot", "shape": "hv"},
        "hoverinfo": "skip",
    }


def _point(comparison: Comparison, row: Row, place: Place, cost: Cost, style: Style, side: str, least: float) -> Trace:
    symbol = style.symbol if place.on_front else f"{style.symbol}-open"
    low, high = comparison.shown_interval(row)
    said = f"{row.label}: {short(row.mean)}"
    said += f" [{short(low)} to {short(high)}]" if row.n > 1 else " (one seed)"
    said += f"<br>{literal(cost.axis)}: {short(place.cost)}"
    said += (
        f"<br>throughput: {short(row.throughput)} {literal(row.throughput_unit)}" if cost.name == "throughput" else ""
    )
    said += "<br>on the front" if place.on_front else f"<br>beaten by {literal(', '.join(place.beaten_by[:4]))}"
    trace: Trace = {
        "type": "scatter",
        "mode": "markers+text" if side else "markers",
        "name": literal(row.label),
        "legendgroup": literal(row.label),
        "x": numbers([place.cost]),
        "y": numbers([row.mean]),
        "marker": {"color": style.colour, "symbol": symbol, "size": 11, "line": {"width": 2, "color": style.colour}},
        "customdata": [said],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    if side:
        trace |= {"text": [f" {literal(row.label)} "], "textposition": side, "cliponaxis": False}
    if row.n > 1:
        trace["error_y"] = whiskers(row.mean, (max(low, least), high), style, 1.5)
    return trace
