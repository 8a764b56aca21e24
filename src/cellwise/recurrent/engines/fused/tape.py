"""The loop over time around the graphs, forward and back.

The projected input is one buffer for all steps: the input's share, to which each product is added, becomes in the end
its own derivative. Each weight's gradient is one product over all steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat

import torch
from torch import Tensor

from cellwise.cells.contract import State
from cellwise.recurrent.engines.fused.compiled import Call, made
from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.given import Given
from cellwise.recurrent.engines.fused.graphs import backward_stages, forward_stages
from cellwise.recurrent.engines.fused.products import input_product_of, product_of

Rows = Sequence[Tensor] | Tensor
"""What a graph takes under one name: a tensor a step, or one for all."""


class Tape:
    """The buffers of one call, filled by `forward` and used up by `backward`.

    Rows are those of the batch, or of all pixels of its images; of replicas, those of each on an axis before.

    Attributes:
        projected: (time, rows, gates * hidden): the input's share, pre-activations, gates, derivatives, one by one.
        results: of the products that are not added to it, (time, rows, feeds * hidden).
        operands: of the products whose operand is computed, (time, rows, width * hidden).
        states: after each step, by name, (time, rows, hidden).
        output: what the layer shows of the first state: that itself, unless rows end.
    """

    def __init__(self, given: Given, form: Form):
        self.form, self.given, cell = form, given, given.cell
        self.time = given.x.shape[0]
        self._image = tuple(given.x.shape[2:-1]) if given.recurrent_map.spatial_axes else ()
        self._lead = self.flat(given.x[0]).shape[:-1]
        maps, image = given.conditions.matrices.items(), self._image
        self.products = {name: product_of(given.recurrent_map, matrix, image) for name, matrix in maps}
        self.input = input_product_of(given.input_map, given.input_weight, image)
        self.projected = self._projected()
        self._made = made(form, self.projected, self._lead[-1])
        self.results = {n: self._buffer(len(cell.products[n][0])) for n in form.products if not form.merges(n)}
        computed = form.products if form.start is None else form.products[1:]
        self.operands = {name: self._buffer(cell.products[name][1]) for name in computed}
        self.states = {name: self._buffer() for name in cell.states}
        self.output = self._buffer() if form.lengths else self.states[cell.states[0]]
        self._rows = self._of_every_step()

    def forward(self) -> State:
        """Run all steps; return the state after the last, (batch, ..., hidden)."""
        form = self.form
        stages = [self._ready("forward", number, {}) for number in forward_stages(form)]
        products = [self._step_of(name) for name in form.products]
        starts = [] if form.start is None else self._columns(f"state:{form.start}")
        operands = [self.operands[name].unbind(0) if name in self.operands else starts for name in form.products]
        places = [self.place(name).unbind(0) for name in form.products]
        behind = list(zip(products, operands, places, stages[len(stages) - len(products) :], strict=True))
        first = stages[0] if len(stages) > len(products) else None
        for t in range(self.time):
            if first is not None:
                first[0](*next(first[1]))
            for product, operand, place, (call, rows) in behind:
                result = product(operand[t], place[t])
                if result is None:
                    call(*next(rows))
                else:
                    call(*next(rows), result)
        return {name: value[-1].clone().view_as(self.given.state[name]) for name, value in self.states.items()}

    def backward(self, d_output: Tensor, d_state: Mapping[str, Tensor]) -> Gradients:
        """Run all steps back and return the gradients; afterwards the buffers hold derivatives.

        Args:
            d_output: derivative by the output, (time, batch, ..., hidden).
            d_state: by the state after the last step, by name, (batch, ..., hidden).
        """
        form, numbers = self.form, backward_stages(self.form)
        running = self._running(d_state)
        later_results = form.products[numbers[-1] :]
        results = {name: self._buffer(len(form.cell.products[name][0]), time=1)[0] for name in later_results}
        pieces = {f"d_{piece}": v for name in later_results for piece, v in self._pieces(name, results[name]).items()}
        more: dict[str, Rows] = {**running, **pieces, "d_output": self.flat(d_output, leading=1).contiguous().unbind(0)}
        stages = [(number, *self._ready("backward", number, more, backwards=True)) for number in numbers]
        firsts = None if form.start is None else self.place(form.products[0]).unbind(0)
        later = [] if form.start is None else [torch.zeros_like(running[f"d_new:{form.start}"])]
        for t in range(self.time - 1, -1, -1):
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
        return Gradients(self, running)

    def place(self, product: str) -> Tensor:
        """Return where a product's results lie, for all steps, (time, rows, feeds * hidden)."""
        if not self.form.merges(product):
            return self.results[product]
        feeds, _ = self.form.cell.products[product]
        first, hidden = self.form.cell.gates.index(feeds[0]), self.form.hidden
        return self.projected[..., first * hidden : (first + len(feeds)) * hidden]

    def flat(self, value: Tensor, leading: int = 0) -> Tensor:
        """Return (batch, height, width, units) as (rows, units); the leading axes stay."""
        return value.flatten(leading, leading + len(self._image)) if self._image else value

    def _step_of(self, name: str) -> Callable[[Tensor, Tensor], Tensor | None]:
        product = self.products[name]
        return product.add if self.form.merges(name) else product.put

    def _projected(self) -> Tensor:
        """The input's share of all steps, (time, rows, gates * hidden)."""
        given = self.given
        if given.mapped != given.cell.gates:
            return self.flat(given.project(given.x), leading=1).contiguous()
        return self.input(self.flat(given.x, leading=1).contiguous(), given.bias)

    def _running(self, d_state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the way back carries from step to step, or adds up."""
        found = {
            f"d_new:{name}": self.flat(d_state[name]).clone(memory_format=torch.contiguous_format)
            for name in self.form.cell.states
        }
        return found | {f"d_{name}": torch.zeros_like(self._constant(name)) for name in self.form.learned_names}

    def _ready(
        self, direction: str, number: int, more: Mapping[str, Rows], *, backwards: bool = False
    ) -> tuple[Call, Iterator[tuple[Tensor, ...]]]:
        """Return a stage's graph and, step by step, what it takes of the buffers."""
        names, call = self._made.stage(direction, number)
        order = slice(None, None, -1) if backwards else slice(None)
        taken = [self._rows[name] if name in self._rows else more[name] for name in names]
        columns = [repeat(rows) if isinstance(rows, Tensor) else rows[order] for rows in taken]
        return call, zip(*columns, strict=False)  # some go on for ever

    def _of_every_step(self) -> dict[str, Rows]:
        """What the graphs take, by name: a tensor a step, or one for all steps."""
        form, cell, conditions = self.form, self.form.cell, self.given.conditions
        found: dict[str, Rows] = {}
        shares = zip(cell.gates, self.projected.chunk(len(cell.gates), dim=-1), strict=True) if cell.gates else ()
        found |= {f"share:{gate}": share.unbind(0) for gate, share in shares}
        for name, value in self.results.items():
            found |= {piece: part.unbind(0) for piece, part in self._pieces(name, value).items()}
        found |= {f"operand:{name}": value.unbind(0) for name, value in self.operands.items()}
        found |= {name: self._buffer().unbind(0) for name in self._made.saved}
        for name, value in self.states.items():
            rows = value.unbind(0)
            found[f"new:{name}"] = rows
            found[f"state:{name}"] = (self.flat(self.given.state[name]).contiguous(), *rows[:-1])
        found |= {name: self._constant(name) for name in form.constant_names}
        for name, kept in conditions.kept.items():
            found[f"kept:{name}"] = self.flat(kept, leading=1).unbind(0) if form.drawn else self._everywhere(kept)
        if conditions.lengths is not None:
            found["valid"] = self._of_rows(conditions.lengths.valid).unbind(0)
            found["output"] = self.output.unbind(0)
        if conditions.resets is not None:
            found["reset"] = self._of_rows(conditions.resets).unbind(0)
        return found

    def _pieces(self, product: str, value: Tensor) -> dict[str, Tensor]:
        """A product's results, (..., feeds * hidden), by piece."""
        names = self.form.pieces(product)
        return dict(zip(names, value.chunk(len(names), dim=-1), strict=True))

    def _of_rows(self, mask: Tensor) -> Tensor:
        """A mask over time and batch as one over time and rows, those of a step side by side."""
        return mask.repeat_interleave(math.prod(self._image), dim=1) if self._image else mask.contiguous()

    def _everywhere(self, rate: Tensor) -> Tensor:
        """A rate as a mask, (rows, hidden): torch 2.13 can't trace a `lerp` by one number for any number of rows."""
        return rate.expand(*self._lead, self.form.hidden).contiguous()

    def _constant(self, name: str) -> Tensor:
        kind, _, of = name.partition(":")
        given = self.given
        if kind == "fresh":
            return self.flat(given.conditions.fresh[of]).contiguous()
        if kind == "mask":
            mask = given.conditions.operand_masks[of]
            everywhere = mask.expand(mask.shape[0], *self._image, mask.shape[-1]) if self._image else mask
            return self.flat(everywhere).contiguous()
        return (given.parameters if kind == "parameter" else given.part_bias)[of].contiguous()

    def _columns(self, name: str) -> Sequence[Tensor]:
        rows = self._rows[name]
        assert not isinstance(rows, Tensor)
        return rows

    def _buffer(self, hiddens: int = 1, time: int | None = None) -> Tensor:
        return self.projected.new_empty(self.time if time is None else time, *self._lead, hiddens * self.form.hidden)


class Gradients:
    """The gradients that a tape has found, by what they are of, of the shape of that."""

    def __init__(self, tape: Tape, running: Mapping[str, Tensor]):
        self._tape, self._running = tape, running

    def of_state(self) -> dict[str, Tensor]:
        """By the state before the first step, by name."""
        start = self._tape.given.state
        return {name: self._running[f"d_new:{name}"].view_as(start[name]) for name in self._tape.form.cell.states}

    def of_x(self) -> Tensor:
        """By the input."""
        tape, given = self._tape, self._tape.given
        x = tape.input.back_all(self._mapped()) if given.mapped else torch.zeros_like(given.x)
        for gate, piece in self._by_gate().items():
            x = x if gate in given.mapped else x.reshape(piece.shape) + piece
        return x.reshape(given.x.shape)

    def of_input_weight(self) -> Tensor:
        """By the weight of the input's map."""
        given = self._tape.given
        if not given.mapped:
            return torch.zeros_like(given.input_weight)
        return self._tape.input.weight_gradient(self._mapped(), self._tape.flat(given.x, leading=1))

    def of_bias(self) -> Tensor:
        """By what the input's map adds."""
        bias = self._tape.given.bias
        assert bias is not None
        return _summed(self._tape.projected).view_as(bias)

    def of_matrices(self) -> list[Tensor]:
        """By each product's matrix: one product over all steps."""
        tape, form = self._tape, self._tape.form
        found = []
        for name in tape.given.conditions.matrices:
            d, product = tape.place(name), tape.products[name]
            if name in tape.operands:
                found.append(product.weight_gradient(d, tape.operands[name]))
                continue
            assert form.start is not None
            first = product.weight_gradient(d[:1], tape.flat(tape.given.state[form.start])[None])
            if tape.time > 1:
                first = first + product.weight_gradient(d[1:], tape.states[form.start][:-1])
            found.append(first)
        return found

    def of_part_biases(self) -> list[Tensor]:
        """By each part's own bias."""
        form, found = self._tape.form, []
        for part in form.part_biases:
            product = next(name for name, (feeds, _) in form.cell.products.items() if part in feeds)
            place = form.cell.products[product][0].index(part)
            piece = self._tape.place(product)[..., place * form.hidden : (place + 1) * form.hidden]
            found.append(_summed(piece).view_as(self._tape.given.part_bias[part]))
        return found

    def of_learned(self) -> list[Tensor]:
        """By the parameters of the step and, with resets, by the state that they go back to."""
        given, found = self._tape.given, []
        for name in self._tape.form.learned_names:
            kind, _, of = name.partition(":")
            like = given.parameters[of] if kind == "parameter" else given.conditions.fresh[of]
            found.append(self._running[f"d_{name}"].view_as(like))
        return found

    def _by_gate(self) -> dict[str, Tensor]:
        cell, d = self._tape.given.cell, self._tape.projected
        return dict(zip(cell.gates, d.chunk(len(cell.gates), dim=-1), strict=True)) if cell.gates else {}

    def _mapped(self) -> Tensor:
        """The derivatives of the shares that the input's map gives."""
        given, pieces = self._tape.given, self._by_gate()
        if given.mapped == given.cell.gates:
            return self._tape.projected
        return torch.cat([pieces[gate] for gate in given.mapped], dim=-1)


def _summed(d: Tensor) -> Tensor:
    """The sum over steps and rows; steps first, because one sum over both is up to three times as slow."""
    return d.sum(0).sum(-2)
