"""How far off the values are: squared and absolute errors, HKO-7's balanced ones, correlation.

Balanced errors are those of Shi et al. 2017 (arXiv 1706.03458), section 3.2 and equation 4: errors of the network's
pixels in [0, 1], weighted by the rain that was observed, summed over a frame, averaged over frames.

Correlation is Pearson's over all pixels together. That of HKO-7 and Shi et al. 2015 is not centred: it is near 1 for
fields that have nothing to do with each other, and is not computed here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cellwise.tasks.nowcasting.frames import RAIN_THRESHOLDS_MM_H

BALANCING_WEIGHTS = (1.0, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Of rain below 0.5 mm/h, from 0.5, 2, 5, 10 and from 30 mm/h on."""

_LEAST_SHARE = 1e-12  # of the mean square: a variance below is that of a constant field, and rounding


def balancing_weights(rain_mm_h: Tensor) -> Tensor:
    """Return HKO-7's weight of each pixel by the rain observed there; of NaN, that of none."""
    borders = rain_mm_h.new_tensor(RAIN_THRESHOLDS_MM_H)
    return rain_mm_h.new_tensor(BALANCING_WEIGHTS)[torch.bucketize(rain_mm_h.nan_to_num(nan=0.0), borders, right=True)]


def error_sums(forecast: Tensor, observed: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Return sums over the last dimension of weighted `squared` and `absolute` errors, float64.

    Args:
        forecast: (..., pixels), finite.
        observed: the same shape.
        weights: the same shape; 0 where a pixel doesn't count.
    """
    error, weights = forecast.double() - observed.double(), weights.double()
    return {"squared": (weights * error.square()).sum(-1), "absolute": (weights * error.abs()).sum(-1)}


def moment_sums(forecast: Tensor, observed: Tensor, counted: Tensor) -> Tensor:
    """Return sums over the last dimension of f, o, f^2, o^2 and f o, float64 (..., 5).

    Args:
        forecast: (..., pixels), finite.
        observed: the same shape.
        counted: bool, the same shape.
    """
    f, o = forecast.double() * counted, observed.double() * counted
    return torch.stack([v.sum(-1) for v in (f, o, f * f, o * o, f * o)], dim=-1)


def correlation(moments: Tensor, pixels: Tensor) -> Tensor:
    """Return Pearson's correlation of sums (..., 5) over numbers of pixels (...); NaN where a field is constant."""
    f, o, ff, oo, fo = (moments / pixels[..., None]).unbind(-1)
    spread_f, spread_o = ff - f * f, oo - o * o
    undefined = (spread_f <= _LEAST_SHARE * ff) | (spread_o <= _LEAST_SHARE * oo)
    found = (fo - f * o) / (spread_f * spread_o).sqrt()
    return torch.where(undefined, torch.nan, found)
