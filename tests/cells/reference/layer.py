"""Which reference is whose, and how a layer's output is got from it: row by row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from tests.cells.reference.gru import gru
from tests.cells.reference.lstm import lstm
from tests.cells.reference.maps import convolution, dense
from tests.cells.reference.rnn import rnn
from tests.cells.reference.weights import Array, numpy_weights

Reference = Callable[..., list[dict[str, Array]]]

# Every registered cell under every combination of its listed options.
REFERENCES: list[tuple[str, dict[str, Any], Reference]] = [
    ("rnn", {"nonlinearity": "tanh"}, partial(rnn, nonlinearity="tanh")),
    ("rnn", {"nonlinearity": "relu"}, partial(rnn, nonlinearity="relu")),
    ("lstm", {}, partial(lstm, peepholes=False, coupled=False)),
    ("peephole_lstm", {}, partial(lstm, peepholes=True, coupled=False)),
    ("coupled_lstm", {"peepholes": True}, partial(lstm, peepholes=True, coupled=True)),
    ("coupled_lstm", {"peepholes": False}, partial(lstm, peepholes=False, coupled=True)),
    ("gru", {"reset": "after"}, partial(gru, reset="after")),
    ("gru", {"reset": "before"}, partial(gru, reset="before")),
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
