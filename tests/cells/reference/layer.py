"""Which reference is whose, and how a layer's output is got from it: row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from tests.cells.reference import greff, gru, indrnn, layer_norm, lstm, minimal, mut, ode, rnn, scrn, single_gate, slstm
from tests.cells.reference.maps import convolution, dense
from tests.cells.reference.weights import Case, Reference, numpy_weights

# Every registered cell under every combination of its listed options.
REFERENCES: list[Case] = [
    case
    for module in (rnn, lstm, gru, greff, layer_norm, single_gate, mut, indrnn, scrn, ode, minimal, slstm)
    for case in module.CASES
]


def case_id(value: Any) -> str:
    """Name a case of REFERENCES for pytest."""
    if isinstance(value, dict):
        return "-".join(f"{key}={option}" for key, option in value.items()) or "default"
    return value if isinstance(value, str) else ""


def expected_steps(
    reference: Reference, layer: Recurrent | ConvRecurrent, x: Tensor, start: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Return every state and gate of a one-layer, one-way layer, (time, batch, hidden, ...), from its reference."""
    weights = numpy_weights(layer)
    product = dense if isinstance(layer, Recurrent) else convolution
    rows = [
        reference(x[:, row].numpy(), {name: value[0, row].numpy() for name, value in start.items()}, weights, product)
        for row in range(x.shape[1])
    ]
    return {
        name: torch.from_numpy(np.stack([[step[name] for step in steps] for steps in rows], axis=1))
        for name in rows[0][0]
    }
