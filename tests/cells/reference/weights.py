"""Weights for the references: NumPy arrays by gate, as the papers write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellwise.recurrent.layer import ConvRecurrent, Recurrent

Array = NDArray[np.float64]
Reference = Callable[..., list[dict[str, Array]]]
Case = tuple[str, dict[str, Any], Reference]  # a registered cell, a combination of its listed options, its reference


@dataclass(frozen=True)
class NumpyWeights:
    """By gate: `W` (hidden, input), `U` (hidden, width * hidden), `b` (hidden,), and `d` of a GRU's candidate.

    `p` by name. A gate that no product feeds has no `U`, one that sees x itself no `W`.
    """

    W: dict[str, Array]
    U: dict[str, Array]
    b: dict[str, Array]
    d: dict[str, Array]
    p: dict[str, Array]


def numpy_weights(layer: Recurrent | ConvRecurrent, number: int = 0, backward: bool = False) -> NumpyWeights:
    """Return one layer's weights; a gate without bias has zeros."""
    found = NumpyWeights({}, {}, {}, {}, {})
    zeros = np.zeros(layer.hidden_size)
    for gate, weights in layer.gate_weights(number, backward).items():
        if weights.input is not None:
            found.W[gate] = weights.input.detach().numpy()
        if weights.recurrent is not None:
            found.U[gate] = weights.recurrent.detach().numpy()
        found.b[gate] = zeros if weights.bias is None else weights.bias.detach().numpy()
        found.d[gate] = zeros if weights.recurrent_bias is None else weights.recurrent_bias.detach().numpy()
    for name, value in layer.extra_weights(number, backward).items():
        found.p[name] = value.detach().numpy()
    return found
