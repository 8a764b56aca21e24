"""Galleries as cards: each example once, with its picture, and below it what every cell says."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cellwise.records.schema import Gallery
from cellwise.report.theme import BLUE, faded

_STRONGEST = 0.5  # opacity of the background of the largest value


@dataclass(frozen=True)
class Said:
    """An answer as it is shown: with its value, background colour, and whether it is the right one."""

    answer: str
    value: str
    colour: str
    right: bool


@dataclass
class Card:
    """An example.

    Attributes:
        picture: the address that holds the picture itself; "" where there is none.
        caption: what is asked.
        right: what is right, "" where that is not known.
        said: answers by label, the best first.
    """

    picture: str
    caption: str
    right: str
    said: dict[str, tuple[Said, ...]] = field(default_factory=dict)


def cards(views: Mapping[str, Gallery]) -> tuple[Card, ...]:
    """Return the examples of all labels; what several of them were asked is one card."""
    values = np.concatenate([view.values.ravel() for view in views.values()]).astype(float)
    largest = float(np.max(values, where=np.isfinite(values), initial=0.0)) or 1.0
    digits = max(0, 2 - math.floor(math.log10(largest)))  # the same of all, so that they stand one below the other
    found: dict[tuple[str, str, bytes, int], Card] = {}
    for label, view in views.items():
        asked: Counter[tuple[str, str, bytes]] = Counter()
        for number, (caption, right) in enumerate(zip(view.captions, view.right, strict=True)):
            same = (caption, right, b"" if view.images is None else view.images[number].tobytes())
            asked[same] += 1  # a gallery may hold the same question of the same picture twice: two cards
            key = (*same, asked[same])
            if key not in found:
                found[key] = Card(_picture(view, number), caption, right)
            found[key].said[label] = _said(view, number, largest, digits)
    return tuple(found.values())


def _said(view: Gallery, number: int, largest: float, digits: int) -> tuple[Said, ...]:
    each = zip(view.answers[number], view.values[number].tolist(), strict=True)
    right = view.right[number]
    return tuple(Said(said, f"{worth:.{digits}f}", _shade(worth / largest), said == right) for said, worth in each)


def _shade(share: float) -> str:
    return faded(BLUE, _STRONGEST * share if share > 0 else 0.0)  # NaN is not


def _picture(view: Gallery, number: int) -> str:
    if view.images is None:
        return ""
    from cellwise.records.mirrors.pictures import pixels_as_png  # Pillow, where there are pictures alone

    return f"data:image/png;base64,{base64.b64encode(pixels_as_png(view.images[number])).decode()}"
