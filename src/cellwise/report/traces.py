"""The parts of a figure: lines, bands, dots and axes as plain Plotly dictionaries.

Nothing here needs Plotly: a figure is ``{"data": [...], "layout": {...}}`` of JSON values. Colours of text,
grid and background are the page's own (light or dark) and are added there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cellwise.records.schema import Axis
from cellwise.report.theme import NEUTRAL, Style, faded, literal

Trace: TypeAlias = dict[str, Any]
Figure: TypeAlias = dict[str, Any]

# More than this is not seen on a screen, and makes the page heavy.
MOST_POINTS = 500
# Up to this many decades a log axis has ticks at 1, 2 and 5, beyond at powers of ten, and so many at most.
MOST_DECADES, MOST_TICKS = 4, 10


def numbers(values: Iterable[Any] | npt.NDArray[Any], digits: int = 6) -> list[Any]:
    """Return JSON values: numbers of ``digits`` significant digits, None where not finite, words as text."""
    array = np.asarray(values)
    if array.dtype.kind in "USO":
        return [literal(str(value)) for value in array.tolist()]
    if array.dtype.kind in "iub":
        return [int(value) for value in array.tolist()]
    array = array.astype(np.float64)
    finite = np.isfinite(array)
    rounded = _rounded(np.where(finite, array, 0.0), digits)
    # A whole number without the ``.0`` that JSON would carry along.
    whole = (rounded == np.rint(rounded)) & (np.abs(rounded) < 1e15)
    values = [int(value) if w else value for value, w in zip(rounded.tolist(), whole.tolist(), strict=True)]
    return values if finite.all() else [v if ok else None for v, ok in zip(values, finite.tolist(), strict=True)]


def _rounded(values: npt.NDArray[np.float64], digits: int) -> npt.NDArray[np.float64]:
    """Values ``(n,)`` to so many significant digits, as close as their decimals are written."""
    size = np.floor(np.log10(np.where(values == 0, 1.0, np.abs(values))))
    places = np.clip(digits - 1 - size, -300, 300)
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    rounded: npt.NDArray[np.float64] = np.rint(values * up / down) / up * down
    return rounded


def thinned(length: int, most: int = MOST_POINTS) -> npt.NDArray[np.intp]:
    """Return at most ``most`` indices of ``length`` points, the first and the last among them."""
    if length <= most:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, most).round().astype(np.intp))


def line(name: str, x: Any, y: Any, style: Style, **more: Any) -> Trace:
    """Return a line with a legend entry that also switches its band and its seeds."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": literal(name),
        "legendgroup": literal(name),
        "x": numbers(x),
        "y": numbers(y),
        "line": {"color": style.colour, "dash": style.dash, "width": 2.5},
        "hovertemplate": f"{literal(name)}: %{{y:.4~g}}<extra></extra>",
        **more,
    }


def thin_lines(group: str, seeds: Iterable[tuple[Any, Any]], style: Style, opacity: float = 0.35) -> Trace:
    """Return the lines of all seeds, each (x, y), as one thin trace in its group's colour, without a legend entry.

    A null ends each seed: a thousand traces of their own would take a browser seconds.
    """
    x: list[Any] = []
    y: list[Any] = []
    for seed_x, seed_y in seeds:
        x += [*numbers(seed_x), None]
        y += [*numbers(seed_y), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": literal(f"{group}, every seed"),
        "legendgroup": literal(group),
        "showlegend": False,
        "x": x[:-1],
        "y": y[:-1],
        "line": {"color": faded(style.colour, opacity), "width": 1},  # without dashes, which take seconds to paint
        "hoverinfo": "skip",
    }


def band(group: str, x: Any, low: Any, high: Any, style: Style) -> Trace:
    """Return the area between ``low`` and ``high``, as one closed outline, where both are finite."""
    x, low, high = np.asarray(x), np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    known = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[known], low[known], high[known]
    return {
        "type": "scatter",
        "mode": "lines",
        "fill": "toself",
        "fillcolor": faded(style.colour, 0.18),
        "line": {"width": 0},
        "legendgroup": literal(group),
        "showlegend": False,
        "hoverinfo": "skip",
        "x": numbers(np.concatenate([x, x[::-1]])),
        "y": numbers(np.concatenate([low, high[::-1]])),
    }


def reference(name: str, x: Any, y: Any, dash: str, **more: Any) -> Trace:
    """Return the neutral line of a floor or of the optimum; its dash is that of ``reference_dashes``."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": literal(name),
        "x": numbers(x),
        "y": numbers(y),
        "line": {"color": NEUTRAL, "dash": dash, "width": 2},
        "hovertemplate": f"{literal(name)}: %{{y:.4~g}}<extra></extra>",
        **more,
    }


def reference_dashes(optimum: Mapping[str, bool]) -> dict[str, str]:
    """Return a dash for each reference line; ``optimum`` tells whether it is the optimum or a floor."""
    floors = [name for name, best in optimum.items() if not best]
    return {
        name: "dash" if best else ("dot", "dashdot", "longdashdot")[floors.index(name) % 3]
        for name, best in optimum.items()
    }


def axis(of: Axis, **more: Any) -> dict[str, Any]:
    """Return the layout of an axis: its title with the unit, its scale."""
    found: dict[str, Any] = {"title": {"text": axis_title(of)}, "automargin": True}
    if of.scale != "linear":
        found["type"] = of.scale
    if of.scale == "log":
        # Plotly writes 2 and 5 of a decade without their zeros unless the ticks are given.
        ticks = [m * 10.0**k for k in range(-9, 13) for m in (1, 2, 5)]
        found |= {"tickvals": numbers(ticks), "tickformat": ",~g"}
    return {**found, **more}


def decades(of: Axis, values: Iterable[float | None]) -> dict[str, Any]:
    """Return what to change in the layout of an axis whose values span many decades: ticks at powers of ten alone."""
    shown = [math.log10(value) for value in values if value is not None and value > 0]
    if of.scale != "log" or not shown or max(shown) - min(shown) <= MOST_DECADES:
        return {}
    low, high = math.floor(min(shown)), math.ceil(max(shown))
    step = math.ceil((high - low) / MOST_TICKS)
    return {"tickvals": numbers([10.0**k for k in range(high, low - 1, -step)]), "tickformat": ".0e"}


def between(of: Axis) -> dict[str, Any]:
    """Return what to change in the layout of an axis that is to show all that the quantity can be, if that is known."""
    if of.least is None or of.most is None or of.scale != "linear":
        return {}
    room = 0.04 * (of.most - of.least)  # for dots on the edge
    return {"range": [of.least - room, of.most + room]}


def axis_title(of: Axis) -> str:
    """Return the quantity with its unit, as Plotly text."""
    return literal(of.name if not of.unit or of.name.endswith(of.unit) else f"{of.name} ({of.unit})")


def figure(data: list[Trace], height: int = 420, **layout: Any) -> Figure:
    """Return a figure with the page's margins; its width is that of the page."""
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 64, "r": 24, "t": 16, "b": 56},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
    return {"data": data, "layout": {**base, **layout}}


def jitter(count: int, width: float) -> list[float]:
    """Return ``count`` offsets within ``width`` that are the same every time."""
    if count < 2:
        return [0.0] * count
    golden = 0.618034  # successive multiples modulo 1 never clump
    return [round(width * ((i * golden) % 1 - 0.5), 4) for i in range(count)]
