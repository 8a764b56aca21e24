"""Trivial nowcasts, which every network is held against.

* `empty`: nothing anywhere. Where squared errors count it is hard to beat: whatever is forecast at the wrong place
  costs twice.
* `persistence`: the last frame stays (Eulerian persistence).
* `lagrangian`: the last frame moves on as the last three moved (Lagrangian persistence); of rain only.
* `lagrangian_true_motion`: in its place for synthetic rain, with the wind that the rain was made with, so that nothing
  needs to be installed.

Which floors a source has never depends on what is installed: radar can't be read without pysteps either.

**The same pixels for all.** A floor answers at every pixel, as a network does. What moves in from beyond the frame is
known to none of them: extrapolation repeats what stands at the edge. What was missing in the last frame is no rain to
all of them, as in a network's inputs. So every score is over all pixels that were observed, whatever was forecast.
`Nowcast.inside` says which pixels extrapolation had something to carry to: as a `mask` of `Verification.add`, for floor
and networks alike, it gives scores within reach of extrapolation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cellwise.tasks.nowcasting.frames import Batch, Sequences
from cellwise.tasks.nowcasting.motion import carry, optical_flow
from cellwise.tasks.nowcasting.synthetic_rain import RainCells


class Nowcast(NamedTuple):
    """A forecast of a batch.

    Attributes:
        frames: (lead, batch, 1, height, width), in the data's unit, no NaN.
        inside: bool, the same shape: where it rests on what was seen there or upstream.
    """

    frames: Tensor
    inside: Tensor


Floor = Callable[[Batch], Nowcast]


def floors_of(sequences: Sequences) -> dict[str, Floor]:
    """Return the floors of a source, by name."""
    found: dict[str, Floor] = {"empty": empty, "persistence": persistence}
    if isinstance(sequences, RainCells):
        known = sequences
        found["lagrangian_true_motion"] = lambda batch: lagrangian(batch, known.motion(np.asarray(batch.event.cpu())))
    elif sequences.field.unit == "mm/h":
        found["lagrangian"] = lagrangian
    return found


def empty(batch: Batch) -> Nowcast:
    """Forecast nothing at all."""
    frames = torch.zeros_like(batch.observed)
    return Nowcast(frames, torch.ones_like(frames, dtype=torch.bool))


def persistence(batch: Batch) -> Nowcast:
    """Forecast that the last frame stays; what was missing in it is no rain."""
    last = batch.seen[-1:].expand_as(batch.observed)
    return Nowcast(last.nan_to_num(nan=0.0), ~last.isnan())


def lagrangian(batch: Batch, motion: Tensor | None = None) -> Nowcast:
    """Forecast that the last frame moves on.

    Args:
        batch: of rain, of two input frames or more.
        motion: (batch, 2, height, width), pixels a step along columns and along rows; None: as the last frames moved.

    Raises:
        CellwiseError: the motion is to be found, and pysteps or OpenCV is not installed.
    """
    seen = batch.seen.squeeze(2)
    found = optical_flow(seen) if motion is None else motion
    moved = carry(seen[-1], found.to(seen.device), len(batch.observed))
    return Nowcast(moved.frames.unsqueeze(2), moved.inside.unsqueeze(2))
