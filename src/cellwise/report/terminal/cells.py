"""A cell told in text, for `cellwise cells`."""

from __future__ import annotations

from collections.abc import Iterator

from cellwise.budget import recurrent_flops, recurrent_parameters
from cellwise.cells.contract import Cell
from cellwise.cells.registry import CellInfo, build_cell, cell_info, cell_names
from cellwise.settings import typed

_EXAMPLE = 100  # input and hidden size of the example counts
_WIDTH = 12  # of the first column


def listing() -> str:
    """Return one line a registered cell: name and paper."""
    width = max(map(len, cell_names()))
    return "\n".join(f"{name:{width}}  {cell_info(name).paper}" for name in cell_names())


def known_cell(name: str) -> CellInfo:
    """Return the registry entry of a cell for a command that takes its modules as an option, not as a key.

    Raises:
        CellwiseError: unknown cell; what to type is `--cell-modules`.
    """
    return cell_info(name, modules_key="--cell-modules my_module")


def describe(name: str) -> str:
    """Return everything the registry knows of a cell, with its default options.

    Raises:
        CellwiseError: unknown cell.
    """
    info, cell = known_cell(name), build_cell(name)
    lines = [name, _line("paper", info.paper or "not given"), "  equations"]
    lines += [f"    {equation}" for equation in info.equations] or ["    not given"]
    lines += [_line(*told) for told in (*_computed(cell), *_parameters(cell), *_kept(cell), *_chosen(info))]
    n = _EXAMPLE
    cost = f"{recurrent_parameters(cell, n, n):,} parameters and {recurrent_flops(cell, n, n):,} FLOPs"
    lines.append(_line("cost", f"{cost} a step at input {n}, hidden {n}"))
    return "\n".join(lines)


def _line(word: str, told: str) -> str:
    return f"  {word:{_WIDTH}} {told}"


def _computed(cell: Cell) -> Iterator[tuple[str, str]]:
    """Gates, products and what is special about them."""
    yield "gates", ", ".join(cell.gates)
    for product, (feeds, width) in cell.products.items():
        shape = f", {cell.structure[product]} (M - M^T)" if product in cell.structure else ""
        wide = "as wide as a state" if width == 1 else f"{width} times as wide as a state"
        yield "product", f"{product}: of an operand {wide}, feeds {', '.join(feeds)}{shape}"
    for part, gate in cell.parts.items():
        own = ", with a bias of its own" if part in cell.part_biases else ""
        yield "part", f"{part}: what a product gives {gate}, apart from W x + b{own}"
    if cell.raw:
        yield "raw", f"{', '.join(cell.raw)}: x itself, with no W, where input and hidden size are equal"
    if cell.step_biases:
        yield "late bias", f"{', '.join(cell.step_biases)}: added by the step, not to W x"
    if cell.affine:
        yield "affine", "h = a * h_{t-1} + b with a and b of x alone: all steps can be computed at once"


def _parameters(cell: Cell) -> Iterator[tuple[str, str]]:
    """Per-unit parameters and how biases start."""
    for name, value in cell.extras.items():
        start = f"drawn from U({value[0]:g}, {value[1]:g})" if isinstance(value, tuple) else f"starts at {value:g}"
        yield "per unit", f"{name}: {start}"
    for gate, offset in cell.bias_offsets.items():
        if offset:
            yield "bias", f"{gate}: drawn, then {offset:+g}"
    if cell.chrono:
        signs = ", ".join(f"{gate} {'keeps' if sign > 0 else 'lets go'}" for gate, sign in cell.chrono.items())
        yield "chrono", f"a large bias of {signs}"


def _kept(cell: Cell) -> Iterator[tuple[str, str]]:
    """States and what keeps them."""
    yield "states", f"{', '.join(cell.states)} (the first is the output)"
    for state, value in cell.initial.items():
        yield "initial", f"{state}: {value:g}"
    for state, gate in cell.retention.items():
        yield "kept by", f"{state}: {gate}"
    if cell.free_states is not None:
        yield "free states", f"{', '.join(cell.free_states) or 'none'} (zoneout, learned start)"


def _chosen(info: CellInfo) -> Iterator[tuple[str, str]]:
    """Options, what the name fixes, and differences."""
    for option in info.options:
        allowed = f"; allowed: {', '.join(map(typed, option.allowed))}" if option.allowed else ""
        yield "option", f"cell.{option.name}={typed(option.default)}{allowed}"
    if info.fixed:
        yield "fixed", ", ".join(f"{key}={typed(value)}" for key, value in info.fixed.items())
    for difference in info.differences or ("nothing noted",):
        yield "differs", difference
