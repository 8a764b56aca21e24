"""What training minimises: means over all observed pixels of a batch, in the network's range [0, 1].

Cross entropy of pixels as probabilities: Shi et al. 2015, arXiv 1506.04214, section 4.1. Balanced losses: Shi et al.
2017, arXiv 1706.03458, section 3.2: each pixel's squared, or absolute, error times a weight that grows with the rain
observed there, 1, 1, 2, 5, 10 and 30 for the classes cut at 0.5, 2, 5, 10 and 30 mm/h; `balanced` is the sum of both,
which HKO-7's networks are trained on.

Differences: means, where they have sums over pixels and frames; a pixel that was not observed counts nowhere (HKO-7
masks clutter instead). The mean is over pixels, not over their weights: rain counts for more, in every batch alike.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cellwise.tasks.nowcasting.frames import Field
from cellwise.tasks.nowcasting.metrics.errors import balancing_weights
from cellwise.tasks.nowcasting.settings import LossName


class Lost(NamedTuple):
    """A loss before it is divided.

    Attributes:
        of_pixel: of each pixel, (lead, batch, 1, height, width), 0 where nothing was observed.
        there: bool, where something was observed, the same shape.
    """

    of_pixel: Tensor
    there: Tensor

    @property
    def pixels(self) -> int:
        """How many were observed."""
        return int(self.there.sum())

    def mean(self) -> Tensor:
        """Return the mean over observed pixels; 0 of none."""
        return self.of_pixel.sum() / max(self.pixels, 1)


def activated(loss: LossName, raw: Tensor) -> Tensor:
    """Return what a network says in the range [0, 1]: trained on cross entropy it gives logits."""
    return raw.sigmoid() if loss == "cross_entropy" else raw


def lost(loss: LossName, raw: Tensor, observed: Tensor, field: Field) -> Lost:
    """Return a loss by pixel.

    Args:
        loss: which.
        raw: the network's outputs, (lead, batch, 1, height, width).
        observed: in the field's unit, the same shape, NaN where nothing was observed.
        field: what frames show.
    """
    there = ~observed.isnan()
    value = torch.where(there, observed, 0.0)
    target, mask = field.to_network(value).to(raw.dtype), there.to(raw.dtype)
    if loss == "cross_entropy":
        each = F.binary_cross_entropy_with_logits(raw, target, reduction="none")
    else:
        each = _error(loss, raw - target)
        if loss.startswith("balanced"):
            mask = mask * balancing_weights(value).to(raw.dtype)
    return Lost(each * mask, there)


def _error(loss: LossName, error: Tensor) -> Tensor:
    if loss.endswith("mse"):
        return error.square()
    return error.abs() if loss.endswith("mae") else error.square() + error.abs()
