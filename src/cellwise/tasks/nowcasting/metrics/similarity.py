"""Structural similarity of frames.

Source: Wang et al. 2004 (doi 10.1109/TIP.2003.819861), equation 13 and section III-C: Gaussian window of 11 pixels,
sigma 1.5, K1 = 0.01, K2 = 0.03, dynamic range 1; means and variances are those under the window (no sample correction).

The mean is over whole windows only, as in the authors' code and scikit-image: without what torchmetrics adds at the
borders by reflection. A window that holds a missing pixel is not whole. Published values for Moving MNIST were made
with other windows and ranges and can't be compared.
"""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 11
_SIGMA, _C1, _C2 = 1.5, 0.01**2, 0.03**2
_NOTHING = 1e-9


def ssim(forecast: Tensor, observed: Tensor, counted: Tensor) -> Tensor:
    """Return the similarity of each frame, float64 (frames,); NaN where no window is whole.

    Args:
        forecast: (frames, height, width), in [0, 1], finite.
        observed: the same shape.
        counted: bool, the same shape: which pixels are known in both.
    """
    if min(forecast.shape[-2:]) < WINDOW:
        return forecast.new_full((len(forecast),), torch.nan, dtype=torch.float64)
    x, y = forecast.double(), observed.double()
    mean_x, mean_y, square_x, square_y, product_xy = _smooth(torch.stack((x, y, x * x, y * y, x * y)))
    product, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance, variances = product_xy - product, square_x + square_y - squares
    index = (2 * product + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
    if not counted.all():
        # The least weight in a window is 2e-7 and missing pixels weigh positive, so rounding can't hide one.
        index = index.where(_smooth((~counted).double()) < _NOTHING, torch.nan)
    mean: Tensor = index.nanmean((-2, -1))
    return mean


def _smooth(fields: Tensor) -> Tensor:
    """Return the mean under each whole window, over the last two dimensions."""
    rows, columns = (_windows(pixels, fields) for pixels in fields.shape[-2:])
    # The window is a product, and two products of matrices are the fastest way to it.
    return rows @ fields @ columns.T


def _windows(pixels: int, like: Tensor) -> Tensor:
    """Return the weights of each whole window on a line, (pixels - 10, pixels)."""
    start, place = torch.arange(pixels - WINDOW + 1, device=like.device), torch.arange(pixels, device=like.device)
    offset = (place - start[:, None] - WINDOW // 2).to(like.dtype)
    weights = torch.exp(-offset.square() / (2 * _SIGMA**2)).where(offset.abs() <= WINDOW // 2, 0.0)
    return weights / weights.sum(-1, keepdim=True)
