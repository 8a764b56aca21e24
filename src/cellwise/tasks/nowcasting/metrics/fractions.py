"""How far off may an event be and still count: the fractions skill score by scale.

Source: Roberts and Lean 2008 (doi 10.1175/2007MWR2123.1), equations 5 to 8, with the sums over all frames divided at
the end. With the share of events in the square of s x s pixels around each pixel, P of the forecast and Q of what was
observed: FSS = 1 - sum (P - Q)^2 / (sum P^2 + sum Q^2).

A missing pixel, of either field, is no event in both, as is everything beyond the frame. Scales are odd, or the square
would not be around its pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cellwise.errors import CellwiseError


def require_odd(scales: Sequence[int]) -> None:
    """Refuse scales that the score has no square for.

    Raises:
        CellwiseError: one that is even or less than 1.
    """
    wrong = [scale for scale in scales if scale < 1 or scale % 2 == 0]
    if wrong:
        raise CellwiseError(f"scales must be odd numbers of pixels, 1 or more, not {', '.join(map(str, wrong))}")


def fraction_sums(
    forecast: Tensor, observed: Tensor, thresholds: Sequence[float], scales: Sequence[int], counted: Tensor
) -> Tensor:
    """Return sums over pixels of (p - q)^2 and p^2 + q^2, p and q being numbers of events in the squares, not shares.

    Their ratio is the same, and whole numbers are exact: int64 (frames, thresholds, scales, 2).

    Args:
        forecast: (frames, height, width).
        observed: the same shape.
        thresholds: events are values of at least these.
        scales: sides of the squares in pixels, odd.
        counted: bool, the same shape: which pixels are known in both.
    """
    rows, columns = forecast.shape[-2:]
    found = []
    for threshold in thresholds:
        events = torch.stack([(field >= float(threshold)) & counted for field in (forecast, observed)]).float()
        for scale in scales:
            # As products of matrices, the fastest way; sums of a few ones, which float32 has exactly.
            said, seen = (_near(rows, scale, events) @ events @ _near(columns, scale, events)).long()
            off = said - seen
            apart, together = off * off, said * said + seen * seen  # `square` is five times as slow on int64
            found.append(torch.stack((apart.sum((-2, -1)), together.sum((-2, -1))), dim=-1))
    return torch.stack(found, dim=1).view(-1, len(thresholds), len(scales), 2)


def fss(sums: Tensor) -> Tensor:
    """Return the score of sums (..., 2), float64 (...); NaN where neither field has an event."""
    return 1 - sums[..., 0].double() / sums[..., 1]


def _near(pixels: int, scale: int, like: Tensor) -> Tensor:
    """Return a matrix (pixels, pixels): 1 where two places on a line are in one window of `scale`, else 0."""
    place = torch.arange(pixels, device=like.device)
    return ((place[:, None] - place).abs() <= scale // 2).to(like.dtype)
