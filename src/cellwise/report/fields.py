"""Heat maps and film strips as small multiples: one panel per cell, one colour scale for all."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwise.records.mirrors.colours import class_of, step_colours
from cellwise.records.schema import Axis, Filmstrip, Heatmap
from cellwise.report.theme import BLUE, VERMILLION, literal
from cellwise.report.traces import Figure, axis, axis_title, figure, numbers

# Images are thinned to this many pixels a side: enough to compare, and the page stays light.
MOST_PIXELS = 64
_FILM_STEPS = 100  # of a colour scale
COLUMNS = 3
# Pixels of a row of heat maps, and the share of them between two; words below need more of both, none less.
PANEL, PANEL_GAP = 310, 0.36
WORDED_PANEL, WORDED_GAP = 320, 0.45
ONCE_PANEL, ONCE_GAP = 190, 0.16
# As in coloured text: vermillion below zero, blue above.
DIVERGING = [[0, VERMILLION], [0.5, "#f7f7f7"], [1, BLUE]]


def draw_heatmap(views: Mapping[str, Heatmap]) -> Figure:
    """Draw one heat map per label on one colour scale; one below the other where words stand below the columns."""
    view = next(iter(views.values()))
    worded = any(one.words for one in views.values())
    columns = 1 if worded else min(COLUMNS, len(views))
    rows = math.ceil(len(views) / columns)
    # The same words for all stand below the last one alone.
    once = worded and len({one.words for one in views.values()}) == 1
    panel, gap = (ONCE_PANEL, ONCE_GAP) if once else (WORDED_PANEL, WORDED_GAP) if worded else (PANEL, PANEL_GAP)
    data, layout, titles = [], {}, []
    for number, (label, one) in enumerate(views.items()):
        suffix = "" if number == 0 else str(number + 1)
        x, y = _domain(number % columns, columns), _domain(rows - 1 - number // columns, rows, gap / rows)
        below = {"title": {}, "showticklabels": False} if once and number < rows - 1 else _below(one)
        layout[f"xaxis{suffix}"] = axis(one.x, domain=x, anchor=f"y{suffix}", showgrid=False, **below)
        # To the right of the same rows their numbers need not be said again, and on a narrow screen have no room.
        again = number % columns > 0 and one.y_values.tolist() == view.y_values.tolist()
        bare = {"showticklabels": False, "title": {}} if again else {}
        layout[f"yaxis{suffix}"] = axis(one.y, **{"domain": y, "anchor": f"x{suffix}", "showgrid": False, **bare})
        titles.append(_title(label, x, y[1]))
        x_values, y_values = numbers(one.x_values), numbers(one.y_values)
        data.append(_image(one.values, suffix, x=x_values, y=y_values, **_read(one)))
    scale = _colour_axis(np.concatenate([one.values.ravel() for one in views.values()]), view.value)
    return figure(data, 90 + panel * rows, annotations=titles, coloraxis=scale, **_top(layout))


def _below(one: Heatmap) -> dict[str, Any]:
    """Every word below its column, on end so that they do not run into each other."""
    if not one.words:
        return {}
    words = {"tickvals": numbers(one.x_values), "ticktext": [literal(word) for word in one.words]}
    return {**words, "tickangle": -90, "tickfont": {"size": 10}}


def _read(one: Heatmap) -> dict[str, Any]:
    """The word of each column for the pointer, above the place in the field."""
    if not one.words:
        return {}
    words = [literal(word) for word in one.words]
    shown = "%{text}<br>%{x}, %{y}: %{z:.4~g}<extra></extra>"
    return {"text": [words] * len(one.values), "hovertemplate": shown}


def draw_filmstrip(views: Mapping[str, Filmstrip]) -> Figure:
    """Draw the images of every label (a row) and source (a column) at one time, with a slider over times.

    What is the same for every cell is drawn once, before the others in the first row.
    """
    view = next(iter(views.values()))
    layout: dict[str, Any] = {}
    titles = []
    panels = _film_panels(views)
    columns, rows = (1 + max(place[axis] for place in panels.values()) for axis in (0, 1))
    for number, ((label, row), (column, line)) in enumerate(panels.items()):
        suffix = _suffix(number)
        x, y = _domain(column, columns), _domain(rows - 1 - line, rows, 0.2 / rows)
        bare = {"visible": False, "constrain": "domain"}
        layout[f"xaxis{suffix}"] = {**bare, "domain": x, "anchor": f"y{suffix}"}
        # The first image row is the top one, and pixels are square.
        square = {"autorange": "reversed", "scaleanchor": f"x{suffix}", "anchor": f"x{suffix}"}
        layout[f"yaxis{suffix}"] = {**bare, "domain": y, **square}
        shared = views[label].role(row) == "given"
        titles.append(_title(views[label].rows[row] if shared else f"{label}: {views[label].rows[row]}", x, y[1]))
    times, scales = numbers(view.times), _film_scales(views)
    frames: list[dict[str, Any]] = [
        {
            "name": str(t),
            "data": [_film_image(views[lab], r, t, _suffix(n), scales) for n, (lab, r) in enumerate(panels)],
        }
        for t in range(len(times))
    ]
    drawn = figure(
        frames[0]["data"] if frames else [],
        130 + 200 * rows,
        annotations=titles,
        sliders=[_slider(view, times)],
        **scales,
        **_top(layout),
    )
    return {**drawn, "frames": frames}


def _film_panels(views: Mapping[str, Filmstrip]) -> dict[tuple[str, int], tuple[int, int]]:
    """Column and line of each image, by label and row of the view; those that are given come first."""
    first = next(iter(views))
    given = [row for row in range(len(views[first].rows)) if views[first].role(row) == "given"]
    found = {(first, row): (column, 0) for column, row in enumerate(given)}
    for line, (label, view) in enumerate(views.items()):
        own = [row for row in range(len(view.rows)) if view.role(row) != "given"]
        found |= {(label, row): (len(given) + column, line) for column, row in enumerate(own)}
    return found


def _film_image(view: Filmstrip, row: int, time: int, suffix: str, scales: dict[str, Any]) -> dict[str, Any]:
    values = _frame(view, row, time)
    apart = view.role(row) == "difference"
    if view.levels and not apart:  # classes: numbers of one digit, and the colour bar says which rain each of them is
        return _image(class_of(values, view.levels), suffix, hovertemplate="%{x}, %{y}<extra></extra>")
    axis = "coloraxis2" if apart else "coloraxis"
    return _image(_stepped(values, scales[axis]), suffix, coloraxis=axis)


def _stepped(values: npt.NDArray[Any], scale: dict[str, Any]) -> npt.NDArray[Any]:
    """Values in round steps of at least a hundredth of a colour scale, which is all that colours show.

    Films are most of a page's weight, and of an error 0 is left nearly everywhere, one letter.
    """
    least = (scale["cmax"] - scale["cmin"]) / _FILM_STEPS or 1.0
    power = 10.0 ** math.floor(math.log10(least))
    step = next(round_ * power for round_ in (1, 2, 5, 10) if round_ * power >= least)
    stepped: npt.NDArray[Any] = np.rint(values.astype(np.float64) / step) * step
    return stepped


def _film_scales(views: Mapping[str, Filmstrip]) -> dict[str, Any]:
    """The colour scale of all images, and one of the differences where there are any."""
    view = next(iter(views.values()))

    def every(*, apart: bool) -> npt.NDArray[Any]:
        rows = [
            one.frames[row].ravel()
            for one in views.values()
            for row in range(len(one.rows))
            if (one.role(row) == "difference") is apart
        ]
        return np.concatenate(rows or [np.zeros(0)])

    found = {"coloraxis": _step_axis(view) if view.levels else _colour_axis(every(apart=False), view.value)}
    differences = every(apart=True)
    if differences.size:
        scale = _colour_axis(differences, dataclasses.replace(view.value, name=f"difference of {view.value.name}"))
        scale["colorbar"]["x"] = 1.12
        found["coloraxis2"] = scale
    return found


def _step_axis(view: Filmstrip) -> dict[str, Any]:
    """One colour a class, nothing below the first, and the levels where one class ends and the next begins."""
    count = len(view.levels)
    colours = ["rgba(0,0,0,0)", *step_colours(count)]
    edges = [(number / (count + 1), (number + 1) / (count + 1)) for number in range(count + 1)]
    scale = [[edge, colour] for (low, high), colour in zip(edges, colours, strict=True) for edge in (low, high)]
    ticks = {"tickvals": [number + 0.5 for number in range(count)], "ticktext": [f"{v:g}" for v in view.levels]}
    bar = {"title": {"text": axis_title(view.value), "side": "right"}, "thickness": 14, **ticks}
    return {"colorscale": scale, "cmin": -0.5, "cmax": count + 0.5, "colorbar": bar}


def _frame(view: Filmstrip, row: int, time: int) -> npt.NDArray[Any]:
    """One image; where a cell stored fewer times than the first, its last one stays."""
    image = view.frames[row, min(time, view.frames.shape[1] - 1)]
    stride = max(1, math.ceil(max(image.shape) / MOST_PIXELS))
    thinned: npt.NDArray[Any] = image[::stride, ::stride]
    return thinned


def _slider(view: Filmstrip, times: list[Any]) -> dict[str, Any]:
    at_once = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [
        {"label": f"{time}", "method": "animate", "args": [[str(number)], at_once]} for number, time in enumerate(times)
    ]
    shown = {"prefix": f"{axis_title(view.time)}: "}
    return {"active": 0, "currentvalue": shown, "steps": steps, "pad": {"t": 24}}


def _image(values: npt.NDArray[Any], suffix: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "z": [numbers(row, 4) for row in values],
        "xaxis": f"x{suffix}",
        "yaxis": f"y{suffix}",
        "coloraxis": "coloraxis",
        "hovertemplate": "%{x}, %{y}: %{z:.4~g}<extra></extra>",
        **more,
    }


def _suffix(number: int) -> str:
    return "" if number == 0 else str(number + 1)


def _domain(place: int, count: int, gap: float = 0.1) -> list[float]:
    """The share of the width (or height) of one of ``count`` panels, with room for its labels."""
    size = (1 - gap * (count - 1)) / count
    start = place * (size + gap)
    return [round(start, 4), round(min(1.0, start + size), 4)]


def _title(text: str, x: list[float], top: float) -> dict[str, Any]:
    place = {
        "x": sum(x) / 2,
        "y": top,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "center",
        "yanchor": "bottom",
    }
    return {"text": literal(text), "showarrow": False, **place}


def _colour_axis(values: npt.NDArray[Any], of: Axis) -> dict[str, Any]:
    """One colour scale: diverging around zero where the values have both signs."""
    finite = values[np.isfinite(values)].astype(float)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    bar = {"title": {"text": axis_title(of), "side": "right"}, "thickness": 14}
    if low < 0 < high:
        bound = max(-low, high)
        return {"colorscale": DIVERGING, "cmin": -bound, "cmax": bound, "colorbar": bar}
    return {"colorscale": "Viridis", "cmin": low, "cmax": high, "colorbar": bar}


def _top(layout: dict[str, Any]) -> dict[str, Any]:
    """Make room for the panels' titles."""
    return {**layout, "margin": {"l": 64, "r": 16, "t": 36, "b": 56}}
