"""The products of the references, channels first: a matrix by a vector, or a 2-D convolution with "same" zeros."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.cells.reference.weights import Array

Map = Callable[[Array, Array], Array]


def dense(weight: Array, v: Array) -> Array:
    """Return (out,) from weight (out, in) and v (in,)."""
    return weight @ v


def convolution(weight: Array, v: Array) -> Array:
    """Return (out, height, width) from weight (out, in, k, k) and v (in, height, width), pixel by pixel."""
    out, _, k, _ = weight.shape
    _, height, width = v.shape
    before = (k - 1) // 2
    result = np.zeros((out, height, width))
    for o in range(out):
        for row in range(height):
            for column in range(width):
                for i in range(k):
                    for j in range(k):
                        y, x = row + i - before, column + j - before
                        if 0 <= y < height and 0 <= x < width:
                            result[o, row, column] += weight[o, :, i, j] @ v[:, y, x]
    return result


def per_unit(value: Array, like: Array) -> Array:
    """View one number a unit so that it broadcasts over the pixels of `like`, if it has any."""
    return value.reshape(-1, *[1] * (like.ndim - 1))


def sigma(v: Array) -> Array:
    """Logistic function."""
    return 1 / (1 + np.exp(-v))
