"""Lengths, written once for every cell and engine.

The rule: output is zero after a row's end, the state stays that of its last valid step, length 0 returns the
initial state, and time 0 is allowed. (torch packs and refuses length 0; onnxruntime returns zeros there; flax the
state of the full row.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lengths:
    """Valid steps per row.

    Attributes:
        steps: (batch,) int64, on the device of the input.
        valid: (time, batch) bool, True at valid steps.
    """

    steps: Tensor
    valid: Tensor


def check_lengths(lengths: Tensor | list[int] | None, time: int, batch: int, device: torch.device) -> Lengths | None:
    """Return the lengths with their mask; None when every row is full.

    Raises:
        ValueError: wrong shape, not whole numbers, or outside 0 to time.
    """
    if lengths is None:
        return None
    given = torch.as_tensor(lengths, device=device)
    if not given.numel():
        given = given.to(torch.int64)  # torch takes [] for floating point
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise ValueError(f"lengths must be whole numbers, not {given.dtype}")
    if tuple(given.shape) != (batch,):
        raise ValueError(f"lengths must have shape (batch,) = ({batch},), not {tuple(given.shape)}")
    steps = given.to(torch.int64)
    if batch and (int(steps.min()) < 0 or int(steps.max()) > time):
        raise ValueError(
            f"lengths must be 0 to {time} (the number of steps), not {int(steps.min())} to {int(steps.max())}"
        )
    return Lengths(steps, torch.arange(time, device=device)[:, None] < steps)


def hold(new: Mapping[str, Tensor], old: Mapping[str, Tensor], valid: Tensor) -> dict[str, Tensor]:
    """Return the new state where a row's step is valid and the old one elsewhere.

    Args:
        new: state after the step, by name, (batch, ..., hidden).
        old: state before the step.
        valid: (batch,) bool.
    """
    return {name: torch.where(per_row(valid, value), value, old[name]) for name, value in new.items()}


def blank(value: Tensor, valid: Tensor) -> Tensor:
    """Return the value with zeros where a row's step is not valid; `valid` is (batch,) or (time, batch)."""
    return torch.where(per_row(valid, value), value, torch.zeros((), dtype=value.dtype, device=value.device))


def per_row(mask: Tensor, value: Tensor) -> Tensor:
    """View a mask over the leading axes of `value` so that it broadcasts against it."""
    return mask.reshape(*mask.shape, *[1] * (value.dim() - mask.dim()))


def reverse(x: Tensor, lengths: Lengths | None) -> Tensor:
    """Reverse each row in time within its length; what lies after the end stays. Its own inverse.

    Args:
        x: (time, batch, ...).
        lengths: valid steps per row, or None for full rows.
    """
    if lengths is None:
        return x.flip(0)
    t = torch.arange(x.shape[0], device=x.device)[:, None]
    source = torch.where(lengths.valid, lengths.steps - 1 - t, t)  # (time, batch)
    return x.gather(0, per_row(source, x).expand_as(x))
