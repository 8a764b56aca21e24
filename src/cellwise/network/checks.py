"""What every module of this room checks alike: lengths as a mask, and sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from cellwise.errors import CellwiseError
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


def check_sizes(**sizes: int) -> None:
    """Refuse a size that is not a whole number of 1 or more.

    Raises:
        CellwiseError: naming the size.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise CellwiseError(f"{name}={size!r} must be a whole number, 1 or more")


def check_dropout(dropout: float) -> None:
    """Refuse a dropout outside [0, 1).

    Raises:
        CellwiseError: saying what is allowed.
    """
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise CellwiseError(f"dropout={dropout!r} must be at least 0 and less than 1")


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
