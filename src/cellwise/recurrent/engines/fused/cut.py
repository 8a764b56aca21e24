"""A cell's step with its products cut out: their results go in, their operands come out; what is left is pointwise.

The step runs under its conditions (`Conditions`: lengths, resets, masks, zoneout), which are part of what is left. It
is called with a `U` that multiplies nothing: it hands over the result it was given, or, where there is none yet, ends
the step there, because what follows can't be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, State, check_returned, run_step
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.engines.fused.form import Form, Ingredients
from cellwise.recurrent.engines.reference import fed


class Stepped(NamedTuple):
    """What a step leaves: operands of the products it came to, and the new state and output, None if it did not end."""

    operands: list[Tensor]
    state: State | None
    output: Tensor | None


def operand(form: Form, given: Ingredients, number: int, results: Ingredients) -> Tensor:
    """Return the operand of product `number`.

    Args:
        form: of the step.
        given: by the names of `form.names`.
        number: 0 is the first product.
        results: of the products before it, by piece of `form.pieces`, with the input's share in it where it merges.
    """
    return _stepped(form, given, results, until=number).operands[-1]


def whole(form: Form, given: Ingredients, results: Ingredients) -> Stepped:
    """Return what the step leaves, given the results of all its products."""
    return _stepped(form, given, results, until=len(form.products))


class _ReachedError(Exception):
    """The step has come to the product whose operand was asked for."""


def _stepped(form: Form, given: Ingredients, results: Ingredients, until: int) -> Stepped:
    cell, conditions = form.cell, form.conditions(given)
    state = {name: given[f"state:{name}"] for name in cell.states}
    shares = {gate: given[f"share:{gate}"] for gate in cell.gates}
    parts = {name: given[f"part_bias:{name}"] for name in form.part_biases}
    products = _CutProducts(form, conditions, shares, parts, results, until)
    old = conditions.before(0, state)
    parameters = {name: given[f"parameter:{name}"] for name in form.parameters}
    try:
        returned = run_step(cell, shares, products, old, parameters)
    except _ReachedError:
        return Stepped(products.operands, None, None)
    check_returned(cell, returned, old)
    new = conditions.after(0, returned[0], old)
    return Stepped(products.operands, new, conditions.visible(0, new[cell.states[0]]))


class _CutProducts:
    """`U` without matrices."""

    def __init__(
        self,
        form: Form,
        conditions: Conditions,
        shares: Mapping[str, Tensor],
        parts: Mapping[str, Tensor],
        results: Ingredients,
        until: int,
    ):
        self._form, self._masks, self._shares, self._parts = form, conditions.operand_masks, shares, parts
        self._results, self._until = results, until
        self.operands: list[Tensor] = []

    def __call__(self, product: str, operand: Tensor) -> dict[str, Tensor]:
        masked = operand * self._masks[product] if product in self._masks else operand
        self.operands.append(masked)
        if len(self.operands) > self._until:
            raise _ReachedError
        feeds, _ = self._form.cell.products[product]
        pieces = {name: self._results[piece] for name, piece in zip(feeds, self._form.pieces(product), strict=True)}
        return pieces if self._form.merges(product) else fed(pieces, self._shares, self._parts)


class Seen(NamedTuple):
    """What a trial step showed of a cell.

    Attributes:
        direct: gates whose share of the input the step reads itself.
        start: the state that the first operand is, as it is; None where it is computed, or there is no product.
    """

    direct: frozenset[str]
    start: str | None


_TRIAL = (2, 3)  # rows, units
_seen: WeakKeyDictionary[Cell, Seen | None] = WeakKeyDictionary()


def look_at(cell: Cell) -> Seen | None:
    """Return what a step is like; None where it can't be cut: it looks at numbers, or calls products as it likes."""
    if cell not in _seen:
        _seen[cell] = _tried(cell)
    return _seen[cell]


def _tried(cell: Cell) -> Seen | None:
    """What a step on tensors without numbers shows."""

    def empty(width: int = 1) -> Tensor:
        return torch.empty(_TRIAL[0], width * _TRIAL[1], device="meta")

    read: set[str] = set()
    called: list[tuple[str, Tensor]] = []
    shares = _Read({gate: empty() for gate in cell.gates}, read)
    state = {name: empty() for name in cell.states}

    def products(product: str, operand: Tensor, /) -> dict[str, Tensor]:
        called.append((product, operand))
        return {name: empty() for name in cell.products[product][0]}

    names = [*cell.extras, *(f"bias_{gate}" for gate in cell.step_biases)]
    parameters = {name: torch.empty(_TRIAL[1], device="meta") for name in names}
    try:
        returned = cell.step(shares, products, state, parameters)
        check_returned(cell, returned, state)
    except Exception:  # whatever a cell from outside raises here, the reference will tell
        return None
    if [name for name, _ in called] != list(cell.products):
        return None
    first = called[0][1] if called else None
    start = next((name for name, value in state.items() if value is first), None)
    return Seen(frozenset(read), start)


class _Read(dict[str, Tensor]):
    """Shares of the input that note which of them are read."""

    def __init__(self, values: Mapping[str, Tensor], read: set[str]):
        super().__init__(values)
        self._read = read

    def __getitem__(self, name: str) -> Tensor:
        self._read.add(name)
        return super().__getitem__(name)

    def values(self):  # type: ignore[no-untyped-def]
        self._read.update(self)
        return super().values()

    def items(self):  # type: ignore[no-untyped-def]
        self._read.update(self)
        return super().items()
