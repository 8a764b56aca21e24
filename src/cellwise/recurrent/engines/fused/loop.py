"""The loop over time around the graphs, forward and back, on buffers that are there before it begins.

A loop touches its buffers, its products' weights and what it makes and drops within, and nothing else: so what it does
to memory can be recorded and done again (`recorded`). It may be run in parts, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from cellwise.recurrent.engines.fused.compiled import Call, Made
from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.graphs import backward_stages, forward_stages
from cellwise.recurrent.engines.fused.products import product_of
from cellwise.recurrent.engines.reference import input_shares
from cellwise.recurrent.maps import LinearMap

Rows = Sequence[Tensor] | Tensor
"""What a graph takes under one name: a tensor a step, or one for all."""


@dataclass(frozen=True)
class Buffers:
    """What the steps of a call read and write; rows as `Tape` has them.

    Attributes:
        over_time: by name, (time, rows, ...). `share` is the projected input of all gates, `result:` and a product's
            name what is not added to it, `new:` and a state's name the state after each step; the others are named as
            the graphs name them.
        starts: the states before the first step, by name, (rows, hidden).
        constants: what is the same at every step, by the graphs' names.
    """

    over_time: dict[str, Tensor]
    starts: dict[str, Tensor]
    constants: dict[str, Tensor]

    @property
    def time(self) -> int:
        """How many steps there is room for."""
        return self.over_time["share"].shape[0]

    def of_its_own(self, steps: int) -> Buffers:
        """Return such buffers for so many steps, zeros."""
        return Buffers(
            {name: value.new_zeros(steps, *value.shape[1:]) for name, value in self.over_time.items()},
            {name: value.new_zeros(value.shape) for name, value in self.starts.items()},
            {name: value.new_zeros(value.shape) for name, value in self.constants.items()},
        )


@dataclass(frozen=True)
class Derivatives:
    """What the way back is given, and what it carries from step to step or adds up.

    Attributes:
        d_output: by the output, (time, rows, hidden).
        running: `d_new:` and a state's name, (rows, hidden): by the state after the last step, in the end by that
            before the first; `d_` and a learned constant's name: the sum of its derivatives.
    """

    d_output: Tensor
    running: dict[str, Tensor]


class Loop:
    """The steps of a layer.

    Args:
        form: of the steps.
        made: their graphs.
        recurrent_map: of the products.
        image: height and width, of a convolution.
        matrices: by product.
        buffers: that the steps work on.
    """

    def __init__(
        self,
        form: Form,
        made: Made,
        recurrent_map: LinearMap,
        image: tuple[int, ...],
        matrices: Mapping[str, Tensor],
        buffers: Buffers,
    ):
        self.form, self.made, self.buffers = form, made, buffers
        self._map, self._image = recurrent_map, image
        self.products = {name: product_of(recurrent_map, matrix, image) for name, matrix in matrices.items()}
        self._rows = self._of_every_step()

    def of_its_own(self, steps: int) -> Loop:
        """Return a loop of the same steps, so many of them, on buffers and weights of its own, which are zeros."""
        matrices = {name: torch.zeros_like(product.weight) for name, product in self.products.items()}
        return Loop(self.form, self.made, self._map, self._image, matrices, self.buffers.of_its_own(steps))

    @property
    def kind(self) -> Hashable:
        """Two loops of one kind do the same on buffers of the same sizes, but for how many steps they have."""
        buffers = self.buffers
        sizes = [(name, value.shape[1:], value.dtype) for name, value in buffers.over_time.items()]
        sizes += [(name, value.shape, value.dtype) for name, value in buffers.constants.items()]
        sizes += [(name, product.weight.shape, product.weight.dtype) for name, product in self.products.items()]
        return (self.made, self._map, self._image, *sizes)

    def forward(self, first: int, last: int) -> None:
        """Run steps `first` to `last` (excluded), after those before them."""
        form = self.form
        stages = [self._ready("forward", number, {}, slice(first, last)) for number in forward_stages(form)]
        products = [self._step_of(name) for name in form.products]
        starts = [] if form.start is None else self._columns(f"state:{form.start}")
        operands = [
            starts if name not in self.buffers.over_time else self.buffers.over_time[name].unbind(0)
            for name in (f"operand:{product}" for product in form.products)
        ]
        places = [self.place(name).unbind(0) for name in form.products]
        behind = list(zip(products, operands, places, stages[len(stages) - len(products) :], strict=True))
        opening = stages[0] if len(stages) > len(products) else None
        for t in range(first, last):
            if opening is not None:
                opening[0](*next(opening[1]))
            for product, operand, place, (call, rows) in behind:
                result = product(operand[t], place[t])
                if result is None:
                    call(*next(rows))
                else:
                    call(*next(rows), result)

    def backward(self, first: int, last: int, given: Derivatives) -> None:
        """Run steps `last` (excluded) back to `first`, after those behind them; what `given` carries is written into.

        Afterwards `share` and the results hold derivatives.
        """
        form, numbers, running = self.form, backward_stages(self.form), given.running
        share = self.buffers.over_time["share"]
        later_results = form.products[numbers[-1] :]
        results = {
            name: share.new_empty(*share.shape[1:-1], len(form.cell.products[name][0]) * form.hidden)
            for name in later_results
        }
        pieces = {f"d_{piece}": v for name in later_results for piece, v in self.pieces(name, results[name]).items()}
        more: dict[str, Rows] = {**running, **pieces, "d_output": given.d_output.unbind(0)}
        turned = slice(last - 1, first - 1 if first else None, -1)
        stages = [(number, *self._ready("backward", number, more, turned)) for number in numbers]
        firsts = None if form.start is None else self.place(form.products[0]).unbind(0)
        later: list[Tensor] = []
        if form.start is not None:  # all of it comes this way, so that `d_new` stays zeros where the step reads none
            later = [running[f"d_new:{form.start}"].clone()]
            running[f"d_new:{form.start}"].zero_()
        for t in range(last - 1, first - 1, -1):
            operands: list[Tensor] = []
            for number, call, rows in stages:
                call(*next(rows), *later, *operands)
                if number != numbers[-1]:
                    name = form.products[number - 1]
                    operands.insert(0, self.products[name].back(results[name]))
            if firsts is not None:
                later = [self.products[form.products[0]].back(firsts[t])]
        if form.start is not None:
            running[f"d_new:{form.start}"] += later[0]

    def place(self, product: str) -> Tensor:
        """Return where a product's results lie, for all steps, (time, rows, feeds * hidden)."""
        if not self.form.merges(product):
            return self.buffers.over_time[f"result:{product}"]
        feeds, _ = self.form.cell.products[product]
        first, hidden = self.form.cell.gates.index(feeds[0]), self.form.hidden
        return self.buffers.over_time["share"][..., first * hidden : (first + len(feeds)) * hidden]

    def pieces(self, product: str, value: Tensor) -> dict[str, Tensor]:
        """Return a product's results, (..., feeds * hidden), by piece."""
        names = self.form.pieces(product)
        return dict(zip(names, value.chunk(len(names), dim=-1), strict=True))

    def before(self, step: int) -> dict[str, Tensor]:
        """Return the states before a step, by name, (rows, hidden)."""
        return {name: self._columns(f"state:{name}")[step] for name in self.form.cell.states}

    def _step_of(self, name: str) -> Callable[[Tensor, Tensor], Tensor | None]:
        product = self.products[name]
        return product.add if self.form.merges(name) else product.put

    def _ready(
        self, direction: str, number: int, more: Mapping[str, Rows], steps: slice
    ) -> tuple[Call, Iterator[tuple[Tensor, ...]]]:
        """Return a stage's graph and, step by step, what it takes of the buffers."""
        names, call = self.made.stage(direction, number)
        taken = [self._rows[name] if name in self._rows else more[name] for name in names]
        columns = [repeat(rows) if isinstance(rows, Tensor) else rows[steps] for rows in taken]
        return call, zip(*columns, strict=False)  # some go on for ever

    def _of_every_step(self) -> dict[str, Rows]:
        """What the graphs take, by name: a tensor a step, or one for all steps."""
        cell, buffers = self.form.cell, self.buffers
        found: dict[str, Rows] = dict(buffers.constants)
        for name, value in buffers.over_time.items():
            kind, _, of = name.partition(":")
            if kind == "share":
                found |= {f"share:{gate}": share.unbind(0) for gate, share in input_shares(cell, value).items()}
            elif kind == "result":
                found |= {piece: part.unbind(0) for piece, part in self.pieces(of, value).items()}
            else:
                found[name] = value.unbind(0)
        for name, start in buffers.starts.items():
            found[f"state:{name}"] = (start, *self._taken(found, f"new:{name}")[:-1])
        return found

    def _columns(self, name: str) -> Sequence[Tensor]:
        return self._taken(self._rows, name)

    @staticmethod
    def _taken(rows: Mapping[str, Rows], name: str) -> Sequence[Tensor]:
        found = rows[name]
        assert not isinstance(found, Tensor)
        return found
