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

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from cellwise.errors import CellwiseError

if TYPE_CHECKING:
    from torch import Tensor

Products = Mapping[str, tuple[tuple[str, ...], int]]
STRUCTURES = ("antisymmetric",)
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
        raise NotImplementedError


def check_declaration(cell: Cell, name: str) -> None:
    """Refuse a cell whose data contradict each other.

    Raises:
        CellwiseError: naming the attribute to mend.
    """
    for problem in _problems(cell):
        raise CellwiseError(f"cell {name!r}: {problem}")


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
        case _:
            return f"must return two dictionaries, the new state and the gates, not {type(returned).__name__}"
    if set(state) != set(cell.states):
        return f"returned the states {sorted(state)}; states = {cell.states} wants each of these and no other"
    for name, value in state.items():
        if value.shape != before[name].shape:
            return (
                f"returned state {name!r} of shape {tuple(value.shape)}; it must keep the shape of the one before, "
                f"{tuple(before[name].shape)}"
            )
    missing = sorted(set(cell.gates) - set(gates))
    return f"returned the gates {sorted(gates)}; {missing} of gates = {cell.gates} is missing" if missing else None


def _problems(cell: Cell) -> list[str]:
    found = _name_problems(cell) + _product_problems(cell)
    return found or _member_problems(cell) + _number_problems(cell)


def _name_problems(cell: Cell) -> list[str]:
    found = []
    for attribute in ("gates", "states", "part_biases", "step_biases", "raw"):
        names = getattr(cell, attribute)
        if not isinstance(names, tuple) or not all(isinstance(n, str) and n.isidentifier() for n in names):
            found.append(f"{attribute} must be a tuple of names, not {names!r}")
        elif len(set(names)) != len(names):
            found.append(f"{attribute} names one twice: {names!r}")
    for attribute in ("products", "extras", "parts"):
        found += [
            f"{attribute} has the key {name!r}; it must be a name, for example 'hidden'"
            for name in getattr(cell, attribute)
            if not isinstance(name, str) or not name.isidentifier()
        ]
    if not cell.states:
        found.append("states must name at least the output, for example ('h',)")
    for part, gate in cell.parts.items():
        if gate not in cell.gates or part in cell.gates:
            found.append(f"parts maps {part!r} to {gate!r}; it must map a name that is no gate to one of {cell.gates}")
    found += [
        f"part_biases names {part!r}, which is not in parts" for part in cell.part_biases if part not in cell.parts
    ]
    return found


def _product_problems(cell: Cell) -> list[str]:
    found = []
    for product, value in cell.products.items():
        if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[0], tuple) or not value[0]:
            found.append(f"products[{product!r}] must be ((names it feeds), operand width in hiddens), not {value!r}")
            continue
        feeds, width = value
        found += [
            f"products[{product!r}] feeds {fed!r}, which is neither in gates {cell.gates} nor in parts"
            for fed in feeds
            if fed not in cell.gates and fed not in cell.parts
        ]
        if not isinstance(width, int) or width < 1:
            found.append(
                f"products[{product!r}] has operand width {width!r}; it must be a whole number of hiddens, 1 or more"
            )
    if found:
        return found
    fed_names = [fed for feeds, _ in cell.products.values() for fed in feeds]
    found += [f"{name!r} is fed by two products; name a part for one of them" for name in _repeated(fed_names)]
    return found + [f"part {part!r} is fed by no product" for part in cell.parts if part not in fed_names]


def _member_problems(cell: Cell) -> list[str]:
    found = []
    for attribute, allowed in (
        ("initial", cell.states),
        ("retention", cell.states),
        ("free_states", cell.states),
        ("bias_offsets", cell.gates),
        ("chrono", cell.gates),
        ("step_biases", cell.gates),
        ("raw", cell.gates),
        ("structure", tuple(cell.products)),
    ):
        found += [
            f"{attribute} names {name!r}; allowed: {', '.join(allowed) or 'nothing'}"
            for name in getattr(cell, attribute) or ()
            if name not in allowed
        ]
    found += [
        f"extras names {name!r}; what the step adds itself has that name"
        for name in cell.extras
        if _is_bias(cell, name)
    ]
    for product, structure in cell.structure.items():
        if structure not in STRUCTURES:
            found.append(f"structure[{product!r}] is {structure!r}; allowed: {', '.join(STRUCTURES)}")
        elif product in cell.products and cell.products[product][1] != 1:
            found.append(f"structure[{product!r}] wants a square matrix, so an operand of width 1")
    if cell.affine and cell.products:
        found.append("affine says that the state is not multiplied by a matrix, but products names some")
    return found


def _is_bias(cell: Cell, name: str) -> bool:
    return name in {f"bias_{gate}" for gate in cell.step_biases}


def _number_problems(cell: Cell) -> list[str]:
    found = [
        f"{attribute}[{name!r}] is {value!r}; it must be a finite number"
        for attribute in ("initial", "bias_offsets")
        for name, value in getattr(cell, attribute).items()
        if not _is_finite(value)
    ]
    found += [
        f"extras[{name!r}] is {value!r}; it must be a finite number, or two: (low, high)"
        for name, value in cell.extras.items()
        if not _is_finite(value) and not (isinstance(value, tuple) and len(value) == 2 and all(map(_is_finite, value)))
    ]
    return found + [
        f"chrono[{gate!r}] is {sign!r}; allowed: 1 (a large bias keeps), -1 (it lets go)"
        for gate, sign in cell.chrono.items()
        if sign not in (1, -1)
    ]


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
