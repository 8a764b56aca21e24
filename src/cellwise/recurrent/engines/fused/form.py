"""What one step of a layer is made of, as names in a fixed order, so that its graphs take tensors alone.

A step under conditions needs more than its cell's formula says: masks, lengths, resets. `Form` lists what there is of
each; `Form.names` is the order in which every graph of `graphs.py` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from torch import Tensor

from cellwise.cells.contract import Cell
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.guard import Lengths

Ingredients: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True)
class Region:
    """Neighbouring gates of the projected input, `first` to `last` (excluded), in hiddens.

    `product` is the one that adds to all of them and is read through them alone, or None: then the step may read the
    input's share by itself.
    """

    first: int
    last: int
    product: str | None


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

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Two forms of one key have the same graphs: the same cell with the same options and conditions."""
        options = tuple(sorted((name, repr(value)) for name, value in vars(self.cell).items()))
        rest = (self.parameters, self.part_biases, self.masked, self.kept, self.lengths, self.resets)
        return (type(self.cell), options, self.hidden, *rest)

    @cached_property
    def products(self) -> tuple[str, ...]:
        """The recurrent products in call order."""
        return tuple(self.cell.products)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The projected input in pieces, left to right: a product's own gates, and those between."""
        found: list[Region] = []
        for number, gate in enumerate(self.cell.gates):
            owner = next((name for name in self.products if gate in self._own(name)), None)
            if found and found[-1].product == owner:
                found[-1] = Region(found[-1].first, number + 1, owner)
            else:
                found.append(Region(number, number + 1, owner))
        return tuple(found)

    def merges(self, product: str) -> bool:
        """Whether a product's result lies in the projected input's buffer, added to it."""
        return self.place(product).startswith("input:")

    def place(self, product: str) -> str:
        """The name under which a product's result stands among a step's."""
        for number, region in enumerate(self.regions):
            if region.product == product:
                return f"input:{number}"
        return f"result:{product}"

    def _own(self, product: str) -> tuple[str, ...]:
        """The gates that a product and nothing else feeds, where they are all that it feeds and lie side by side."""
        feeds, _ = self.cell.products[product]
        gates = self.cell.gates
        if not all(name in gates for name in feeds):
            return ()
        start = gates.index(feeds[0])
        if gates[start : start + len(feeds)] != feeds:
            return ()
        others = [name for other in self.products if other != product for name in self.cell.products[other][0]]
        return () if set(feeds) & (self.direct | set(others)) else feeds

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What every graph of a step takes first, in order."""
        return (
            *(f"input:{number}" for number in range(len(self.regions))),
            *(f"result:{name}" for name in self.products if not self.merges(name)),
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

    def shares(self, given: Ingredients) -> dict[str, Tensor]:
        """Return the projected input by gate, from its regions."""
        found: dict[str, Tensor] = {}
        for number, region in enumerate(self.regions):
            gates = self.cell.gates[region.first : region.last]
            found |= dict(zip(gates, given[f"input:{number}"].chunk(len(gates), dim=-1), strict=True))
        return found

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
            kept={name: _of_one_step(given[f"kept:{name}"]) for name in self.kept},
        )


def _of_one_step(kept: Tensor) -> Tensor:
    return kept[None] if kept.dim() > 1 else kept
