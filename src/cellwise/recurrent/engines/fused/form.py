"""What one step of a layer is made of, as names in a fixed order, so that its graphs take tensors alone.

A step under conditions needs more than its cell's formula says: masks, lengths, resets. `Form` lists what there is of
each; `Form.names` is the order in which every graph of `graphs.py` takes them. A graph sees rows, (..., rows, units):
the batch, or every pixel of every image. How many they are is no part of a form, so one graph does for every batch.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from torch import Tensor

from cellwise.cells.contract import Cell
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.guard import Lengths

Ingredients: TypeAlias = Mapping[str, Tensor]


Arrival = Literal["written", "complete", "alone"]
"""How a product's result comes to the graph after it: written into its place, or handed over with or without the
input's share."""


def kind_of(cell: Cell) -> Hashable:
    """Return what two cells have in common exactly if they have the same step: the class and the options' values.

    What a cell holds beyond plain data (a function, a tensor) is the same if it is one object: its `repr` may not say
    all of it, or name an address that another object has later.
    """
    return (type(cell), tuple((name, _value(value)) for name, value in sorted(vars(cell).items())))


def _value(value: object) -> Hashable:
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, tuple | list):
        return (type(value), *map(_value, value))
    if isinstance(value, Mapping):
        return (type(value), *((_value(key), _value(one)) for key, one in value.items()))
    return _One(value)


class _One:
    """An object by its identity; it lives as long as this does."""

    def __init__(self, value: object):
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _One) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)


@dataclass(frozen=True, eq=False)
class Form:
    """The names that one step of a layer needs, and which conditions it runs under.

    Attributes:
        cell: with its options.
        hidden: units of the layer.
        parameters: names of `p`.
        part_biases: parts with a bias of their own, in this layer.
        masked: products whose operand is masked (recurrent dropout).
        kept: states under zoneout.
        lengths, resets: whether rows end, and whether they start anew.
        direct: gates whose share of the input the step reads itself, not through a product.
        start: the state that the first product's operand is, as it is; None where something stands between.
        arrivals: of each product's result, in call order.
        replicas: of the layer, each with parameters of its own, on an axis before the rows; 0 for a plain layer.
    """

    cell: Cell
    hidden: int
    parameters: tuple[str, ...]
    part_biases: tuple[str, ...]
    masked: tuple[str, ...]
    kept: tuple[str, ...]
    lengths: bool
    resets: bool
    direct: frozenset[str] = frozenset()
    start: str | None = None
    arrivals: tuple[Arrival, ...] = ()
    replicas: int = 0

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Two forms of one key have the same graphs: the same cell with the same options and conditions."""
        rest = (self.parameters, self.part_biases, self.masked, self.kept, self.lengths, self.resets)
        return (kind_of(self.cell), self.hidden, *rest, self.arrivals, self.replicas)

    @cached_property
    def products(self) -> tuple[str, ...]:
        """The recurrent products in call order."""
        return tuple(self.cell.products)

    def merges(self, product: str) -> bool:
        """Whether a product's result lies in the projected input's buffer, added to it."""
        return product in self._merged

    def pieces(self, product: str) -> tuple[str, ...]:
        """The names under which a product's result stands among a step's, one for each name that it feeds."""
        feeds, _ = self.cell.products[product]
        return tuple(f"share:{gate}" if self.merges(product) else f"part:{product}/{gate}" for gate in feeds)

    def arrival(self, product: str) -> Arrival:
        """How the result of a product comes."""
        return self.arrivals[self.products.index(product)]

    @cached_property
    def _merged(self) -> frozenset[str]:
        return frozenset(product for product in self.products if self._alone(product))

    def _alone(self, product: str) -> bool:
        """Whether a product feeds gates alone, side by side, and nothing else feeds or reads them."""
        feeds, _ = self.cell.products[product]
        gates = self.cell.gates
        if not all(name in gates for name in feeds):
            return False
        start = gates.index(feeds[0])
        others = [name for other in self.products if other != product for name in self.cell.products[other][0]]
        return gates[start : start + len(feeds)] == feeds and not set(feeds) & (self.direct | set(others))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What every graph of a step takes first, in order."""
        return (
            *(f"share:{gate}" for gate in self.cell.gates),
            *(piece for name in self.products if not self.merges(name) for piece in self.pieces(name)),
            *(f"state:{name}" for name in self.cell.states),
            *self.constant_names,
            *(f"kept:{name}" for name in self.kept),
            *(("valid",) if self.lengths else ()),
            *(("reset",) if self.resets else ()),
        )

    @cached_property
    def constant_names(self) -> tuple[str, ...]:
        """Those of `names` that are the same at every step."""
        return (
            *(f"parameter:{name}" for name in self.parameters),
            *(f"part_bias:{name}" for name in self.part_biases),
            *(f"mask:{name}" for name in self.masked),
            *((f"fresh:{name}" for name in self.cell.states) if self.resets else ()),
        )

    @cached_property
    def learned_names(self) -> tuple[str, ...]:
        """Those constants that get a gradient of their own; a part bias has that of its product's result."""
        return tuple(name for name in self.constant_names if name.startswith(("parameter:", "fresh:")))

    @cached_property
    def direct_names(self) -> tuple[str, ...]:
        """The input's shares that no product is added to."""
        merged = {piece for name in self.products if self.merges(name) for piece in self.pieces(name)}
        return tuple(name for name in (f"share:{gate}" for gate in self.cell.gates) if name not in merged)

    def conditions(self, given: Ingredients) -> Conditions:
        """Return the conditions of one step, as those of a call of one step."""
        states = self.cell.states
        valid = given["valid"][None] if self.lengths else None
        return Conditions(
            matrices={},
            lengths=None if valid is None else Lengths(valid.sum(0), valid),
            resets=given["reset"][None] if self.resets else None,
            fresh={name: given[f"fresh:{name}"] for name in states} if self.resets else {},
            operand_masks={name: given[f"mask:{name}"] for name in self.masked},
            kept={name: given[f"kept:{name}"][None] for name in self.kept},
        )
