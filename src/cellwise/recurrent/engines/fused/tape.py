"""The loop over time around the graphs, forward and back.

The projected input is one buffer for all steps: the input's share, to which each product is added, becomes in the end
its own derivative. Each weight's gradient is one product over all steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat

import torch
from torch import Tensor

from cellwise.cells.contract import State
from cellwise.recurrent.engines.fused.compiled import Call, made
from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.given import Given
from cellwise.recurrent.engines.fused.graphs import Stage, backward, backward_stages, forward
from cellwise.recurrent.engines.fused.products import Product, product_of

Rows = Sequence[Tensor] | Tensor
"""What a graph takes under one name: a tensor a step, or one for all."""


class Tape:
    """The buffers of one call, filled by `forward` and used up by `backward`.

    Attributes:
        projected: (time, batch, ..., gates * hidden): the input's share, pre-activations, derivatives, one by one.
        results: of the products that are not added to it, (time, batch, ..., feeds * hidden).
        operands: of the products whose operand is computed, (time, batch, ..., width * hidden).
        states: after each step, by name, (time, batch, ..., hidden).
        output: what the layer shows of the first state: that itself, unless rows end.
    """

    def __init__(self, given: Given, form: Form):
        self.form, self.given, cell = form, given, given.cell
        self.time, self._lead = given.x.shape[0], tuple(given.x.shape[1:-1])
        maps = given.conditions.matrices.items()
        self._products: dict[str, Product] = {name: _known(product_of(given.recurrent_map, m)) for name, m in maps}
        self._input = _known(product_of(given.input_map, given.input_weight))
        self.projected = self._projected().contiguous()
        self.results = {n: self._buffer(len(cell.products[n][0])) for n in form.products if not form.merges(n)}
        computed = form.products if form.start is None else form.products[1:]
        self.operands = {name: self._buffer(cell.products[name][1]) for name in computed}
        self.states = {name: self._buffer() for name in cell.states}
        self.output = self._buffer() if form.lengths else self.states[cell.states[0]]
        self._rows = self._of_every_step()

    def forward(self) -> State:
        """Run all steps; return the state after the last."""
        form, k = self.form, len(self.form.products)
        starts = [] if form.start is None else self._rows[f"state:{form.start}"]
        first = 0 if form.start is None else 1
        stages = [self._ready("forward", number, forward(form, number), {}) for number in range(first, k + 1)]
        products = [self._products[name] for name in form.products]
        operands = [self.operands[name].unbind(0) if name in self.operands else starts for name in form.products]
        for t in range(self.time):
            if first == 0:
                call, rows = stages[0]
                call(*next(rows))
            for product, operand, (call, rows) in zip(products, operands, stages[1 - first :], strict=True):
                call(*next(rows), product(operand[t]))
        return {name: value[-1].clone() for name, value in self.states.items()}

    def backward(self, d_output: Tensor, d_state: Mapping[str, Tensor]) -> Gradients:
        """Run all steps back and return the gradients; afterwards the buffers hold derivatives.

        Args:
            d_output: derivative by the output, (time, batch, ..., hidden).
            d_state: by the state after the last step, by name.
        """
        form = self.form
        found = self._running(d_state)
        more: dict[str, Rows] = {**found, "d_output": d_output.contiguous().unbind(0)}
        stages = [
            (number, *self._ready("backward", number, backward(form, number), more, backwards=True))
            for number in backward_stages(form)
        ]
        firsts = None if form.start is None else self._columns(form.place(form.products[0]))
        later = [] if form.start is None else [torch.zeros_like(found[f"d_new:{form.start}"])]
        for t in range(self.time - 1, -1, -1):
            operands: list[Tensor] = []
            for number, call, rows in stages:
                call(*next(rows), *later, *operands)
                if number != stages[-1][0]:
                    name = form.products[number - 1]
                    operands.insert(0, self._products[name].back(found[f"d_result:{name}"]))
            if firsts is not None:
                later = [self._products[form.products[0]].back(firsts[t])]
        if form.start is not None:
            found[f"d_new:{form.start}"] += later[0]
        return Gradients(self, found)

    def _projected(self) -> Tensor:
        """The input's share of all steps, (time, batch, ..., gates * hidden)."""
        given = self.given
        if given.mapped != given.cell.gates:
            return given.project(given.x)
        return self._input(given.x.contiguous(), given.bias)

    def _running(self, d_state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the way back carries from step to step, or adds up, and room for what products take."""
        form, like = self.form, self.projected
        found = {f"d_new:{name}": d_state[name].contiguous().clone() for name in form.cell.states}
        found |= {f"d_{name}": torch.zeros_like(self._constant(name)) for name in form.learned_names}
        for name in form.products[backward_stages(form)[-1] :]:
            found[f"d_result:{name}"] = like.new_empty(*self._lead, len(form.cell.products[name][0]) * form.hidden)
        return found

    def _ready(
        self, direction: str, number: int, stage: Stage, more: Mapping[str, Rows], *, backwards: bool = False
    ) -> tuple[Call, Iterator[tuple[Tensor, ...]]]:
        """Return a stage's graph and, step by step, what it takes of the buffers."""
        order = slice(None, None, -1) if backwards else slice(None)
        taken = [self._rows[name] if name in self._rows else more[name] for name in stage.names]
        columns = [repeat(rows) if isinstance(rows, Tensor) else rows[order] for rows in taken]
        examples = [rows if isinstance(rows, Tensor) else rows[0] for rows in taken]
        examples += [self._late(name) for name in stage.late]
        return made(self.form, direction, number, stage, examples), zip(*columns, strict=False)  # some go on for ever

    def _late(self, name: str) -> Tensor:
        """A tensor of the shape of a product's result."""
        kind, _, product = name.partition(":")
        cell = self.form.cell
        hiddens = 1
        if kind == "product":
            hiddens = len(cell.products[product][0])
        elif kind == "d_operand":
            hiddens = cell.products[product][1]
        return self.projected.new_empty(*self._lead, hiddens * self.form.hidden)

    def _of_every_step(self) -> dict[str, Rows]:
        """What the graphs take, by name: a tensor a step, or one for all steps."""
        form, conditions = self.form, self.given.conditions
        found: dict[str, Rows] = {}
        found |= {f"input:{number}": self.region(number).unbind(0) for number in range(len(form.regions))}
        found |= {f"result:{name}": value.unbind(0) for name, value in self.results.items()}
        found |= {f"operand:{name}": value.unbind(0) for name, value in self.operands.items()}
        for name, value in self.states.items():
            rows = value.unbind(0)
            found[f"new:{name}"] = rows
            found[f"state:{name}"] = (self.given.state[name].contiguous(), *rows[:-1])
        found |= {name: self._constant(name) for name in form.constant_names}
        for name in form.kept:
            kept = conditions.kept[name]
            found[f"kept:{name}"] = kept.unbind(0) if kept.dim() > 1 else kept
        if conditions.lengths is not None:
            found["valid"] = conditions.lengths.valid.unbind(0)
            found["output"] = self.output.unbind(0)
        if conditions.resets is not None:
            found["reset"] = conditions.resets.unbind(0)
        return found

    def _constant(self, name: str) -> Tensor:
        kind, _, of = name.partition(":")
        given = self.given
        groups: dict[str, Mapping[str, Tensor]] = {
            "parameter": given.parameters,
            "part_bias": given.part_bias,
            "mask": given.conditions.operand_masks,
            "fresh": given.conditions.fresh,
        }
        return groups[kind][of].contiguous()

    def region(self, number: int) -> Tensor:
        """Return a region of the projected input, for all steps."""
        region, hidden = self.form.regions[number], self.form.hidden
        return self.projected[..., region.first * hidden : region.last * hidden]

    def _columns(self, name: str) -> Sequence[Tensor]:
        rows = self._rows[name]
        assert not isinstance(rows, Tensor)
        return rows

    def _buffer(self, hiddens: int = 1) -> Tensor:
        return self.projected.new_empty(self.time, *self._lead, hiddens * self.form.hidden)


class Gradients:
    """The gradients that a tape has found, by what they are of."""

    def __init__(self, tape: Tape, running: Mapping[str, Tensor]):
        self._tape, self._running = tape, running

    def of_state(self) -> list[Tensor]:
        """By the state before the first step."""
        return [self._running[f"d_new:{name}"] for name in self._tape.form.cell.states]

    def of_input(self, needed: Sequence[bool]) -> list[Tensor | None]:
        """By x, the input's weight, and its bias, where needed."""
        tape, given = self._tape, self._tape.given
        d, cell, hidden = tape.projected, given.cell, given.hidden_size
        pieces = dict(zip(cell.gates, d.chunk(len(cell.gates), dim=-1), strict=True)) if cell.gates else {}
        whole = given.mapped == cell.gates
        mapped = d if whole or not given.mapped else torch.cat([pieces[gate] for gate in given.mapped], dim=-1)
        product = tape._input
        x = weight = None
        if needed[0]:
            x = product.back(mapped) if given.mapped else given.x.new_zeros(given.x.shape)
            for gate in cell.gates:
                x = x if gate in given.mapped else x + pieces[gate]
        if needed[1]:
            weight = product.weight_gradient(mapped, given.x) if given.mapped else torch.zeros_like(given.input_weight)
        bias = d.reshape(-1, len(cell.gates) * hidden).sum(0) if needed[2] else None
        return [x, weight, bias]

    def of_matrices(self) -> list[Tensor]:
        """By each product's matrix: one product over all steps."""
        tape, form = self._tape, self._tape.form
        found = []
        for name in tape.given.conditions.matrices:
            d, product = self._derivative(name), tape._products[name]
            if name in tape.operands:
                found.append(product.weight_gradient(d, tape.operands[name]))
                continue
            assert form.start is not None
            first = product.weight_gradient(d[0], tape.given.state[form.start])
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
            piece = self._derivative(product)[..., place * form.hidden : (place + 1) * form.hidden]
            found.append(piece.reshape(-1, form.hidden).sum(0))
        return found

    def of_learned(self) -> list[Tensor]:
        """By the parameters of the step and, with resets, by the state that they go back to."""
        return [self._running[f"d_{name}"] for name in self._tape.form.learned_names]

    def _derivative(self, product: str) -> Tensor:
        place, tape = self._tape.form.place(product), self._tape
        kind, _, number = place.partition(":")
        return tape.region(int(number)) if kind == "input" else tape.results[product]


def _known(product: Product | None) -> Product:
    assert product is not None  # `expressible` has looked
    return product
