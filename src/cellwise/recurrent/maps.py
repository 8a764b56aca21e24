"""The linear maps a layer multiplies by: dense, or a 2-D convolution with "same" zero padding.

Units are the last axis for a cell, always: a dense map sees (..., units), a convolution (..., height, width,
units), which is a free view of channels-last memory. So one step is the dense and the convolutional cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor


class LinearMap(Protocol):
    """A linear map without weights of its own."""

    spatial_axes: int

    def weight_shape(self, out_units: int, in_units: int) -> tuple[int, ...]:
        """Return the shape of a weight from `in_units` to `out_units`."""
        ...

    def __call__(self, v: Tensor, weight: Tensor, bias: Tensor | None = None, /) -> Tensor:
        """Return `weight v + bias`, (..., out units)."""
        ...


def of_no_input(v: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return what a map makes of v (..., 0), which has no features: its bias everywhere, (..., out units)."""
    return F.linear(v, weight.reshape(weight.shape[0], 0), bias)  # whose graph has the weight, empty as it is


@dataclass(frozen=True)
class Dense:
    """`W v + b` for v (..., in units); weight (out units, in units)."""

    spatial_axes = 0

    def weight_shape(self, out_units: int, in_units: int) -> tuple[int, ...]:
        """Return (out units, in units)."""
        return (out_units, in_units)

    def __call__(self, v: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return (..., out units)."""
        return F.linear(v, weight, bias)


@dataclass(frozen=True)
class ReplicatedDense:
    """`W v + b` for each of several layers at once: v (..., replicas, batch, in units).

    The weight is (replicas, out units, in units), the bias (replicas, 1, out units).
    """

    replicas: int
    spatial_axes = 0

    def weight_shape(self, out_units: int, in_units: int) -> tuple[int, ...]:
        """Return (replicas, out units, in units)."""
        return (self.replicas, out_units, in_units)

    def __call__(self, v: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return (..., replicas, batch, out units)."""
        # One batched product, in which each replica's rows of all steps lie together.
        rows = v.movedim(-3, 0).reshape(self.replicas, -1, v.shape[-1])
        out = rows @ weight.mT
        out = out.view(self.replicas, *v.shape[:-3], v.shape[-2], weight.shape[-2]).movedim(0, -3)
        return out if bias is None else out + bias


@dataclass(frozen=True)
class Convolution:
    """2-D convolution of v (..., height, width, in units); weight (out units, in units, kernel, kernel).

    The image keeps its size: zeros are added at the border, for an even kernel one more below and right than above and
    left (torch's and keras's "same").
    """

    kernel_size: int
    spatial_axes = 2

    def weight_shape(self, out_units: int, in_units: int) -> tuple[int, ...]:
        """Return (out units, in units, kernel, kernel)."""
        return (out_units, in_units, self.kernel_size, self.kernel_size)

    def __call__(self, v: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return (..., height, width, out units)."""
        if not v.shape[-1]:  # torch's convolution of no channels forgets the bias
            return of_no_input(v, weight, bias)
        lead = v.shape[:-3]
        images = v.reshape(math.prod(lead), *v.shape[-3:]).movedim(-1, -3)  # (images, in units, height, width)
        size = weight.shape[-1]  # of the weight as given: a structured one may be larger than what is stored
        before, after = (size - 1) // 2, size // 2
        if before == after:
            out = F.conv2d(images, weight, bias, padding=before)
        else:
            out = F.conv2d(F.pad(images, (before, after, before, after)), weight, bias)
        return out.movedim(-3, -1).reshape(*lead, *v.shape[-3:-1], weight.shape[0])
