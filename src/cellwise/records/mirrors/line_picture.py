"""A picture of curves, for mirrors that show images but draw no lines of two axes of our own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cellwise.records.mirrors.canvas import PAD, TEXT, Box, Sheet, Tick, spread, width_of
from cellwise.records.mirrors.colours import GIVEN, LINES
from cellwise.records.mirrors.words import number, with_unit
from cellwise.records.schema import Axis, Curves, Series

_WIDE, _HIGH = 560, 340
_BAND = 0.2  # how much of a line's colour its band has


class _Scale:
    """Where a value of an axis lies, 0 to 1; words are one step apart."""

    def __init__(self, axis: Axis, values: Sequence[npt.NDArray[Any]]):
        every = [v for each in values for v in each.tolist()]
        self.words = [str(w) for w in dict.fromkeys(every)] if axis.scale == "category" else None
        finite = [float(v) for v in every if math.isfinite(v)] if self.words is None else []
        self.log = axis.scale == "log" and all(v > 0 for v in finite)
        placed = [math.log10(v) if self.log else v for v in finite] or [0.0, max(1, len(self.words or [0, 1]) - 1)]
        room = (max(placed) - min(placed)) * 0.04 or 0.5
        self.low, self.high = min(placed) - room, max(placed) + room

    def share(self, value: Any) -> float:
        """NaN for what has no place."""
        if self.words is not None:
            placed = float(self.words.index(str(value)))
        elif self.log:
            placed = math.log10(value) if value > 0 else math.nan
        else:
            placed = float(value)
        return (placed - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Shares and what they say."""
        if self.words is not None:
            return [(self.share(self.words[i]), self.words[i]) for i in spread(len(self.words), most)]
        if self.log:
            decades = range(math.floor(self.low), math.ceil(self.high) + 1)
            fine = (1, 2, 5) if len(decades) <= 3 else (1,)
            values = [m * 10.0**d for d in decades for m in fine]
            values = [v for v in values if self.low <= math.log10(v) <= self.high]
            return [(self.share(v), number(v)) for v in (values[i] for i in spread(len(values), most))]
        rough = (self.high - self.low) / max(1, most)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [(self.share(n * step), number(round(n * step, 12))) for n in range(first, last + 1)]


def draw_curves(view: Curves) -> Image.Image:
    """Draw lines with their bands; the best possible and floors are grey and dashed."""
    x_scale = _Scale(view.x, [s.x for s in view.series])
    y_scale = _Scale(view.y, [a for s in view.series for a in (s.y, s.low, s.high) if a is not None])
    y_marks = y_scale.ticks(8)
    left = PAD + TEXT + 12 + max((width_of(said) for _, said in y_marks), default=0) + 8
    named = max((width_of(series.name) for series in view.series), default=0)
    width = left + _WIDE + PAD + 30 + named + PAD
    sheet = Sheet(width, _HIGH + 7 + 2 * (TEXT + 8) + PAD, view.title, view.question)
    box = (left, sheet.top, left + _WIDE, sheet.top + _HIGH)
    measured = [series for series in view.series if series.role == "measured"]
    for place, series in enumerate(view.series):
        is_measured = series.role == "measured"
        colour = LINES[measured.index(series) % len(LINES)] if is_measured else GIVEN
        _draw_series(sheet, box, (x_scale, y_scale), series, colour, joined=view.marks == "lines")
        y = box[1] + place * (TEXT + 8) + TEXT // 2
        _line(sheet, [(box[2] + PAD, y), (box[2] + PAD + 22, y)], colour, dashed=not is_measured)
        sheet.write(box[2] + PAD + 30, y, series.name, anchor="lm")
    x_ticks: list[Tick] = [(box[0] + share * _WIDE, said) for share, said in x_scale.ticks(9)]
    y_ticks: list[Tick] = [(box[3] - share * _HIGH, said) for share, said in y_marks]
    sheet.frame(box, x_ticks, y_ticks, with_unit(view.x), with_unit(view.y))
    return sheet.image


def _draw_series(
    sheet: Sheet, box: Box, scales: tuple[_Scale, _Scale], series: Series, colour: str, *, joined: bool
) -> None:
    def places(values: npt.NDArray[Any]) -> list[tuple[float, float]]:
        pairs = zip(series.x.tolist(), values.tolist(), strict=True)
        return [(box[0] + scales[0].share(x) * _WIDE, box[3] - scales[1].share(y) * _HIGH) for x, y in pairs]

    if series.low is not None and series.high is not None:
        outline = [p for p in [*places(series.low), *reversed(places(series.high))] if np.isfinite(p).all()]
        if len(outline) > 2:
            mask = Image.new("L", sheet.image.size)
            ImageDraw.Draw(mask).polygon(outline, fill=round(255 * _BAND))
            sheet.image.paste(colour, (0, 0), mask)
    line = places(series.y)
    if len(line) == 1 and series.role != "measured":  # a level, known at one place
        line = [(line[0][0] - 20, line[0][1]), (line[0][0] + 20, line[0][1])]
    if joined:
        _line(sheet, line, colour, dashed=series.role != "measured")
    if series.role == "measured":
        for x, y in line:
            if math.isfinite(x) and math.isfinite(y):
                sheet.draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)


def _line(sheet: Sheet, places: Sequence[tuple[float, float]], colour: str, *, dashed: bool) -> None:
    """Join neighbours that both have a place."""
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        if not np.isfinite([x0, y0, x1, y1]).all():
            continue
        if not dashed:
            sheet.draw.line((x0, y0, x1, y1), fill=colour, width=2)
            continue
        pieces = max(1, round(math.hypot(x1 - x0, y1 - y0) / 5))
        for piece in range(0, pieces, 2):
            a, b = piece / pieces, min(1.0, (piece + 1) / pieces)
            ends = (x0 + a * (x1 - x0), y0 + a * (y1 - y0), x0 + b * (x1 - x0), y0 + b * (y1 - y0))
            sheet.draw.line(ends, fill=colour, width=2)
