"""Cells against onnxruntime in float32, with lengths, given states and both directions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from cellwise.cells.registry import build_cell
from cellwise.testing.layers import dense, numbers
from tests.cells.onnx_operator import operator_weights, run_operator
from tests.cells.reference.layer import case_id

TIME, BATCH, HIDDEN = 6, 4, 5
LENGTHS = [3, TIME, 1, 5]  # never 0: see onnx_operator
ALLOWED = 1e-6

CASES: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("rnn", {"nonlinearity": "tanh"}, "RNN", {}),
    ("rnn", {"nonlinearity": "relu"}, "RNN", {}),
    ("lstm", {}, "LSTM", {}),
    ("gru", {"reset": "after"}, "GRU", {"linear_before_reset": 1}),
    ("gru", {"reset": "before"}, "GRU", {"linear_before_reset": 0}),
    ("peephole_lstm", {}, "LSTM", {}),
    ("coupled_lstm", {"peepholes": False}, "LSTM", {"input_forget": 1}),
    ("coupled_lstm", {"peepholes": True}, "LSTM", {"input_forget": 1}),
]


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one_way", "both_ways"])
@pytest.mark.parametrize(("name", "options", "op", "attributes"), CASES, ids=case_id)
def test_a_cell_is_the_operator_of_onnx(
    name: str,
    options: dict[str, Any],
    op: str,
    attributes: dict[str, Any],
    bidirectional: bool,
    lengths: list[int] | None,
) -> None:
    layer = dense(
        lambda: build_cell(name, options), dtype=torch.float32, hidden_size=HIDDEN, bidirectional=bidirectional
    )
    x = numbers(TIME, BATCH, layer.input_size, dtype=torch.float32)
    start = {
        state: 0.5 * numbers(layer.directions, BATCH, HIDDEN, dtype=torch.float32, seed=70 + n)
        for n, state in enumerate(layer.cell.states)
    }
    feeds: dict[str, Any] = {"X": x.numpy(), **operator_weights(op, layer)}
    feeds |= {f"initial_{state}": value.numpy() for state, value in start.items()}
    if lengths is not None:
        feeds["sequence_lens"] = np.array(lengths, np.int32)
    if bidirectional:
        attributes = attributes | {"direction": '"bidirectional"'}
    if op == "RNN":
        attributes = attributes | {"activations": json.dumps([options["nonlinearity"].capitalize()] * layer.directions)}
    expected = run_operator(op, attributes, **feeds)
    with torch.no_grad():
        output, state = layer(x, start, lengths)
    by_direction = output.reshape(TIME, BATCH, layer.directions, HIDDEN).transpose(1, 2).numpy()
    np.testing.assert_allclose(by_direction, expected["Y"], rtol=0, atol=ALLOWED)
    for state_name, value in state.items():
        np.testing.assert_allclose(value.numpy(), expected[f"Y_{state_name}"], rtol=0, atol=ALLOWED)
