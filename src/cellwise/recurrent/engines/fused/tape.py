"""The buffers of a call, and the gradients that the way back leaves in them.

The projected input is one buffer for all steps: the input's share, to which each product is added, becomes in the end
its own derivative. Each weight's gradient is one product over all steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cellwise.cells.contract import State
from cellwise.recurrent.engines.fused import recorded
from cellwise.recurrent.engines.fused.compiled import made
from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.given import Given
from cellwise.recurrent.engines.fused.loop import Buffers, Derivatives, Loop
from cellwise.recurrent.engines.fused.products import input_product_of
from cellwise.recurrent.engines.fused.tracing import sum_dtype
from cellwise.recurrent.engines.reference import input_shares


class Tape:
    """The buffers of one call, filled by `forward` and used up by `backward`.

    Rows are those of the batch, or of all pixels of its images; of replicas, those of each on an axis before.

    Attributes:
        projected: (time, rows, gates * hidden): the input's share, pre-activations, gates, derivatives, one by one.
        loop: the steps, which work on these buffers.
        operands: of the products whose operand is computed, (time, rows, width * hidden).
        states: after each step, by name, (time, rows, hidden).
        output: what the layer shows of the first state: that itself, unless rows end.
    """

    def __init__(self, given: Given, form: Form):
        self.form, self.given = form, given
        self.time = given.x.shape[0]
        self._image = tuple(given.x.shape[2:-1]) if given.recurrent_map.spatial_axes else ()
        self._lead = self.flat(given.x[0]).shape[:-1]
        self.input = input_product_of(given.input_map, given.input_weight, self._image)
        self.projected = self._projected()
        graphs = made(form, self.projected, self._lead[-1])
        buffers = Buffers(self._over_time(graphs.saved), self._starts(), self._constants())
        self.loop = Loop(form, graphs, given.recurrent_map, self._image, given.conditions.matrices, buffers)
        self.operands = _of_kind("operand", buffers.over_time)
        self.states = _of_kind("new", buffers.over_time)
        self.output = buffers.over_time.get("output", self.states[form.cell.states[0]])

    def forward(self) -> State:
        """Run all steps; return the state after the last, (batch, ..., hidden)."""
        recorded.run(self.loop)
        return {name: value[-1].clone().view_as(self.given.state[name]) for name, value in self.states.items()}

    def backward(self, d_output: Tensor, d_state: Mapping[str, Tensor]) -> Gradients:
        """Run all steps back and return the gradients; afterwards the buffers hold derivatives.

        Args:
            d_output: derivative by the output, (time, batch, ..., hidden).
            d_state: by the state after the last step, by name, (batch, ..., hidden).
        """
        running = self._running(d_state)
        recorded.run(self.loop, Derivatives(self.flat(d_output, leading=1).contiguous(), running))
        return Gradients(self, running)

    def flat(self, value: Tensor, leading: int = 0) -> Tensor:
        """Return (batch, height, width, units) as (rows, units); the leading axes stay."""
        return value.flatten(leading, leading + len(self._image)) if self._image else value

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
        constants, dtype = self.loop.buffers.constants, sum_dtype(self.projected.dtype)
        return found | {f"d_{name}": torch.zeros_like(constants[name], dtype=dtype) for name in self.form.learned_names}

    def _over_time(self, saved: Sequence[str]) -> dict[str, Tensor]:
        """The buffers over time, by name, those that are given with what they are."""
        form, products, conditions = self.form, self.form.cell.products, self.given.conditions
        found = {"share": self.projected}
        found |= {f"result:{n}": self._buffer(len(products[n][0])) for n in form.products if not form.merges(n)}
        computed = form.products if form.start is None else form.products[1:]
        found |= {f"operand:{name}": self._buffer(products[name][1]) for name in computed}
        found |= {name: self._buffer() for name in (*(f"new:{state}" for state in form.cell.states), *saved)}
        drawn = {name: kept for name, kept in conditions.kept.items() if kept.dim() > 1}  # in training, for every step
        found |= {f"kept:{name}": self.flat(kept, leading=1) for name, kept in drawn.items()}
        if conditions.lengths is not None:
            found |= {"valid": self._of_rows(conditions.lengths.valid), "output": self._buffer()}
        if conditions.resets is not None:
            found["reset"] = self._of_rows(conditions.resets)
        return found

    def _starts(self) -> dict[str, Tensor]:
        return {name: self.flat(self.given.state[name]).contiguous() for name in self.form.cell.states}

    def _constants(self) -> dict[str, Tensor]:
        """What is the same at every step, by the graphs' names."""
        found = {name: self._constant(name) for name in self.form.constant_names}
        rates = {name: kept for name, kept in self.given.conditions.kept.items() if kept.dim() == 1}  # in evaluation
        return found | {f"kept:{name}": self._everywhere(rate) for name, rate in rates.items()}

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

    def _buffer(self, hiddens: int = 1) -> Tensor:
        return self.projected.new_empty(self.time, *self._lead, hiddens * self.form.hidden)


def _of_kind(kind: str, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those buffers whose name begins so, by what they are of."""
    parts = ((name.partition(":"), value) for name, value in buffers.items())
    return {of: value for (first, _, of), value in parts if first == kind}


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

    def of_matrix(self, name: str) -> Tensor:
        """By a product's matrix: one product over all steps."""
        tape, start = self._tape, self._tape.form.start
        d, product = tape.loop.place(name), tape.loop.products[name]
        if name in tape.operands:
            return product.weight_gradient(d, tape.operands[name])
        assert start is not None
        first = product.weight_gradient(d[:1], tape.flat(tape.given.state[start])[None])
        return first if tape.time == 1 else first + product.weight_gradient(d[1:], tape.states[start][:-1])

    def of_part_biases(self) -> list[Tensor]:
        """By each part's own bias."""
        form, found = self._tape.form, []
        for part in form.part_biases:
            product = next(name for name, (feeds, _) in form.cell.products.items() if part in feeds)
            place = form.cell.products[product][0].index(part)
            piece = self._tape.loop.place(product)[..., place * form.hidden : (place + 1) * form.hidden]
            found.append(_summed(piece).view_as(self._tape.given.part_bias[part]))
        return found

    def of_learned(self) -> list[Tensor]:
        """By the parameters of the step and, with resets, by the state that they go back to."""
        given, found = self._tape.given, []
        for name in self._tape.form.learned_names:
            kind, _, of = name.partition(":")
            like = given.parameters[of] if kind == "parameter" else given.conditions.fresh[of]
            found.append(self._running[f"d_{name}"].to(like.dtype).view_as(like))
        return found

    def _by_gate(self) -> dict[str, Tensor]:
        return input_shares(self._tape.given.cell, self._tape.projected)

    def _mapped(self) -> Tensor:
        """The derivatives of the shares that the input's map gives."""
        given, pieces = self._tape.given, self._by_gate()
        if given.mapped == given.cell.gates:
            return self._tape.projected
        return torch.cat([pieces[gate] for gate in given.mapped], dim=-1)


def _summed(d: Tensor) -> Tensor:
    """The sum over steps and rows; steps first, because one sum over both is up to three times as slow."""
    return d.sum(0).sum(-2)
