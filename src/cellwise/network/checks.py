"""What every module of this room checks alike: lengths as a mask, and shapes."""

from __future__ import annotations

import torch
from torch import Tensor

from cellwise.recurrent.guard import Lengths, check_lengths


def lengths_of(x: Tensor, lengths: Tensor | list[int] | None) -> Lengths:
    """Return the lengths of x (time, batch, ...) with their mask; every step is valid when None.

    Raises:
        ValueError: wrong shape, not whole numbers, or outside 0 to time.
    """
    time, batch = x.shape[:2]
    found = check_lengths(lengths, time, batch, x.device)
    if found is None:
        steps = torch.full((batch,), time, device=x.device)
        return Lengths(steps, torch.ones(time, batch, dtype=torch.bool, device=x.device))
    return found


def check_shape(x: Tensor, axes: str, last: int, features: str = "features") -> None:
    """Refuse a tensor whose number of axes or last axis does not fit.

    Args:
        x: what was given.
        axes: names of the axes, in order, separated by commas.
        last: size of the last one.
        features: what the last axis counts, for the message.

    Raises:
        ValueError: saying what was expected.
    """
    if x.dim() != axes.count(",") + 1:
        raise ValueError(f"input must be ({axes}), not of shape {tuple(x.shape)}")
    if x.shape[-1] != last:
        raise ValueError(f"input has {x.shape[-1]} {features}; this module takes {last}")
