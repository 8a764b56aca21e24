"""Views as W&B's own media: each by its kind alone, with its title, its question and its axes with units.

| kind | shown as | and |
|---|---|---|
| curves | a Plotly chart | its points as a table |
| distribution | a Plotly chart | a W&B histogram for each group |
| heatmap | an image | |
| filmstrip | a film (GIF), one frame for each time | its images as a table, one row for each time |
| gallery | a table, one row for each example with its picture | |
| table | a table | |
| text | HTML, each token on its weight's colour | |
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import wandb

from cellwise.records.mirrors.pictures import as_gif, draw_film, draw_heatmap, film_images
from cellwise.records.mirrors.plots import plot_curves, plot_distribution
from cellwise.records.mirrors.words import axes, caption, key_of, number, valued, with_unit
from cellwise.records.schema import Curves, Distribution, Filmstrip, Gallery, Heatmap, Table, Text, View, kind_of

_BINS = 64
_STRONGEST = 0.75  # opacity of the background of the token with the largest weight


def media(view: View) -> dict[str, Any]:
    """Return what W&B is to log of a view, by key: `task/<name>` or `cell/<name>` and what goes with it."""
    found: dict[str, Any] = _MEDIA[kind_of(view)](key_of(view), view)
    return found


def index(views: Mapping[str, View]) -> Any:
    """Return a table of all views: what W&B has no caption for stands here.

    Args:
        views: by name.
    """
    columns = ["view", "kind", "title", "question", "axes"]
    rows = [[key_of(v), kind_of(v), v.title, v.question, ", ".join(axes(v))] for v in views.values()]
    return wandb.Table(columns=columns, data=rows)


def _curves(key: str, view: Curves) -> dict[str, Any]:
    points = []
    for series in view.series:
        low = series.low if series.low is not None else [None] * len(series.x)
        high = series.high if series.high is not None else [None] * len(series.x)
        each = zip(series.x, series.y, low, high, strict=True)
        points += [[series.name, series.role, *map(_plain, point)] for point in each]
    columns = ["series", "role", with_unit(view.x), with_unit(view.y), "low", "high"]
    return {key: wandb.Plotly(plot_curves(view)), f"{key}_table": _table(columns, points)}


def _distribution(key: str, view: Distribution) -> dict[str, Any]:
    found: dict[str, Any] = {key: wandb.Plotly(plot_distribution(view))}
    for group, values in view.samples.items():
        finite = values[np.isfinite(values)]
        if finite.size:
            found[f"{key}_{group}"] = wandb.Histogram(np_histogram=np.histogram(finite, _BINS))
    return found


def _heatmap(key: str, view: Heatmap) -> dict[str, Any]:
    return {key: wandb.Image(draw_heatmap(view), caption=caption(view))}


def _filmstrip(key: str, view: Filmstrip) -> dict[str, Any]:
    if not view.times.size:
        return {}
    # A finished file: of raw frames W&B would make one only with packages that draw nothing else here.
    film = wandb.Video(io.BytesIO(as_gif(draw_film(view))), caption=caption(view), format="gif")
    images = zip(view.times, film_images(view), strict=True)
    rows = [[_plain(time), *(wandb.Image(image) for image in each)] for time, each in images]
    return {key: film, f"{key}_table": _table([with_unit(view.time), *view.rows], rows)}


def _gallery(key: str, view: Gallery) -> dict[str, Any]:
    pictures = [] if view.images is None else [("picture", [wandb.Image(image) for image in view.images])]
    said = [valued(*each) for each in zip(view.answers, view.values.tolist(), strict=True)]
    columns = dict([*pictures, ("asked", view.captions), ("right", view.right), (with_unit(view.value), said)])
    return {key: _table(list(columns), [list(row) for row in zip(*columns.values(), strict=True)])}


def _rows(key: str, view: Table) -> dict[str, Any]:
    return {key: _table([with_unit(column) for column in view.columns], [list(row) for row in view.rows])}


def _text(key: str, view: Text) -> dict[str, Any]:
    most = float(np.nanmax(np.abs(view.weights), initial=0)) or 1.0
    tokens = "".join(_token(*token, most) for token in zip(view.tokens, view.weights.tolist(), strict=True))
    page = (
        f"<div style='font:15px/1.9 sans-serif;color:#212529;background:#fff;padding:12px'>"
        f"<b>{html.escape(view.title)}</b><p style='color:#868e96;margin:2px 0 10px'>{html.escape(view.question)} "
        f"Colour: {html.escape(with_unit(view.value))}, the strongest {number(most)}.</p>{tokens}</div>"
    )
    return {key: wandb.Html(page, inject=False, data_is_not_path=True)}


def _token(token: str, weight: float, most: float) -> str:
    """A word on blue, or on vermillion where its weight is below zero."""
    colour = "0,114,178" if weight >= 0 else "213,94,0"
    opacity = _STRONGEST * abs(weight) / most if np.isfinite(weight) else 0
    shown = html.escape(token)
    look = f"background:rgba({colour},{opacity:.3f});border-radius:3px;padding:1px 3px;margin-right:3px"
    return f"<span style='{look}' title='{number(weight)}'>{shown}</span>"


def _table(columns: list[str], rows: list[list[Any]]) -> Any:
    """A column may hold numbers and words; W&B wants to be told."""
    return wandb.Table(columns=columns, data=rows, allow_mixed_types=True)


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


_MEDIA: Mapping[str, Callable[[str, Any], dict[str, Any]]] = {
    "curves": _curves,
    "distribution": _distribution,
    "heatmap": _heatmap,
    "filmstrip": _filmstrip,
    "gallery": _gallery,
    "table": _rows,
    "text": _text,
}
