"""What a cell's data must be, and how they may contradict each other: one sentence for each problem."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Mapping

from cellwise.cells.contract import Cell, listed
from cellwise.errors import CellwiseError

STRUCTURES = ("antisymmetric",)

# Each attribute that is a mapping, with an example of how to write it.
_MAPPINGS = {
    "products": '{"hidden": (("update", "candidate"), 1)}',
    "initial": '{"h": 1.0}',
    "extras": '{"gain": 1.0}',
    "parts": '{"candidate_recurrent": "candidate"}',
    "structure": '{"hidden": "antisymmetric"}',
    "retention": '{"h": "update"}',
    "bias_offsets": '{"forget": 1.0}',
    "chrono": '{"forget": 1}',
}
_TUPLES = ("gates", "states", "part_biases", "step_biases", "raw")
_NAMES = (*_MAPPINGS, *_TUPLES, "free_states", "affine")
# As difflib measures: `retantion` is 0.9 of `retention`; `paper` 0.6 of `parts`, and no misspelling.
_CLOSE = 0.75


def check_declaration(cell: Cell, name: str) -> None:
    """Refuse a cell whose data contradict each other.

    Raises:
        CellwiseError: naming the attribute to mend.
    """
    for problem in _problems(cell):
        raise CellwiseError(f"cell {name!r}: {problem}")


def _problems(cell: Cell) -> list[str]:
    """What is wrong with a cell's data, a sentence each; kinds first, because the rest reads them."""
    found = _kind_problems(cell) + _spelling_problems(cell)
    if found:
        return found
    found = _name_problems(cell) + _product_problems(cell)
    return found or _member_problems(cell) + _number_problems(cell)


def _kind_problems(cell: Cell) -> list[str]:
    found = []
    for attribute, example in _MAPPINGS.items():
        value = getattr(cell, attribute)
        if not isinstance(value, Mapping):
            found.append(f"{attribute} must be a mapping, for example {attribute} = {example}, not {value!r}")
    for attribute in _TUPLES:
        found += _tuple_problems(attribute, getattr(cell, attribute))
    if cell.free_states is not None:
        found += _tuple_problems("free_states", cell.free_states)
    affine: object = cell.affine
    if not isinstance(affine, bool):
        found.append(f"affine must be True or False, not {affine!r}")
    return found


def _tuple_problems(attribute: str, names: object) -> list[str]:
    if not isinstance(names, tuple) or not all(isinstance(n, str) and n.isidentifier() for n in names):
        return [f"{attribute} must be a tuple of names, not {names!r}"]
    return [f"{attribute} names one twice: {names!r}"] if len(set(names)) != len(names) else []


def _spelling_problems(cell: Cell) -> list[str]:
    """Attributes that look like one of the contract's and would be ignored."""
    options = inspect.signature(type(cell).__init__).parameters
    own = {name: value for each in reversed(_own_classes(cell)) for name, value in vars(each).items()} | vars(cell)
    found = []
    for name, value in own.items():
        if name.startswith("_") or name in _NAMES or name in options or callable(value):
            continue
        near = [n for n in _NAMES if name.startswith(f"{n}_")] or difflib.get_close_matches(name, _NAMES, 1, _CLOSE)
        if near and not isinstance(value, classmethod):
            found.append(
                f"a cell has no attribute {name!r}; did you mean {near[0]!r}? (one of your own may begin with _)"
            )
    return found


def _own_classes(cell: Cell) -> list[type]:
    """The cell's class and what it inherits from before the contract's."""
    classes = type(cell).__mro__
    return [each for each in classes[:-1] if each.__module__ != "cellwise.cells.contract"]


def _name_problems(cell: Cell) -> list[str]:
    found = []
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
    return found + [
        f"retention[{state!r}] is {gate!r}; it must be the name of a gate that the step returns"
        for state, gate in cell.retention.items()
        if not isinstance(gate, str)
    ]


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
        if type(width) is not int or width < 1:  # True is no width
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
            f"{attribute} names {name!r}; allowed: {listed(allowed)}"
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
        f"extras[{name!r}] is {value!r}; it must be a finite number, or two: (low, high) with low < high"
        for name, value in cell.extras.items()
        if not _is_finite(value) and not _is_range(value)
    ]
    return found + [
        f"chrono[{gate!r}] is {sign!r}; allowed: 1 (a large bias keeps), -1 (it lets go)"
        for gate, sign in cell.chrono.items()
        if type(sign) is not int or sign not in (1, -1)  # True is no sign
    ]


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_range(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_finite, value)) and value[0] < value[1]


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
