"""Views as TensorBoard shows them: each by its kind alone, its title, question and axes in the description.

Curves and heat maps are images, a film strip is an image that moves (GIF), a distribution one histogram for each group,
tables and texts are Markdown, of which nothing that a run says can break out; a gallery is Markdown with its pictures
beside it, in the same order.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.histogram import metadata as histogram_plugin
from tensorboard.plugins.image import metadata as image_plugin
from tensorboard.plugins.scalar import metadata as scalar_plugin
from tensorboard.plugins.text import metadata as text_plugin
from tensorboard.util.tensor_util import make_tensor_proto

from cellwise.records.mirrors.line_picture import draw_curves
from cellwise.records.mirrors.pictures import as_gif, as_png, draw_film, draw_heatmap
from cellwise.records.mirrors.words import caption, key_of, number, valued, with_unit
from cellwise.records.schema import Curves, Distribution, Filmstrip, Gallery, Heatmap, Table, Text, View, kind_of

_BINS = 30
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>])")


def scalar(tag: str, value: float) -> Summary:
    """Return one number."""
    return _summary(tag, np.float32(value), scalar_plugin.create_summary_metadata("", ""))


def text(tag: str, markdown: str, description: str) -> Summary:
    """Return a text."""
    return _summary(
        tag, np.array([markdown.encode()], dtype=object), text_plugin.create_summary_metadata("", description)
    )


def summaries(view: View) -> list[Summary]:
    """Return what TensorBoard is to hold of a view, as `task/<name>` or `cell/<name>`."""
    found: list[Summary] = _SUMMARIES[kind_of(view)](key_of(view), view)
    return found


def _curves(key: str, view: Curves) -> list[Summary]:
    return [_image(key, [as_png(picture := draw_curves(view))], picture, view)]


def _heatmap(key: str, view: Heatmap) -> list[Summary]:
    return [_image(key, [as_png(picture := draw_heatmap(view))], picture, view)]


def _filmstrip(key: str, view: Filmstrip) -> list[Summary]:
    pictures = draw_film(view)
    return [_image(key, [as_gif(pictures)], pictures[0], view)] if pictures else []


def _distribution(key: str, view: Distribution) -> list[Summary]:
    found = []
    described = histogram_plugin.create_summary_metadata("", caption(view))
    for group, values in view.samples.items():
        finite = values[np.isfinite(values)]
        if finite.size:
            counts, edges = np.histogram(finite, _BINS)
            buckets = np.stack([edges[:-1], edges[1:], counts], 1).astype(np.float64)
            found.append(_summary(f"{key}/{group}", buckets, described))
    return found


def _gallery(key: str, view: Gallery) -> list[Summary]:
    said = [valued(*each) for each in zip(view.answers, view.values.tolist(), strict=True)]
    rows = list(zip(view.captions, view.right, said, strict=True))
    found = [_markdown_table(key, view, ["asked", "right", with_unit(view.value)], rows)]
    if view.images is not None and len(view.images):
        pictures = [Image.fromarray(image) for image in view.images]
        found.append(_image(f"{key}/pictures", [as_png(picture) for picture in pictures], pictures[0], view))
    return found


def _table(key: str, view: Table) -> list[Summary]:
    return [_markdown_table(key, view, [with_unit(column) for column in view.columns], view.rows)]


def _text(key: str, view: Text) -> list[Summary]:
    rows = list(zip(view.tokens, view.weights.tolist(), strict=True))
    return [_markdown_table(key, view, ["token", with_unit(view.value)], rows)]


def _markdown_table(key: str, view: View, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Summary:
    lines = [[_literal(name) for name in columns], ["---"] * len(columns)]
    lines += [[_literal(each if isinstance(each, str) else number(each)) for each in row] for row in rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return text(key, f"**{_literal(view.title)}** {_literal(view.question)}\n\n{table}", caption(view))


def _literal(said: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", html.escape(" ".join(said.split()), quote=False))


def _image(key: str, contents: Sequence[bytes], picture: Image.Image, view: View) -> Summary:
    size = [str(picture.width).encode(), str(picture.height).encode()]
    described = image_plugin.create_summary_metadata("", caption(view))
    return _summary(key, np.array([*size, *contents], dtype=object), described)


def _summary(tag: str, value: Any, metadata: SummaryMetadata) -> Summary:
    return Summary(value=[Summary.Value(tag=tag, tensor=make_tensor_proto(value), metadata=metadata)])


_SUMMARIES: Mapping[str, Callable[[str, Any], list[Summary]]] = {
    "curves": _curves,
    "distribution": _distribution,
    "heatmap": _heatmap,
    "filmstrip": _filmstrip,
    "gallery": _gallery,
    "table": _table,
    "text": _text,
}
