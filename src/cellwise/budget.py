"""What a cell costs, and the hidden size at which it costs a given amount, so that cells compare at equal cost.

Parameters and FLOPs are those of the recurrent layers alone, counted from the contract's products: an output layer over
10,000 words would drown them. Only matrix products count as FLOPs (2 a multiply-add); pointwise work is a few per cent
and differs by how it is counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.options import LayerOptions, twice_biased

# How far above a budget the smallest layer may be, as a share of the budget.
TOLERANCE = 0.05

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


class Shape(NamedTuple):
    """What decides the cost of recurrent layers besides their cell and hidden size; what a task tells of its network.

    Attributes:
        input_size: features that the first layer sees.
        num_layers: layers.
        directions: 2 when bidirectional; the layer above sees both.
        bias, recurrent_bias, layer_norm, learned_state: as `LayerOptions` of the layer.
        skip: whether each layer above the first sees the first one's input too.
        multiple: what the hidden size must be a multiple of, for what follows the layers; costs nothing.
        share: the layers' units, as a share of the hidden size; their product must be a whole number.
        kernel_size: side of the input's map on images; 1 for a dense one.
        recurrent_kernel_size: of the recurrent maps.
        places: pixels at which a layer computes; 1 for vectors.
        plain: the layers are no recurrent ones: one map and one bias a unit each, whatever the cell is.
    """

    input_size: int
    num_layers: int = 1
    directions: int = 1
    bias: bool = True
    recurrent_bias: bool = False
    layer_norm: bool = False
    learned_state: bool = False
    skip: bool = False
    multiple: int = 1
    share: float = 1.0
    kernel_size: int = 1
    recurrent_kernel_size: int = 1
    places: int = 1
    plain: bool = False

    def units(self, hidden_size: int) -> int:
        """Return the units of a layer in one direction, for a network's hidden size."""
        return round(hidden_size * self.share)


def shape_of(
    options: LayerOptions, input_size: int, num_layers: int = 1, directions: int = 1, *, multiple: int = 1
) -> Shape:
    """Return the shape of recurrent layers with these options."""
    return Shape(
        input_size,
        num_layers,
        directions,
        bias=options.bias,
        recurrent_bias=options.recurrent_bias,
        layer_norm=options.layer_norm,
        learned_state=options.learned_state,
        skip=options.connections == "skip",
        multiple=multiple,
    )


class Budget(NamedTuple):
    """An amount of `params` (parameters) or `flops` (forward, a time step and example)."""

    kind: Literal["params", "flops"]
    amount: int

    def __str__(self) -> str:
        """Return the budget as it is typed, in plain digits: one text for one budget."""
        return f"{self.kind}:{self.amount}"

    def cost(self, cell: Cell, shapes: Sequence[Shape], hidden_size: int) -> int:
        """Return what recurrent layers of a hidden size cost, in the budget's kind."""
        count = _parameters if self.kind == "params" else _flops
        return sum(count(cell, shape, hidden_size) for shape in shapes)


def parse_budget(text: object) -> Budget:
    """Return the budget that a text such as `params:100k` or `flops:2.5M` means.

    Raises:
        CellwiseError: not of that form, or less than 1.
    """
    found = re.fullmatch(r"(params|flops):(\d+(?:\.\d+)?)([kmg]?)", str(text), re.IGNORECASE)
    amount = round(float(found[2]) * _SUFFIXES[found[3].lower()]) if found else 0
    if found is None or amount < 1:
        raise CellwiseError(
            f"budget={text} is no budget; type params:<number> or flops:<number>, with k, M or G for thousands, "
            "millions or billions, for example budget=params:100k or budget=flops:2.5M"
        )
    return Budget("params" if found[1].lower() == "params" else "flops", amount)


def hidden_size_for(budget: Budget, cell: Cell, shapes: Callable[[int], Sequence[Shape]]) -> int:
    """Return the hidden size whose cost over all recurrent layers is nearest to a budget; of two, the smaller.

    Only multiples of what the shapes ask for are looked at. Where there are no layers it is 1.

    Args:
        budget: the amount.
        cell: with its options.
        shapes: the recurrent layers of a network for a hidden size (their input may follow it).

    Raises:
        CellwiseError: the smallest hidden size costs more than the budget and its tolerance.
    """

    def cost(hidden_size: int) -> int:
        return budget.cost(cell, shapes(hidden_size), hidden_size)

    here = shapes(1)
    if not here:
        return 1  # nothing follows it: a network without recurrent layers beside those that have them
    unit = math.lcm(*(shape.multiple for shape in here))
    if cost(unit) > budget.amount * (1 + TOLERANCE):
        what = "one unit costs" if unit == 1 else f"{unit} units (the hidden size must be a multiple of it) cost"
        raise CellwiseError(
            f"budget={budget} is too small for {type(cell).__name__}: {what} {cost(unit):,} already; "
            f"the smallest budget here is {budget._replace(amount=cost(unit))}"
        )
    ranges = (_multiples(low, high, unit) for low, high in _rising(budget, cell, here))
    candidates = [
        size * unit
        for low, high in ranges
        if low <= high
        for size in _around(lambda number: cost(number * unit), budget, low, high)
    ]
    return min(candidates, key=lambda size: (abs(cost(size) - budget.amount), size))


def _multiples(low: int, high: int, unit: int) -> tuple[int, int]:
    """A range of sizes in multiples of `unit`, first and last; the first is past the last where it holds none."""
    return -(-low // unit), high // unit


def _rising(budget: Budget, cell: Cell, shapes: Sequence[Shape]) -> Iterator[tuple[int, int]]:
    """Ranges of hidden sizes, first and last, in each of which the cost rises.

    A raw gate has no map where hidden size and input size are equal, so the cost falls there, for that size alone.
    """
    low = 1
    alike = {round(shape.input_size / shape.share) for shape in shapes if shape.input_size}
    for size in sorted(alike if cell.raw else set()):
        if low < size:
            yield low, size - 1
        yield size, size
        low = size + 1
    # A unit costs 1 or more; and a multiple is within every range of its own length.
    yield low, low + budget.amount + math.lcm(*(shape.multiple for shape in shapes))


def _around(cost: Callable[[int], int], budget: Budget, low: int, high: int) -> tuple[int, int]:
    """The two neighbouring sizes of a range between which the cost passes the budget; its end where it does not."""
    while high - low > 1:
        middle = (low + high) // 2
        if cost(middle) < budget.amount:
            low = middle
        else:
            high = middle
    return low, high


def recurrent_parameters(
    cell: Cell, input_size: int, hidden_size: int, num_layers: int = 1, *, directions: int = 1, bias: bool = True
) -> int:
    """Return the parameters of dense recurrent layers, biases and extras included.

    Args:
        cell: with its options.
        input_size: features of the input.
        hidden_size: units of a layer in one direction.
        num_layers: layers.
        directions: 2 when bidirectional; the layer above sees both.
        bias: whether gates have biases.
    """
    return _parameters(cell, Shape(input_size, num_layers, directions, bias), hidden_size)


def recurrent_flops(cell: Cell, input_size: int, hidden_size: int, num_layers: int = 1, *, directions: int = 1) -> int:
    """Return forward FLOPs per time step and example of dense recurrent layers.

    Args:
        cell: with its options.
        input_size: features of the input.
        hidden_size: units of a layer in one direction.
        num_layers: layers.
        directions: 2 when bidirectional; the layer above sees both.
    """
    return _flops(cell, Shape(input_size, num_layers, directions), hidden_size)


def _parameters(cell: Cell, shape: Shape, hidden_size: int) -> int:
    if shape.plain:
        return _weights(cell, shape, hidden_size) + shape.num_layers * shape.units(hidden_size)
    vectors = len(cell.extras)
    if shape.bias:
        vectors += len(cell.gates) + len(cell.part_biases)
    if shape.recurrent_bias:
        vectors += len(twice_biased(cell))
    if shape.learned_state:
        vectors += len(cell.states if cell.free_states is None else cell.free_states)
    norms = 2 * (shape.num_layers - 1) if shape.layer_norm else 0  # a gain and a shift a unit, between layers
    units = shape.units(hidden_size) * shape.directions
    return _weights(cell, shape, hidden_size) + (shape.num_layers * vectors + norms) * units


def _flops(cell: Cell, shape: Shape, hidden_size: int) -> int:
    """Each weight is used once a step; on images at each pixel, those that look beyond the border too."""
    return 2 * shape.places * _weights(cell, shape, hidden_size)


def _weights(cell: Cell, shape: Shape, hidden_size: int) -> int:
    """Entries of all matrices and kernels; an antisymmetric one is stored and multiplied in full."""
    hidden_size = shape.units(hidden_size)
    blocks = 0 if shape.plain else sum(len(feeds) * width for feeds, width in cell.products.values())
    recurrent = blocks * (hidden_size * shape.recurrent_kernel_size) ** 2
    total = 0
    for layer in range(shape.num_layers):
        in_units = hidden_size * shape.directions if layer else 0
        in_units += shape.input_size if layer == 0 or shape.skip else 0
        raw = len(cell.raw) if in_units == hidden_size else 0
        mapped = 1 if shape.plain else len(cell.gates) - raw
        total += mapped * hidden_size * in_units * shape.kernel_size**2 + recurrent
    return shape.directions * total
