"""Antisymmetric RNN, coRNN and LEM against torchrecurrent, an independent library, with the same weights.

torchrecurrent 0.2.5 lets the output of LEM see the memory before the step, where the paper and its authors' code have
the one after it. So its LEM is asked twice a step: once for the memory, and once, given that memory, for the output.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchrecurrent
from torch import Tensor, nn

from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, numbers

TIME, BATCH = 8, 3
Step = Callable[[Tensor, list[Tensor]], list[Tensor]]


@torch.no_grad()
def fill(cell: nn.Module, layer: Recurrent, gates: tuple[str, ...]) -> None:
    """Write our input weights and biases, stacked in their order, into their cell; clear their second biases."""
    weights = [layer.gate_weights()[gate] for gate in gates]
    for name, parameter in cell.named_parameters():
        if name.startswith("bias"):
            parameter.zero_()
    cell.get_parameter("weight_ih").copy_(torch.cat([w.input for w in weights if w.input is not None]))
    cell.get_parameter("bias_ih").copy_(torch.cat([w.bias for w in weights if w.bias is not None]))


def recurrent(layer: Recurrent, *gates: str) -> Tensor:
    found = [layer.gate_weights()[gate].recurrent for gate in gates]
    return torch.cat([weight for weight in found if weight is not None]).detach()


def assert_same(layer: Recurrent, step: Step) -> None:
    """Outputs, and the gradients of input and initial state."""
    x = numbers(TIME, BATCH, INPUT).requires_grad_()
    start = {n: numbers(1, BATCH, HIDDEN, seed=5 + k).requires_grad_() for k, n in enumerate(layer.cell.states)}
    state, outputs = [value[0] for value in start.values()], []
    for x_t in x:
        state = step(x_t, state)
        outputs.append(state[0])
    output, expected = layer(x, start)[0], torch.stack(outputs)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    weight, leaves = numbers(*output.shape, seed=9), (x, *start.values())
    for found, wanted in zip(
        torch.autograd.grad(output, leaves, weight), torch.autograd.grad(expected, leaves, weight), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("gated", "name", "gates"),
    [
        (False, "AntisymmetricRNNCell", ("candidate",)),
        (True, "GatedAntisymmetricRNNCell", ("input", "candidate")),
    ],
)
def test_antisymmetric_rnn_is_that_of_torchrecurrent(gated: bool, name: str, gates: tuple[str, ...]) -> None:
    layer = dense(lambda: build_cell("antisymmetric_rnn", {"gated": gated, "step_size": 0.3, "diffusion": 0.2}))
    cell = getattr(torchrecurrent, name)(INPUT, HIDDEN, epsilon=0.3, gamma=0.2).double()
    fill(cell, layer, gates)
    with torch.no_grad():
        cell.weight_hh.copy_(recurrent(layer, "candidate"))
    assert_same(layer, lambda x, state: [cell(x, state[0])])


def test_cornn_is_that_of_torchrecurrent() -> None:
    options = {"dt": 0.1, "gamma": 1.3, "epsilon": 0.8}
    layer = dense(lambda: build_cell("cornn", options))
    cell = torchrecurrent.coRNNCell(INPUT, HIDDEN, **options).double()
    fill(cell, layer, ("candidate",))
    with torch.no_grad():
        for weight, share in zip(
            (cell.weight_hh, cell.weight_ch), recurrent(layer, "candidate").chunk(2, 1), strict=True
        ):
            weight.copy_(share)
    assert_same(layer, lambda x, state: list(cell(x, tuple(state))))


def test_lem_is_that_of_torchrecurrent_but_for_the_memory_its_output_sees() -> None:
    layer = dense(lambda: build_cell("lem", {"dt": 0.7}))
    cell = torchrecurrent.LEMCell(INPUT, HIDDEN, dt=0.7).double()
    by_output = ("output_step", "memory_step", "memory_candidate")
    fill(cell, layer, (*by_output, "output_candidate"))
    with torch.no_grad():
        cell.weight_hh.copy_(recurrent(layer, *by_output))
        cell.weight_ch.copy_(recurrent(layer, "output_candidate"))

    def step(x: Tensor, state: list[Tensor]) -> list[Tensor]:
        _, memory = cell(x, tuple(state))
        output, _ = cell(x, (state[0], memory))
        return [output, memory]

    assert_same(layer, step)
