"""What nowcasting's data give to everything else: batches of frames, the field that they show, sequences by row.

The network sees numbers in [0, 1]; scores and floors are in the data's own unit (mm/h, or pixel intensity). `Field`
is the only bridge between the two. For rain it is the scaling of HKO-7 (Shi et al. 2017, arXiv 1706.03458, and its
code): with the reflectivity dBZ = 10 log10(a) + 10 b log10(R) of a rain rate R in mm/h, a pixel is (dBZ + 10) / 70.

Differences: pixel 0, "no echo", is 0 mm/h here; HKO-7's inverse gives it what -10 dBZ would be, 0.017 mm/h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from cellwise.data.shuffled import Rows

RAIN_THRESHOLDS_MM_H = (0.5, 2.0, 5.0, 10.0, 30.0)
"""Where HKO-7 cuts rain into classes."""

Unit = Literal["1", "mm/h"]

_LOWEST_DBZ, _SPAN_DBZ = -10.0, 70.0


class Batch(NamedTuple):
    """Sequences of frames, time first.

    There is no channel that tells the network what is missing: a missing pixel of the inputs holds "no rain", as in
    HKO-7, so the network of a radar is that of the digits. Floors read `seen`, which says what is missing and has not
    been through the scaling: a value on a threshold would not always come back from it as an event.

    Attributes:
        inputs: float32 (in_steps, batch, 1, height, width), in the network's range [0, 1], no NaN.
        observed: float32 (lead, batch, 1, height, width), in the data's unit; NaN where nothing was observed.
        event: int64 (batch,), which independent event each sequence is from: sequences of one event are no
            independent evidence.
        seen: what `inputs` show, in the data's unit; NaN where nothing was observed.
    """

    inputs: Tensor
    observed: Tensor
    event: Tensor
    seen: Tensor


@dataclass(frozen=True)
class Field:
    """What frames show and how a network sees it.

    Attributes:
        unit: "1" for pixel intensity in [0, 1], or "mm/h".
        thresholds: an event is a value of at least this, in the unit, ascending.
        step_minutes: from a frame to the next; None where frames have no clock.
        pixel_km: side of a pixel; None where there is none.
        zr_a: a of Z = a R^b, by which rain is scaled for the network (not what the radar's owner made rain with).
        zr_b: b of the same.
    """

    unit: Unit
    thresholds: tuple[float, ...]
    step_minutes: float | None = None
    pixel_km: float | None = None
    zr_a: float = 58.53
    zr_b: float = 1.56

    def to_network(self, x: Tensor) -> Tensor:
        """Return values of the unit in the network's range [0, 1]; NaN stays NaN. Differentiable."""
        if self.unit == "1":
            return x
        # From the rain of pixel 0 on: the logarithm of 0 would give the gradient NaN.
        dbz = 10 * math.log10(self.zr_a) + 10 * self.zr_b * torch.log10(x.clamp(min=self._faintest_mm_h))
        return ((dbz - _LOWEST_DBZ) / _SPAN_DBZ).clamp(0, 1)

    def to_unit(self, y: Tensor) -> Tensor:
        """Return what a network said, clipped to [0, 1], in the unit; NaN stays NaN. Differentiable."""
        if self.unit == "1":
            return y.clamp(0, 1)
        dbz = _SPAN_DBZ * y.clamp(0, 1) + _LOWEST_DBZ
        rain = torch.pow(10.0, (dbz - 10 * math.log10(self.zr_a)) / (10 * self.zr_b))
        return torch.where(y <= 0, torch.zeros_like(rain), rain)

    @property
    def _faintest_mm_h(self) -> float:
        return math.pow(10, (_LOWEST_DBZ - 10 * math.log10(self.zr_a)) / (10 * self.zr_b))


PIXELS = Field("1", (0.5,))
"""The field of moving digits."""


class Sequences(Protocol):
    """The sequences of one split."""

    @property
    def field(self) -> Field:
        """What the frames show."""
        ...

    @property
    def events(self) -> Sequence[str]:
        """Names of the events by the numbers in `Batch.event`; empty where every sequence is one of its own."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What the record must say of them, a line each (files skipped, frames left out)."""
        ...

    def __len__(self) -> int:
        """How many sequences an epoch sees."""
        ...

    def __getitem__(self, rows: Rows, /) -> Batch:
        """Return sequences by number; a row is a pure function of its number.

        Numbers from the length on are those of later epochs (`ShuffledLoader(..., endless=True)`): new digits, or the
        same hours of radar under another crop. Only train has them.
        """
        ...

    def sha256(self) -> str:
        """Return the checksum of what the sequences are made of."""
        ...


def batch_of(frames: Tensor, in_steps: int, event: Tensor, field: Field) -> Batch:
    """Return sequences as a batch.

    Args:
        frames: float32 (steps, batch, height, width), in the unit, NaN where missing.
        in_steps: how many are seen.
        event: int64 (batch,).
        field: of the frames.
    """
    frames = frames.unsqueeze(2)
    seen = frames[:in_steps]
    inputs = seen if field.unit == "1" else field.to_network(seen.nan_to_num(nan=0.0))
    return Batch(inputs, frames[in_steps:], event, seen)
