"""A white sheet with a heading, a box for what is drawn, ticks and a colour bar: what pictures of views share.

Pillow alone, in memory, no display and no font of the system's: the same picture on every machine.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from cellwise.records.mirrors.colours import Scale
from cellwise.records.mirrors.words import number

INK, FAINT, PAPER = "#212529", "#868e96", "#ffffff"
TEXT, HEADING = 13, 17  # pixels
PAD = 12
BAR = 96  # the colour bar with its ticks
Box = tuple[int, int, int, int]  # left, top, right, bottom
Tick = tuple[float, str]  # place in pixels, what it says


@cache
def font(size: int = TEXT) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Return the font that Pillow brings."""
    return ImageFont.load_default(size)


def width_of(text: str, size: int = TEXT) -> int:
    """Return how many pixels a line takes."""
    return round(font(size).getlength(text))


class Sheet:
    """A picture with a heading, and the room below it.

    Args:
        width: in pixels.
        height: of the room below the heading, in pixels.
        title: in large letters.
        question: in small ones, in as many lines as it takes.
    """

    def __init__(self, width: int, height: int, title: str, question: str):
        letter = width_of("n" * 20) / 20
        said = textwrap.wrap(question, max(10, int((width - 2 * PAD) / letter))) if question else []
        titled = textwrap.wrap(title, max(8, int((width - 2 * PAD) / (letter * HEADING / TEXT))))
        self.top = PAD + (HEADING + 6) * len(titled) + (TEXT + 5) * len(said) + PAD
        self.image = Image.new("RGB", (width, self.top + height), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        y = PAD
        for line in titled:
            self.write(PAD, y, line, size=HEADING)
            y += HEADING + 6
        for line in said:
            self.write(PAD, y, line, colour=FAINT)
            y += TEXT + 5

    def write(self, x: float, y: float, text: str, *, anchor: str = "la", size: int = TEXT, colour: str = INK) -> None:
        """Write a line; `anchor` is Pillow's, `la` for the left top corner."""
        self.draw.text((x, y), text, fill=colour, font=font(size), anchor=anchor)

    def write_upwards(self, x: int, middle: int, text: str) -> None:
        """Write a line that is read from below, its left edge at `x`."""
        line = Image.new("RGB", (width_of(text) + 4, TEXT + 8), PAPER)
        ImageDraw.Draw(line).text((2, 2), text, fill=INK, font=font())
        turned = line.rotate(90, expand=True)
        self.image.paste(turned, (x, max(self.top, middle - turned.height // 2)))

    def frame(self, box: Box, x_ticks: Sequence[Tick], y_ticks: Sequence[Tick], x_title: str, y_title: str) -> None:
        """Draw a box with ticks below and to the left, and what its axes are."""
        left, top, right, bottom = box
        self.draw.rectangle((left - 1, top - 1, right, bottom), outline=FAINT)
        for place, said in x_ticks:
            self.draw.line((place, bottom, place, bottom + 4), fill=FAINT)
            self.write(place, bottom + 7, said, anchor="ma")
        for place, said in y_ticks:
            self.draw.line((left - 5, place, left - 1, place), fill=FAINT)
            self.write(left - 8, place, said, anchor="rm")
        self.write((left + right) / 2, bottom + 7 + TEXT + 8, x_title, anchor="ma")
        self.write_upwards(PAD // 2, (top + bottom) // 2, y_title)

    def colour_bar(self, scale: Scale, left: int, top: int, bottom: int, title: str) -> None:
        """Draw a scale with its ticks, and what it measures to its right."""
        colours, ticks = scale.bar(max(2, bottom - top))
        self.image.paste(Image.fromarray(colours[:, None].repeat(14, 1)), (left, top))
        for share, value in ticks:
            self.write(left + 19, round(bottom - share * (bottom - top)), number(value), anchor="lm")
        self.write_upwards(left + 70, (top + bottom) // 2, title)


def spread(count: int, most: int) -> list[int]:
    """Return at most so many of the numbers below `count`, 1, 2, 5, 10, 20, ... apart, the first among them."""
    step = next(m * 10**d for d in range(20) for m in (1, 2, 5) if m * 10**d * max(1, most) >= count)
    return list(range(0, count, step))
