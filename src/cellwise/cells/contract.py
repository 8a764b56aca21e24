"""The contract of a cell: data, and one pure function of one time step.

A cell names its gates, products, states and per-unit parameters, and writes its equations in `step`. It has no loop, no
`nn.Linear`, no device and no layout. Dense or convolutional, one layer or many, lengths, engines, traces and export are
the layer's affair, so every cell has them with nothing written for it.

    class MyCell(Cell):
        gates = ("update", "candidate")
        products = {"hidden": (("update", "candidate"), 1)}
        retention = {"h": "update"}

        def step(self, x, U, s, p):
            u = U("hidden", s["h"])
            z = sigmoid(u["update"])
            n = tanh(u["candidate"])
            return {"h": z * s["h"] + (1 - z) * n}, {"update": z, "candidate": n}
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from cellwise.errors import CellwiseError

if TYPE_CHECKING:
    from torch import Tensor

Products = Mapping[str, tuple[tuple[str, ...], int]]
State = dict[str, "Tensor"]
Gates = dict[str, "Tensor"]


class RecurrentProduct(Protocol):
    """What a step gets as `U`: `U(product, operand)` multiplies the operand by that product's recurrent matrix."""

    def __call__(self, product: str, operand: Tensor, /) -> Mapping[str, Tensor]:
        """Return, by each name the product feeds, `x[name] + U operand` for a gate and `U operand` for a part."""
        ...


class Cell:
    """Base of every cell: override the data and `step`; keep the class final (no cell inherits another).

    Attributes:
        gates: names of what gets `W x + b`, in the order in which their weights are stacked.
        products: in call order, product name -> (names it feeds, width of its operand in hiddens).
        states: names of the tensors carried through time; the first is the output.
        initial: initial value of a state where it is not 0; finite.
        extras: per-unit parameters (peepholes, gains), name -> initial value, or (low, high) to draw it uniformly.
        parts: names fed by a product that are not gates -> the gate whose recurrent part they are. A part gets no
            `W x + b`; the step adds it where the equations say.
        part_biases: parts with a bias of their own, because it can't be merged with the gate's.
        step_biases: gates whose bias the step adds itself, as `p["bias_<gate>"]`, because something stands between
            `W x` and it (layer norm); `x[gate]` is `W x` alone, and the bias is zero in a layer without biases.
        raw: gates that the paper gives x itself: no map where the input has as many features as the layer has units,
            and an ordinary one where it has not.
        structure: product -> "antisymmetric" where its matrix is M - M^T for the stored M; each fed name a block.
        retention: state -> gate that says how much of it is kept, for probes.
        bias_offsets: gate -> value added to its bias at initialisation.
        chrono: gate -> +1 where a large bias keeps the memory, -1 where it lets it go, for chrono initialisation.
        free_states: states whose values stand alone, so that zoneout may hold them and a layer may learn where they
            start; None for all.
        affine: the new state is a * state + b with a and b from x alone, unit by unit; so the cell has no products,
            and the `scan` engine derives all steps at once from the one.
    """

    gates: tuple[str, ...] = ()
    products: Products = {}
    states: tuple[str, ...] = ("h",)
    initial: Mapping[str, float] = {}
    extras: Mapping[str, float | tuple[float, float]] = {}
    parts: Mapping[str, str] = {}
    part_biases: tuple[str, ...] = ()
    step_biases: tuple[str, ...] = ()
    raw: tuple[str, ...] = ()
    structure: Mapping[str, str] = {}
    retention: Mapping[str, str] = {}
    bias_offsets: Mapping[str, float] = {}
    chrono: Mapping[str, int] = {}
    free_states: tuple[str, ...] | None = None
    affine: bool = False

    def step(
        self, x: Mapping[str, Tensor], U: RecurrentProduct, s: Mapping[str, Tensor], p: Mapping[str, Tensor]
    ) -> tuple[State, Gates]:
        """Compute one time step, row by row; units are the last axis (on images: height, width, units).

        Args:
            x: by gate, its share `W x + b` of the input (see `step_biases`, `raw`), (batch, ..., hidden).
            U: the recurrent products; see `RecurrentProduct`. Called once per product, in the declared order.
            s: the state before the step, by name, (batch, ..., hidden).
            p: the extras by name, and the biases that the step adds itself as `bias_<gate>`, (hidden,).

        Returns:
            The new state by name, and the gates by name (it may return more names than `gates`).
        """
        raise CellwiseError(
            f"{type(self).__name__} has no step; write `def step(self, x, U, s, p):`, which returns the new state by "
            "name and the gates by name"
        )


def run_step(
    cell: Cell, x: Mapping[str, Tensor], U: RecurrentProduct, s: Mapping[str, Tensor], p: Mapping[str, Tensor]
) -> tuple[State, Gates]:
    """Return what `cell.step` returns; a name that the step misspells is told with the names there are.

    Raises:
        CellwiseError: the step reads a name that is not there.
    """
    try:
        return cell.step(x, U, s, p)
    except KeyError:
        # Once more with mappings that know what they are: until something fails, names cost nothing.
        cell.step(*_named(cell, x, U, s, p))
        raise


def check_returned(cell: Cell, returned: tuple[State, Gates], before: Mapping[str, Tensor]) -> None:
    """Refuse what a step must not return.

    Args:
        cell: whose step it was.
        returned: what it returned.
        before: the state that it was given.

    Raises:
        CellwiseError: naming what to mend.
    """
    problem = _returned_problem(cell, returned, before)
    if problem:
        raise CellwiseError(f"{type(cell).__name__}.step {problem}")


def _returned_problem(cell: Cell, returned: object, before: Mapping[str, Tensor]) -> str | None:
    match returned:
        case (dict() as state, dict() as gates):
            pass
        case None:
            return "returned nothing; it must return two dictionaries, the new state and the gates"
        case _:
            return f"must return two dictionaries, the new state and the gates, not {type(returned).__name__}"
    if set(state) != set(cell.states):
        there = sorted(map(str, state)) or "none"
        return f"returned the states {there}; states = {cell.states} wants each of these and no other"
    for kind, values in (("state", state), ("gate", gates)):
        for name, value in values.items():
            if not hasattr(value, "shape"):
                what = "None" if value is None else f"a {type(value).__name__}"
                return f"returned {kind} {name!r} as {what}; it must be a tensor, (batch, ..., hidden)"
    for name, value in state.items():
        if value.shape != before[name].shape:
            return (
                f"returned state {name!r} of shape {tuple(value.shape)}; it must keep the shape of the one before, "
                f"{tuple(before[name].shape)}"
            )
    missing, there = sorted(set(cell.gates) - set(gates)), sorted(map(str, gates)) or "none"
    return f"returned the gates {there}; {missing} of gates = {cell.gates} is missing" if missing else None


class _Named(dict[str, "Tensor"]):
    """A mapping that says of a name which is not in it who read it, and which names are."""

    def __init__(self, values: Mapping[str, Tensor], cell: Cell, letter: str, there: str):
        super().__init__(values)
        self._reader, self._letter, self._there = type(cell).__name__, letter, there

    def __missing__(self, name: object) -> Tensor:
        raise _misspelt(f"{self._reader}.step reads {self._letter}[{name!r}]", name, self._there, self)


def _named(
    cell: Cell, x: Mapping[str, Tensor], U: RecurrentProduct, s: Mapping[str, Tensor], p: Mapping[str, Tensor]
) -> tuple[_Named, RecurrentProduct, _Named, _Named]:
    """The arguments of a step, as mappings that know what they are."""

    def product(name: str, operand: Tensor, /) -> _Named:
        if name not in cell.products:
            calls = f"{type(cell).__name__}.step calls U({name!r}, ...)"
            raise _misspelt(calls, name, "products names", cell.products)
        return _Named(U(name, operand), cell, "u", f"product {name!r} feeds")

    extras = "extras and step_biases name" if cell.step_biases else "extras names"
    return (
        _Named(x, cell, "x", "gates names"),
        product,
        _Named(s, cell, "s", "states names"),
        _Named(p, cell, "p", extras),
    )


def _misspelt(did: str, name: object, there: str, names: Iterable[str]) -> CellwiseError:
    known = list(names)
    near = difflib.get_close_matches(str(name), known, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return CellwiseError(f"{did}, but {there} {listed(known)}{meant}")


def listed(names: Iterable[object]) -> str:
    """Return names for a message, `none` where there are none."""
    return ", ".join(map(str, names)) or "none"
