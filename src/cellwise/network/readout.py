"""From the outputs of all steps to one vector for a row: the last step, mean, maximum or attention.

`last` takes the output at a row's last valid step; of a bidirectional layer, the forward half there and the backward
half at the first step, because that is where each direction has seen the whole row. `attention` is the learned query
of Yang et al. 2016 (see `attention.py`). A row of length 0 gives zeros.

`last`, `mean` and `max` take images too (the outputs of `ConvRecurrent`): each pixel for itself. `attention` is for
dense outputs.
"""

from __future__ import annotations

import math
from typing import get_args

import torch
from torch import Tensor, nn

from cellwise.errors import unknown
from cellwise.network.attention import AttentionPooling
from cellwise.network.checks import lengths_of
from cellwise.network.settings import ReadoutName
from cellwise.recurrent.checks import check_sizes
from cellwise.recurrent.guard import Lengths, blank, per_row

READOUTS: tuple[str, ...] = get_args(ReadoutName)


class Readout(nn.Module):
    """One vector (or image) for a row.

    Args:
        name: `last`, `mean`, `max` or `attention`.
        units: of the outputs, both directions together.
        bidirectional: whether the second half of the units ran backward; `last` alone asks.

    Raises:
        CellwiseError: unknown name; units that are not a whole number of 1 or more.
    """

    def __init__(self, name: str, units: int, *, bidirectional: bool = False):
        super().__init__()
        if name not in READOUTS:
            raise unknown("readout", name, READOUTS)
        check_sizes(units=units)
        self.name, self.units, self.bidirectional = name, units, bidirectional
        self.attention = AttentionPooling(units) if name == "attention" else None

    def forward(self, outputs: Tensor, lengths: Tensor | list[int] | None = None) -> Tensor:
        """Read a row.

        Args:
            outputs: (time, batch, units) or (time, batch, channels, height, width).
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full.

        Returns:
            (batch, units) or (batch, channels, height, width).

        Raises:
            ValueError: a shape or length that does not fit.
        """
        axis = self._units_axis(outputs)
        if self.attention is not None:
            context: Tensor = self.attention(outputs, lengths)[0]
            return context
        guard = lengths_of(outputs, lengths)
        if outputs.shape[0] == 0:
            return outputs.sum(0)  # zeros of the right shape
        outputs = blank(outputs, guard.valid)
        if self.name == "last":
            return _last(outputs, guard, axis if self.bidirectional else None)
        return _mean(outputs, guard) if self.name == "mean" else _max(outputs, guard)

    def _units_axis(self, outputs: Tensor) -> int:
        """The axis of the units, checked: the last, on images the third from the end."""
        images = outputs.dim() == 5 and self.attention is None
        if not images and outputs.dim() != 3:
            also = "" if self.attention is not None else " or (time, batch, channels, height, width)"
            raise ValueError(f"outputs must be (time, batch, units){also}, not of shape {tuple(outputs.shape)}")
        axis = -3 if images else -1
        if outputs.shape[axis] != self.units:
            raise ValueError(f"outputs have {outputs.shape[axis]} units; this readout takes {self.units}")
        return axis


def _last(outputs: Tensor, guard: Lengths, halves_axis: int | None) -> Tensor:
    at = per_row((guard.steps - 1).clamp(min=0)[None], outputs).expand_as(outputs[:1])
    last = outputs.gather(0, at)[0]  # blanked already: a row of length 0 finds zeros at step 0
    if halves_axis is None:
        return last
    half = outputs.shape[halves_axis] // 2
    return torch.cat([last.narrow(halves_axis, 0, half), outputs[0].narrow(halves_axis, half, half)], halves_axis)


def _mean(outputs: Tensor, guard: Lengths) -> Tensor:
    return outputs.sum(0) / per_row(guard.steps.clamp(min=1), outputs[0])


def _max(outputs: Tensor, guard: Lengths) -> Tensor:
    highest = outputs.masked_fill(~per_row(guard.valid, outputs), -math.inf).amax(0)
    return blank(highest, guard.steps > 0)
