"""Cells against torchrecurrent, an independent library: outputs and gradients with the same weights.

Left out, because torchrecurrent 0.2.5 computes something else: SCRN (a tanh layer after the sigmoid one, and its output
carried on in place of the hidden state). MUT1 and MUT2 map x there, as ours do where input and hidden size differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torchrecurrent
from torch import Tensor, nn

from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, numbers

TIME, BATCH = 8, 3
# Ours, theirs, and our gates in the order in which theirs are stacked.
PAIRS: list[tuple[str, str, tuple[str, ...]]] = [
    ("mgu", "MGUCell", ("forget", "candidate")),
    ("janet", "JANETCell", ("forget", "candidate")),
    ("ugrnn", "UGRNNCell", ("candidate", "update")),
    ("star", "STARCell", ("candidate", "update")),
    ("ligru", "LiGRUCell", ("update", "candidate")),
    ("mut1", "MUT1Cell", ("update", "reset", "candidate")),
    ("mut2", "MUT2Cell", ("update", "reset", "candidate")),
    ("mut3", "MUT3Cell", ("update", "reset", "candidate")),
]


def theirs(name: str, layer: Recurrent, gates: Sequence[str]) -> nn.Module:
    """Their cell with our weights."""
    cell: nn.Module = getattr(torchrecurrent, name)(INPUT, HIDDEN).double()
    weights = [layer.gate_weights()[gate] for gate in gates]
    given = {
        "weight_ih": [w.input for w in weights],
        "weight_hh": [w.recurrent for w in weights],
        "bias_ih": [w.bias for w in weights],
    }
    if name == "MUT1Cell":  # their input bias is inside tanh(W x + b), their recurrent one is the paper's
        zero = torch.zeros(HIDDEN, dtype=torch.float64)
        given["bias_ih"][2] = zero
        given["bias_hh"] = [zero, weights[2].bias]
    with torch.no_grad():
        for parameter, values in given.items():
            getattr(cell, parameter).copy_(torch.cat([value for value in values if value is not None]))
    return cell


def run(cell: nn.Module, x: Tensor, h: Tensor) -> Tensor:
    outputs = []
    state: Tensor | tuple[Tensor, Tensor] = (h, h) if isinstance(cell, torchrecurrent.JANETCell) else h
    for x_t in x:
        state = cell(x_t, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(outputs)


def assert_same(layer: Recurrent, cell: nn.Module) -> None:
    """Outputs, and the gradients of input and initial state."""
    x, h = numbers(TIME, BATCH, INPUT).requires_grad_(), numbers(BATCH, HIDDEN, seed=5).requires_grad_()
    output, expected = layer(x, {"h": h[None]})[0], run(cell, x, h)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    weight = numbers(*output.shape, seed=6)
    for found, wanted in zip(
        torch.autograd.grad(output, (x, h), weight), torch.autograd.grad(expected, (x, h), weight), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("ours", "name", "gates"), PAIRS)
def test_a_cell_is_that_of_torchrecurrent(ours: str, name: str, gates: tuple[str, ...]) -> None:
    layer = dense(lambda: build_cell(ours))
    assert_same(layer, theirs(name, layer, gates))


@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_so_is_indrnn(nonlinearity: str) -> None:
    layer = dense(lambda: build_cell("indrnn", {"nonlinearity": nonlinearity}))
    cell = torchrecurrent.IndRNNCell(INPUT, HIDDEN, nonlinearity=nonlinearity).double()
    weights = layer.gate_weights()["candidate"]
    with torch.no_grad():
        for value, given in ((cell.weight_ih, weights.input), (cell.bias_ih, weights.bias)):
            assert given is not None
            value.copy_(given)
        cell.vector_u.copy_(layer.extra_weights()["recurrent"])
    assert_same(layer, cell)
