"""Checks of the step itself: what it returns, which products it calls, and that it works row by row."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, Gates, State, check_declaration, check_returned
from cellwise.testing.layers import HIDDEN, Build, assert_all_close, assert_close, dense, images, numbers

BATCH = 5


class _CountedProducts:
    """Random recurrent products that write down how they are called."""

    def __init__(self, cell: Cell, shares: Mapping[str, Tensor]):
        self._cell, self._shares = cell, shares
        self.calls: list[tuple[str, tuple[int, ...]]] = []

    def __call__(self, product: str, operand: Tensor) -> Mapping[str, Tensor]:
        products = self._cell.products
        assert product in products, f"the step calls U({product!r}, ...); declared products: {', '.join(products)}"
        self.calls.append((product, tuple(operand.shape)))
        feeds, width = products[product]
        assert operand.shape[-1] == width * HIDDEN, (
            f"the operand of {product!r} is {operand.shape[-1]} wide; declared: {width} hidden(s) = {width * HIDDEN}"
        )
        fed = {}
        for place, name in enumerate(feeds):
            share = operand @ (0.4 * numbers(width * HIDDEN, HIDDEN, seed=50 + place))
            fed[name] = self._shares[name] + share if name in self._shares else share
        return fed


def _one_step(cell: Cell) -> tuple[tuple[State, Gates], State, _CountedProducts, dict[str, Tensor]]:
    """What a step returns, the state before it, its products, and all its inputs by what the step calls them."""
    shares = {gate: numbers(BATCH, HIDDEN, seed=10 + n) for n, gate in enumerate(cell.gates)}
    before = {
        name: numbers(BATCH, HIDDEN, seed=20 + n).sigmoid() + cell.initial.get(name, 0.0)
        for n, name in enumerate(cell.states)
    }
    extras = {
        name: (sum(value) / 2 if isinstance(value, tuple) else value) + 0.3 * numbers(HIDDEN, seed=30)
        for name, value in cell.extras.items()
    }
    extras |= {f"bias_{gate}": 0.3 * numbers(HIDDEN, seed=40 + n) for n, gate in enumerate(cell.step_biases)}
    products = _CountedProducts(cell, shares)
    given = {"x": shares, "s": before, "p": extras}
    inputs = {f"{letter}[{name!r}]": value for letter, named in given.items() for name, value in named.items()}
    return cell.step(shares, products, dict(before), extras), before, products, inputs


def check_step_returns(build: Build) -> None:
    """The cell's data agree with each other, and the step returns what they say, finite."""
    cell = build()
    check_declaration(cell, type(cell).__name__)
    returned, before, _, _ = _one_step(cell)
    check_returned(cell, returned, before)
    state, gates = returned
    for name, gate in gates.items():
        shape = tuple(gate.shape)
        assert shape == (BATCH, HIDDEN), f"gate {name!r} has shape {shape}; one number per row and unit is wanted"
    for name, value in (state | gates).items():
        assert value.dtype == torch.float64, f"{name!r} is {value.dtype} after a step on {torch.float64}"
        assert value.isfinite().all(), f"{name!r} is not finite after one step from small numbers"


def check_products(build: Build) -> None:
    """The step calls exactly its declared products, once each, in the declared order."""
    cell = build()
    _, _, products, _ = _one_step(cell)
    called = [name for name, _ in products.calls]
    assert called == list(cell.products), f"the step calls the products {called}; declared: {list(cell.products)}"
    for name, shape in products.calls:
        assert shape[:-1] == (BATCH,), f"the operand of {name!r} has shape {shape}; rows must stay {BATCH}"


def check_step_is_pure(build: Build) -> None:
    """The step writes into nothing that it is given, and gives the same twice."""
    cell = build()
    first, _, _, inputs = _one_step(cell)
    again, _, _, untouched = _one_step(cell)
    for name, value in inputs.items():
        assert value._version == 0, f"the step writes into {name} in place; make a new tensor instead"
        assert torch.equal(value, untouched[name]), f"the step changes {name}"
    assert_all_close("the same step again: state", again[0], first[0], 0.0)


def check_rows(build: Build) -> None:
    """On an image, under 1x1 kernels, each pixel is a row of the dense layer."""
    time, batch, height, width = 3, 2, 3, 2
    flat, image = dense(build, bidirectional=True), images(build, 1, bidirectional=True)
    with torch.no_grad():
        for ours, theirs in zip(image.parameters(), flat.parameters(), strict=True):
            ours.copy_(theirs.reshape(ours.shape))
        x = numbers(time, batch, flat.input_size, height, width)
        pixels = x.permute(0, 1, 3, 4, 2).reshape(time, batch * height * width, flat.input_size)
        output, state = image(x)
        expected, expected_state = flat(pixels)
    output = output.permute(0, 1, 3, 4, 2).reshape(expected.shape)
    assert_close("the output on an image", output, expected)
    for name, value in state.items():
        moved = value.permute(0, 1, 3, 4, 2).reshape(expected_state[name].shape)
        assert_close(f"state {name!r} on an image", moved, expected_state[name])


def check_retention(build: Build) -> None:
    """`retention` leads from a state to a gate that the step returns."""
    cell = build()
    (_, gates), _, _, _ = _one_step(cell)
    for state, gate in cell.retention.items():
        assert gate in gates, (
            f"retention says that {gate!r} keeps {state!r}, but the step returns the gates {', '.join(gates)}"
        )
