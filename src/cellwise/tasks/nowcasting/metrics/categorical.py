"""Did it rain where it was forecast: the contingency table of an event and the scores made from it.

Source: Wilks, Statistical Methods in the Atmospheric Sciences (4th edition, 2019), chapter 8. With hits h, misses m,
false alarms f, correct negatives c and their sum n:

    CSI = h / (h + m + f)    POD = h / (h + m)    FAR = f / (h + f)    bias = (h + f) / (h + m)
    HSS = 2 (h c - f m) / ((h + m)(m + c) + (h + f)(f + c))
    ETS = (h - r) / (h + m + f - r),    r = (h + m)(h + f) / n

An event is a value of at least the threshold, as in HKO-7, SEVIR and `scores`; pysteps's `det_cat_fct` asks for more
than the threshold and counts NaN as no event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwise.errors import CellwiseError

Values = Tensor | npt.NDArray[Any]


class Contingency(NamedTuple):
    """A contingency table, int64 each: scalars, or of one shape."""

    hits: Any
    misses: Any
    false_alarms: Any
    correct_negatives: Any


def contingency(forecast: Values, observed: Values, threshold: float, mask: Values | None = None) -> Contingency:
    """Return the contingency table of all pixels.

    Args:
        forecast: of any shape; a pixel that is NaN is not counted.
        observed: of the same shape; a pixel that is NaN is not counted.
        threshold: an event is a value of at least this.
        mask: bool, of the same shape or one that is broadcast to it; pixels where it is False are not counted.

    Returns:
        Four int64 numbers: tensors where `forecast` is one, NumPy's otherwise.

    Raises:
        CellwiseError: shapes that differ, a mask that is not bool, a threshold that is no finite number.
    """
    wanted = torch.is_tensor(forecast)
    forecast, observed = torch.as_tensor(forecast), torch.as_tensor(observed)
    if forecast.shape != observed.shape:
        raise CellwiseError(
            f"forecast {tuple(forecast.shape)} and observed {tuple(observed.shape)} must have the same shape"
        )
    if not np.isfinite(threshold):
        raise CellwiseError(f"threshold={threshold} must be a finite number")
    counted = both_known(forecast, observed)
    if mask is not None:
        counted = counted & _spread(torch.as_tensor(mask), forecast)
    counts = tables(forecast, observed.to(forecast.device), (threshold,), counted, tuple(range(forecast.ndim)))
    numbers = counts.squeeze(0).unbind()
    return Contingency(*(numbers if wanted else (np.int64(number) for number in numbers)))


def tables(
    forecast: Tensor, observed: Tensor, thresholds: Sequence[float], counted: Tensor, over: tuple[int, ...]
) -> Tensor:
    """Return contingency tables, int64 (*kept, thresholds, 4).

    Args:
        forecast: of any shape.
        observed: of the same shape.
        thresholds: events are values of at least these.
        counted: bool, the same shape: which pixels count.
        over: the dimensions that are summed; the others are kept.
    """

    def number(pixels: Tensor) -> Tensor:
        # No dimension is summed where none is given; torch would take none for all.
        return pixels.sum(over, dtype=torch.int64) if over else pixels.long()

    total, found = number(counted), []
    for threshold in thresholds:
        said, seen = (forecast >= float(threshold)) & counted, (observed >= float(threshold)) & counted
        hits, forecasts, events = number(said & seen), number(said), number(seen)
        found.append(torch.stack((hits, events - hits, forecasts - hits, total - events - forecasts + hits), dim=-1))
    return torch.stack(found, dim=-2)


def both_known(forecast: Tensor, observed: Tensor) -> Tensor:
    """Return where neither is NaN."""
    return ~(torch.isnan(forecast) | torch.isnan(observed.to(forecast.device)))


def categorical_scores(counts: Tensor) -> dict[str, Tensor]:
    """Return `csi`, `pod`, `far`, `bias`, `hss` and `ets` of tables (..., 4), float64 (...); NaN where undefined."""
    h, m, f, c = counts.double().unbind(-1)  # int64 would overflow in HSS's products
    by_chance = (h + m) * (h + f) / (h + m + f + c)
    return {
        "csi": h / (h + m + f),
        "pod": h / (h + m),
        "far": f / (h + f),
        "bias": (h + f) / (h + m),
        "hss": 2 * (h * c - f * m) / ((h + m) * (m + c) + (h + f) * (f + c)),
        "ets": (h - by_chance) / (h + m + f - by_chance),
    }


def _spread(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        raise CellwiseError(f"mask is {str(mask.dtype).removeprefix('torch.')}; it must be bool: True where it counts")
    try:
        return mask.to(like.device).expand(like.shape)
    except RuntimeError as error:
        raise CellwiseError(
            f"mask {tuple(mask.shape)} does not fit the forecast's shape {tuple(like.shape)}"
        ) from error
