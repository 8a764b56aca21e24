"""The contract carries the fused engine: gradients by the prototype equal the plain loop's, for every cell and map."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch

from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, cell_names
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.engines import reference
from cellwise.recurrent.guard import check_lengths
from cellwise.testing.contract import option_variants
from cellwise.testing.layers import INPUT, dense, images, numbers
from tests.recurrent.fused_prototype import backward, forward
from tests.recurrent.throwaway import THROWAWAY

TIME, BATCH, HIDDEN = 4, 3, 4
CELLS: list[Callable[[], Cell]] = [
    *THROWAWAY,
    *(partial(build_cell, name, options) for name in cell_names() for options in option_variants(name)),
]
NAMES = [
    *(cell.__name__ for cell in THROWAWAY),
    *(f"{name}-{options}" for name in cell_names() for options in option_variants(name)),
]


@pytest.mark.parametrize("given", [None, [TIME, 0, 2]], ids=["full", "lengths"])
@pytest.mark.parametrize("kernel_size", [0, 2, 3], ids=["dense", "even_kernel", "odd_kernel"])
@pytest.mark.parametrize("build", CELLS, ids=NAMES)
def test_products_cut_out_of_the_step_give_the_plain_loops_gradients(
    build: Callable[[], Cell], kernel_size: int, given: list[int] | None
) -> None:
    layer = images(build, kernel_size) if kernel_size else dense(build, engine="reference")
    weights, cell = layer.weights()[0], layer.cell
    image = (3, 2) if kernel_size else ()
    x = numbers(TIME, BATCH, *image, INPUT).requires_grad_()
    start = {
        name: (numbers(BATCH, *image, HIDDEN, seed=20 + n).sigmoid() + cell.initial.get(name, 0.0)).requires_grad_()
        for n, name in enumerate(cell.states)
    }
    conditions = Conditions(weights.matrices(), check_lengths(given, TIME, BATCH, x.device))
    output, state = reference.run(weights, x, start, conditions)
    values = [output, *(state[name] for name in cell.states)]
    seeds = [numbers(*value.shape, seed=30 + n) for n, value in enumerate(values)]
    leaves = {"input": x} | start | dict(weights.named_parameters())
    gradients = torch.autograd.grad(values, list(leaves.values()), seeds, retain_graph=True)
    expected = dict(zip(leaves, gradients, strict=True))

    before = {name: value.detach() for name, value in start.items()}
    fused_output, fused_state, steps = forward(weights, x, before, conditions)
    found = backward(weights, conditions, x, steps, seeds[0], seeds[1:])

    torch.testing.assert_close(fused_output, output.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(fused_state, {n: v.detach() for n, v in state.items()}, rtol=0, atol=1e-12)
    assert set(found) == set(expected)
    for name, value in found.items():
        difference = (value - expected[name]).abs().max().item()
        assert difference <= 1e-12, f"gradient of {name}"
