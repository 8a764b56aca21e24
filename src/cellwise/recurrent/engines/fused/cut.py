"""A cell's step with its products cut out: their results go in, their operands come out; what is left is pointwise.

The step runs under its conditions (`Conditions`: lengths, resets, masks, zoneout), which are part of what is left. It
is called with a `U` that multiplies nothing: it hands over the result it was given, or, where there is none yet, ends
the step there, because what follows can't be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

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


_TRIAL = (7, 240)  # rows, units; of units as many as split into heads and groups of most numbers
_seen = WeakIdKeyDictionary()  # by identity: a cell from outside may be a dataclass, which has no hash


def look_at(cell: Cell) -> Seen | None:
    """Return what a step is like; None where it can't be cut: see `_tried`."""
    if cell not in _seen:
        _seen[cell] = _tried(cell)
    found: Seen | None = _seen[cell]
    return found


def _tried(cell: Cell) -> Seen | None:
    """What a step and its derivative show on tensors without numbers.

    None where it looks at numbers, draws some, brings tensors of its own, calls products as it likes, or can't be
    differentiated by `torch.func`.
    """
    mode = FakeTensorMode()
    with mode:
        state = {name: torch.empty(_TRIAL) for name in cell.states}
        shares = {gate: torch.empty(_TRIAL) for gate in cell.gates}
        names = [*cell.extras, *(f"bias_{gate}" for gate in cell.step_biases)]
        parameters = {name: torch.empty(_TRIAL[1]) for name in names}
        results = {
            product: {name: torch.empty(_TRIAL) for name in feeds} for product, (feeds, _) in cell.products.items()
        }
    read: set[str] = set()
    called: list[tuple[str, str | None]] = []

    def step(state: State, shares: State, results: dict[str, State]) -> tuple[State, list[Tensor]]:
        operands: list[Tensor] = []

        def products(product: str, operand: Tensor, /) -> dict[str, Tensor]:
            called.append((product, next((name for name, value in state.items() if value is operand), None)))
            operands.append(operand)
            return results[product]

        returned = cell.step(_Read(shares, read), products, state, parameters)
        check_returned(cell, returned, state)
        return returned[0], operands

    try:
        with mode, _NothingDrawn(), torch.autograd.set_detect_anomaly(False):  # type: ignore[no-untyped-call]
            left, pull, *_ = torch.func.vjp(step, state, shares, results)
            pull(left)
    except Exception:  # whatever a cell from outside raises here, the reference will tell
        return None
    if [name for name, _ in called] != list(cell.products):
        return None
    return Seen(frozenset(read), called[0][1] if called else None)


class _NothingDrawn(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch publishes no types for it
    """Refuses random numbers: the way back would draw others."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise ValueError(f"{func} draws random numbers")
        return func(*args, **(kwargs or {}))


class _Read(Mapping[str, Tensor]):
    """Shares of the input that note which of them are read, in whatever way: `get`, `**` and all go through one."""

    def __init__(self, values: Mapping[str, Tensor], read: set[str]):
        self._values, self._read = values, read

    def __getitem__(self, name: str) -> Tensor:
        value = self._values[name]
        self._read.add(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
