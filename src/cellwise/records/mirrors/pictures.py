"""Pictures of a field and of a film strip, for mirrors that show images: labelled, with units and a colour bar."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cellwise.records.mirrors.canvas import BAR, PAD, TEXT, Sheet, spread, width_of
from cellwise.records.mirrors.colours import ColourScale, LevelScale, Scale
from cellwise.records.mirrors.words import number, with_unit
from cellwise.records.schema import Filmstrip, Heatmap

_WIDE, _HIGH = 640, 400  # pixels that a field is drawn into
_FRAME = 240  # of a film strip's images
_LEAST_WIDTH = 360  # a heading has to fit
_FRAME_MILLISECONDS = 500


def draw_heatmap(view: Heatmap) -> Image.Image:
    """Draw a field as on the report's page: its first row lowest, one colour scale, ticks in the axes' own values."""
    scale = ColourScale(view.values)
    pixels = _enlarged(scale.pixels(_thinned(view.values, _HIGH, _WIDE))[::-1], _WIDE, _HIGH)
    high, wide = pixels.shape[:2]
    rows, columns = [number(v) for v in view.y_values], list(view.words) or [number(v) for v in view.x_values]
    left = PAD + TEXT + 12 + max(map(width_of, rows), default=0) + 8
    width = max(left + wide + PAD + BAR + PAD, _LEAST_WIDTH)
    sheet = Sheet(width, high + 7 + 2 * (TEXT + 8) + PAD, view.title, view.question)
    box = (left, sheet.top, left + wide, sheet.top + high)
    sheet.image.paste(Image.fromarray(pixels), box[:2])
    widest = max(map(width_of, columns), default=1) + 12
    x_ticks = [(left + (i + 0.5) * wide / len(columns), columns[i]) for i in spread(len(columns), wide // widest)]
    y_ticks = [(box[3] - (i + 0.5) * high / len(rows), rows[i]) for i in spread(len(rows), high // (TEXT + 8))]
    sheet.frame(box, x_ticks, y_ticks, with_unit(view.x), with_unit(view.y))
    sheet.colour_bar(scale, box[2] + PAD, box[1], box[3], with_unit(view.value))
    return sheet.image


def draw_film(view: Filmstrip) -> list[Image.Image]:
    """Draw one picture for each time: the rows' images side by side, and the time above them."""
    scales = _scales(view)
    return [_at_time(view, scales, t) for t in range(len(view.times))]


def draw_strip(view: Filmstrip) -> Image.Image:
    """Draw all times side by side, one line for each row, on one colour scale and with the time above each."""
    scales, unit = _scales(view), f" {view.time.unit}" if view.time.unit else ""
    images = [_images(view, scales, t) for t in range(len(view.times))]
    high, wide = images[0][0].shape[:2]
    said = [f"{view.time.name} {number(time)}{unit}" for time in view.times]
    step = max([wide, *map(width_of, said)]) + PAD
    sheet = Sheet(
        max(PAD + step * len(images) + BAR + PAD, _LEAST_WIDTH),
        TEXT + 8 + (high + PAD) * len(view.rows) + PAD,
        view.title,
        view.question,
    )
    top = sheet.top + TEXT + 8
    for place, (words, column) in enumerate(zip(said, images, strict=True)):
        sheet.write(PAD + place * step, sheet.top, words)
        for line, image in enumerate(column):
            sheet.image.paste(Image.fromarray(image), (PAD + place * step, top + line * (high + PAD)))
    sheet.colour_bar(scales[False], PAD + step * len(images), top + 4, top + high - 4, with_unit(view.value))
    return sheet.image


def film_images(view: Filmstrip) -> list[list[Image.Image]]:
    """Return the bare images of a film strip by time and row."""
    scales = _scales(view)
    return [[Image.fromarray(image) for image in _images(view, scales, t)] for t in range(len(view.times))]


def as_gif(pictures: Sequence[Image.Image]) -> bytes:
    """Return pictures of one size as a film that repeats, each for half a second."""
    # Pillow joins neighbours that are equal into one that stays longer; these differ in the time that they say.
    paletted = [picture.quantize(256, dither=Image.Dither.NONE) for picture in pictures]
    content = io.BytesIO()
    paletted[0].save(
        content, "GIF", save_all=True, append_images=paletted[1:], duration=_FRAME_MILLISECONDS, loop=0, optimize=False
    )
    return content.getvalue()


def as_png(picture: Image.Image) -> bytes:
    """Return a picture as a PNG file's content."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def pixels_as_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return colours, uint8 (height, width, 3), as a PNG file's content."""
    return as_png(Image.fromarray(pixels))


def _scales(view: Filmstrip) -> dict[bool, Scale]:
    """One scale for the differences among the rows (True), and one for all others (False), where there are any."""
    found: dict[bool, Scale] = {}
    for apart in (False, True):
        rows = [row for row in range(len(view.rows)) if (view.role(row) == "difference") is apart]
        if rows or not apart:
            levels = view.levels if not apart else ()
            found[apart] = LevelScale(levels) if levels else ColourScale(view.frames[rows])
    return found


def _images(view: Filmstrip, scales: Mapping[bool, Scale], time: int) -> list[npt.NDArray[np.uint8]]:
    return [_image(scales[view.role(row) == "difference"], frame) for row, frame in enumerate(view.frames[:, time])]


def _at_time(view: Filmstrip, scales: Mapping[bool, Scale], time: int) -> Image.Image:
    images = _images(view, scales, time)
    high, wide = images[0].shape[:2] if images else (_FRAME, _FRAME)
    step = max([wide, *(width_of(row) for row in view.rows)]) + PAD
    width = max(PAD + step * len(images) + (BAR + PAD) * len(scales), _LEAST_WIDTH)
    sheet = Sheet(width, 2 * (TEXT + 8) + high + PAD, view.title, view.question)
    unit = f" {view.time.unit}" if view.time.unit else ""
    sheet.write(PAD, sheet.top, f"{view.time.name} {number(view.times[time])}{unit}")
    top = sheet.top + 2 * (TEXT + 8)
    for place, (row, image) in enumerate(zip(view.rows, images, strict=True)):
        left = PAD + place * step
        sheet.write(left, top - TEXT - 6, row)
        sheet.image.paste(Image.fromarray(image), (left, top))
    left, unit = PAD + step * len(images), with_unit(view.value)
    for apart, scale in scales.items():
        sheet.colour_bar(scale, left, top + 4, top + high - 4, f"difference of {unit}" if apart else unit)
        left += BAR + PAD
    return sheet.image


def _image(scale: Scale, frame: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return _enlarged(scale.pixels(_thinned(frame, _FRAME, _FRAME)), _FRAME, _FRAME, square=True)


def _thinned(values: npt.NDArray[Any], most_rows: int, most_columns: int) -> npt.NDArray[Any]:
    """Means of neighbours where there are more values than pixels; what is not finite counts nothing in them."""
    rows, columns = (max(1, -(-n // most)) for n, most in zip(values.shape, (most_rows, most_columns), strict=True))
    if rows == columns == 1 or not values.size:
        return values
    padding = [(0, -values.shape[0] % rows), (0, -values.shape[1] % columns)]
    padded = np.pad(np.where(np.isfinite(values), values, np.nan).astype(float), padding, constant_values=np.nan)
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    count = np.isfinite(blocks).sum((1, 3))
    total = np.nansum(blocks, (1, 3))
    thinned: npt.NDArray[Any] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return thinned


def _enlarged(pixels: npt.NDArray[np.uint8], wide: int, high: int, *, square: bool = False) -> npt.NDArray[np.uint8]:
    """Each value as a block of pixels, as large as there is room for."""
    across, down = max(1, wide // max(1, pixels.shape[1])), max(1, high // max(1, pixels.shape[0]))
    if square:
        across = down = min(across, down)
    return pixels.repeat(down, 0).repeat(across, 1)
