"""Numbers to colours, the same as on the report's page: Viridis, or vermillion to blue where zero is in the middle."""

from __future__ import annotations

from typing import Any

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

_DIVERGING = ("#D55E00", "#f7f7f7", "#0072B2")  # Okabe and Ito's: below zero, zero, above
_MISSING = (190, 190, 190)  # grey: in neither scale


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour written as `#0072B2`."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


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
