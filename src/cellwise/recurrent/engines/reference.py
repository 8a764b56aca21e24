"""The plain loop: the cell's own step under autograd. Every other engine is measured against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, Gates, State, check_returned, run_step
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.maps import Dense, LinearMap

Watch = Callable[[Gates, State], State]


class ByName(Protocol):
    """Tensors by name: a dictionary, or torch's of parameters."""

    def items(self) -> Iterable[tuple[str, Tensor]]:
        """Return the pairs."""
        ...


class StepWeights(Protocol):
    """What the loop knows of a layer's weights: `Weights`, or other tensors in their place."""

    @property
    def cell(self) -> Cell:
        """The cell."""
        ...

    @property
    def recurrent_map(self) -> LinearMap:
        """The map of the recurrent products."""
        ...

    @property
    def part_bias(self) -> ByName:
        """By part, its own bias, (hidden,)."""
        ...

    def project(self, x: Tensor) -> Tensor:
        """Return the input's share of every gate."""
        ...

    def step_parameters(self) -> dict[str, Tensor]:
        """Return what a step gets as `p`."""
        ...


def run(
    weights: StepWeights, x: Tensor, state: State, conditions: Conditions, watch: Watch | None = None
) -> tuple[Tensor, State]:
    """Run one layer in one direction.

    Args:
        weights: the layer's weights, with its cell.
        x: (time, batch, ..., input), time 1 or more.
        state: by name, (batch, ..., hidden).
        conditions: lengths, resets and masks of this call.
        watch: called with the gates and the state after each step; returns the state to go on with.

    Returns:
        Output (time, batch, ..., hidden) and the state after the last valid step.
    """
    cell = weights.cell
    parameters = weights.step_parameters()
    # The input's share for all steps at once. `unbind`, because indexing would cost a full-size gradient a step.
    projected = weights.project(x).unbind(0)
    products = Products(weights, conditions)
    outputs = []
    for t, x_t in enumerate(projected):
        old = conditions.before(t, state)
        shares = input_shares(cell, x_t)
        products.at(x_t, shares)
        returned = run_step(cell, shares, products, old, parameters)
        if t == 0:
            check_returned(cell, returned, old)
        new, gates = returned
        state = conditions.after(t, new, old)
        if watch is not None:
            state = watch({name: conditions.visible(t, value) for name, value in gates.items()}, state)
        outputs.append(conditions.visible(t, state[cell.states[0]]))
    return torch.stack(outputs), state


def input_shares(cell: Cell, x_t: Tensor) -> dict[str, Tensor]:
    """Return by gate what `StepWeights.project` gave, (..., gates * hidden), as views."""
    gates = cell.gates
    return dict(zip(gates, x_t.chunk(len(gates), dim=-1), strict=True)) if gates else {}


class Products:
    """The real recurrent products of one layer, bound to one step's input share at a time."""

    def __init__(self, weights: StepWeights, conditions: Conditions):
        self._cell, self._map = weights.cell, weights.recurrent_map
        self._weight, self._masks = conditions.matrices, conditions.operand_masks
        self._part_bias = dict(weights.part_bias.items())
        self._transposed = {
            product: weight.t()
            for product, weight in self._weight.items()
            # One `addmm` where a dense product feeds every gate in order: the input's share is added by the product.
            if isinstance(self._map, Dense) and weights.cell.products[product][0] == weights.cell.gates
        }

    def at(self, x_t: Tensor, shares: Mapping[str, Tensor]) -> None:
        """Bind to a step: `x_t` (batch, ..., gates * hidden), and its shares by gate."""
        self._x_t, self._shares = x_t, shares

    def __call__(self, product: str, operand: Tensor) -> Mapping[str, Tensor]:
        """Multiply an operand, see `contract.RecurrentProduct`."""
        feeds, _ = self._cell.products[product]
        if product in self._masks:
            operand = operand * self._masks[product]
        if product in self._transposed:
            together = torch.addmm(self._x_t, operand, self._transposed[product])
            return dict(zip(feeds, together.chunk(len(feeds), dim=-1), strict=True))
        shares = self._map(operand, self._weight[product]).chunk(len(feeds), dim=-1)
        return fed(dict(zip(feeds, shares, strict=True)), self._shares, self._part_bias)


def fed(
    products: Mapping[str, Tensor], shares: Mapping[str, Tensor], part_bias: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return what a step gets of a product: of a gate its share of the input too, of a part its own bias."""
    return {
        name: shares[name] + value if name in shares else value + part_bias[name] if name in part_bias else value
        for name, value in products.items()
    }
