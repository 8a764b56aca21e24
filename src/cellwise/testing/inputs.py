"""What a step is given by the checks that call it by itself: random shares, states, extras and recurrent products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, Gates, State, check_returned, run_step
from cellwise.testing.layers import HIDDEN, numbers

ROWS = 5


class RandomProducts:
    """Random recurrent products that write down how they are called and what they gave.

    Attributes:
        calls: by call, the product and the operand's shape.
        given: what the step got, by what it may call it.
    """

    def __init__(self, cell: Cell, shares: Mapping[str, Tensor], units: int = HIDDEN, *, frozen: bool = False):
        self._cell, self._shares, self._units, self._frozen = cell, shares, units, frozen
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.given: dict[str, Tensor] = {}

    def __call__(self, product: str, operand: Tensor, /) -> Mapping[str, Tensor]:
        """Multiply; frozen products are constants for the derivatives of a step."""
        feeds, width = self._cell.products[product]
        self.calls.append((product, tuple(operand.shape)))
        wanted = width * self._units
        assert operand.shape[-1] == wanted, (
            f"the operand of {product!r} is {operand.shape[-1]} wide; declared: {width} hidden(s) = {wanted}"
        )
        if self._frozen:
            operand = operand.detach()
        fed = {}
        for place, name in enumerate(feeds):
            weight = numbers(wanted, self._units, dtype=operand.dtype, seed=50 + place)
            share = operand @ weight * (0.8 / self._units**0.5)
            fed[name] = self._shares[name] + share if name in self._shares else share
        self.given |= {f"u[{name!r}]": value for name, value in fed.items()}
        return fed


@dataclass(frozen=True)
class Inputs:
    """The arguments of one step of a cell, all but the products.

    Attributes:
        cell: whose step.
        x: shares of the input by gate, (rows, units).
        s: the state by name, likewise.
        p: extras and the step's own biases, (units,).
    """

    cell: Cell
    x: dict[str, Tensor]
    s: State
    p: dict[str, Tensor]

    def run(self, products: RandomProducts | None = None) -> tuple[State, Gates]:
        """Return what the step returns, which must be what a step may return."""
        products = products or RandomProducts(self.cell, self.x, next(iter(self.s.values())).shape[-1])
        returned = run_step(self.cell, self.x, products, self.s, self.p)
        check_returned(self.cell, returned, self.s)
        return returned

    def by_name(self) -> dict[str, Tensor]:
        """Return every tensor by what the step calls it."""
        given = {"x": self.x, "s": self.s, "p": self.p}
        return {f"{letter}[{name!r}]": value for letter, named in given.items() for name, value in named.items()}


def random_inputs(cell: Cell) -> Inputs:
    """Return small random arguments: states positive beside their initial values, extras moved off theirs."""
    moved = 0.3 * numbers(HIDDEN, seed=30)
    return Inputs(
        cell,
        x={gate: numbers(ROWS, HIDDEN, seed=10 + n) for n, gate in enumerate(cell.gates)},
        s={
            name: numbers(ROWS, HIDDEN, seed=20 + n).sigmoid() + cell.initial.get(name, 0.0)
            for n, name in enumerate(cell.states)
        },
        p={name: value + moved for name, value in _extras(cell).items()}
        | {f"bias_{gate}": 0.3 * numbers(HIDDEN, seed=40 + n) for n, gate in enumerate(cell.step_biases)},
    )


def initial_inputs(
    cell: Cell, rows: int, units: int = HIDDEN, *, scale: float = 1.0, dtype: torch.dtype = torch.float64
) -> Inputs:
    """Return arguments of a first step: the cell's initial state and extras, biases 0, shares of size `scale`."""
    like = torch.zeros(rows, units, dtype=dtype)
    return Inputs(
        cell,
        x=_shares(cell, like, 0, scale),
        s={name: torch.full_like(like, cell.initial.get(name, 0.0)) for name in cell.states},
        p={name: torch.full_like(like[0], value) for name, value in _extras(cell).items()}
        | {f"bias_{gate}": torch.zeros_like(like[0]) for gate in cell.step_biases},
    )


def next_inputs(inputs: Inputs, state: State, number: int, *, scale: float = 1.0) -> Inputs:
    """Return the arguments of step `number`, which has shares of its own, from the state before it."""
    return replace(inputs, x=_shares(inputs.cell, next(iter(state.values())), number, scale), s=state)


def _shares(cell: Cell, like: Tensor, number: int, scale: float) -> dict[str, Tensor]:
    return {
        gate: scale * numbers(*like.shape, dtype=like.dtype, seed=1000 + 100 * number + n)
        for n, gate in enumerate(cell.gates)
    }


def _extras(cell: Cell) -> dict[str, float]:
    """The extras' initial values; the middle where one is drawn."""
    return {name: sum(value) / 2 if isinstance(value, tuple) else value for name, value in cell.extras.items()}
