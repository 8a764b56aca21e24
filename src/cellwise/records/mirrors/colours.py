"""Numbers to colours, the same as on the report's page: Viridis, or vermillion to blue where zero is in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

_VIRIDIS = (
    "#440154",
    "#482878",
    "#3e4989",
    "#31688e",
    "#26828e",
    "#1f9e89",
    "#35b779",
    "#6ece58",
    "#b5de2b",
    "#fde725",
)
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of lines in turn: Okabe and Ito's."""

GIVEN = "#868e96"
"""Of the best possible and of floors, which no cell has measured."""

STEPS = (
    "#cfe6f7",
    "#8ec3ee",
    "#4594dd",
    "#1b5fb4",
    "#2f9e44",
    "#a9d43a",
    "#ffe119",
    "#f58231",
    "#e03131",
    "#ae3ec9",
)
"""Of classes of rain, from drizzle to hail, as radar maps have them: blue, green, yellow, red, violet."""

_NOTHING = (255, 255, 255)  # below the first class
_DIVERGING = ("#D55E00", "#f7f7f7", "#0072B2")  # Okabe and Ito's: below zero, zero, above
_MISSING = (190, 190, 190)  # grey: in neither scale


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour written as `#0072B2`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def step_colours(classes: int) -> list[str]:
    """Return the colours of so many classes, the lowest first, spread over all `STEPS`."""
    last = len(STEPS) - 1
    return [STEPS[round(number * last / max(1, classes - 1))] for number in range(classes)]


def class_of(values: npt.NDArray[Any], levels: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the class of each value: 0 below the first level, 1 from there on, ...; NaN of what is not finite."""
    finite = np.isfinite(values)
    found = np.digitize(np.where(finite, values, 0.0), levels).astype(float)
    found[~finite] = np.nan
    return found


class Scale(Protocol):
    """Numbers to colours, and the bar that says which is which."""

    def pixels(self, values: npt.NDArray[Any]) -> Pixels:
        """Return the colours of values `(...)` as `(..., 3)`; grey for what is not finite."""
        ...

    def bar(self, rows: int) -> tuple[Pixels, list[tuple[float, float]]]:
        """Return the bar's colours from above, `(rows, 3)`, and its ticks: share of the height from below, value."""
        ...


class LevelScale:
    """One colour for each class of values.

    Args:
        levels: where a class begins, ascending.
    """

    def __init__(self, levels: Sequence[float]):
        self._levels = levels
        self._colours = np.array([_NOTHING, *(rgb(colour) for colour in step_colours(len(levels)))], np.uint8)

    def pixels(self, values: npt.NDArray[Any]) -> Pixels:
        """Return the colours of values; white below the first level, grey for what is not finite."""
        classes = class_of(values.astype(float), self._levels)
        missing = np.isnan(classes)
        found: Pixels = self._colours[np.where(missing, 0, classes).astype(int)]
        found[missing] = _MISSING
        return found

    def bar(self, rows: int) -> tuple[Pixels, list[tuple[float, float]]]:
        """Return the classes one above the other, with a tick where each begins."""
        count = len(self._levels)
        place = np.minimum((np.arange(rows)[::-1] * count) // max(1, rows), count - 1)
        return self._colours[1 + place], [(number / count, level) for number, level in enumerate(self._levels)]


class ColourScale:
    """One scale for all that is shown together; `low` and `high` are its ends.

    Args:
        values: of any shape; what is not finite counts nothing.
    """

    def __init__(self, values: npt.NDArray[Any]):
        finite = values[np.isfinite(values)].astype(float)
        self.low, self.high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        diverging = self.low < 0 < self.high
        if diverging:
            self.high = max(-self.low, self.high)
            self.low = -self.high
        self._stops = np.array([rgb(colour) for colour in (_DIVERGING if diverging else _VIRIDIS)], float)

    def pixels(self, values: npt.NDArray[Any]) -> Pixels:
        """Return the colours of values `(...)` as `(..., 3)`; grey for what is not finite."""
        values = values.astype(float)
        missing = ~np.isfinite(values)
        span = self.high - self.low
        share = np.where(missing, 0.0, values - self.low) / (span if span > 0 else 1.0)
        place = np.clip(share, 0, 1) * (len(self._stops) - 1)
        knots = np.arange(len(self._stops))
        found = np.stack([np.interp(place, knots, self._stops[:, band]) for band in range(3)], -1).round()
        found[missing] = _MISSING
        return found.astype(np.uint8)

    def bar(self, rows: int) -> tuple[Pixels, list[tuple[float, float]]]:
        """Return the scale from its upper end down, with ticks at both ends and in the middle."""
        colours = self.pixels(np.linspace(self.high, self.low, rows))
        return colours, [(1.0, self.high), (0.5, (self.high + self.low) / 2), (0.0, self.low)]
