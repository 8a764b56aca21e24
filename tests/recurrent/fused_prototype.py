"""A prototype of the fused engine, to prove that the contract carries it: no code of it is written per cell.

The cell's own step is called with its products cut out: results go in, operands come out, so what is left is
pointwise, and autograd sees nothing else. The products are run here, on the way back the last one first, and each
weight's gradient is one product over all steps.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cellwise.cells.contract import State
from cellwise.recurrent.guard import Lengths, blank, hold
from cellwise.recurrent.weights import Weights

Step = tuple[list[Tensor], list[Tensor], list[Tensor]]  # pointwise inputs, results, and outputs of one step


def pointwise(weights: Weights, inputs: list[Tensor], results: list[Tensor], valid: Tensor | None) -> list[Tensor]:
    """One step without its products: [input share, *states, *extras] and results to [output, *states, *operands]."""
    cell, operands = weights.cell, list[Tensor]()
    shares = dict(zip(cell.gates, inputs[0].chunk(len(cell.gates), -1), strict=True))
    state = dict(zip(cell.states, inputs[1:], strict=False))
    extras = dict(zip(cell.extras, inputs[1 + len(cell.states) :], strict=True))

    def cut_out(product: str, operand: Tensor) -> Mapping[str, Tensor]:
        operands.append(operand)
        place, feeds = len(operands) - 1, cell.products[product][0]
        if place == len(results):  # on the way forward the result is made as soon as its operand is known
            results.append(_multiply(weights, product, operand).detach().requires_grad_())
        fed = dict(zip(feeds, results[place].chunk(len(feeds), -1), strict=True))
        return {name: shares[name] + value if name in shares else value for name, value in fed.items()}

    new, _ = cell.step(shares, cut_out, state, extras)
    output = new[cell.states[0]]
    if valid is not None:
        new, output = hold(new, state, valid), blank(output, valid)
    return [output, *(new[name] for name in cell.states), *operands]


def forward(weights: Weights, x: Tensor, state: State, lengths: Lengths | None) -> tuple[Tensor, State, list[Step]]:
    """Return output, last state, and each step's pointwise graph."""
    states, steps = list(state.values()), list[Step]()
    extras = [value.detach().requires_grad_() for value in weights.extra.values()]
    with torch.no_grad():
        projected = weights.input_map(x, weights.input_weight, weights.bias)
    for t, x_t in enumerate(projected):
        inputs = [v.detach().requires_grad_() for v in (x_t, *states)] + extras
        results: list[Tensor] = []
        outputs = pointwise(weights, inputs, results, None if lengths is None else lengths.valid[t])
        steps.append((inputs, results, outputs))
        states = outputs[1 : 1 + len(states)]
    output = torch.stack([outputs[0] for _, _, outputs in steps]).detach()
    return output, dict(zip(state, (v.detach() for v in states), strict=True)), steps


def backward(
    weights: Weights, x: Tensor, steps: list[Step], d_output: Tensor, d_state: list[Tensor]
) -> dict[str, Tensor]:
    """Return the gradient by the input, each initial state and each parameter, by name."""
    count, products = len(d_state), list(weights.cell.products)
    d_extras = [torch.zeros_like(value) for value in weights.extra.values()]
    d_shares, d_results = list[Tensor](), list[list[Tensor]]()
    for (inputs, results, outputs), d_y in zip(reversed(steps), reversed(d_output.unbind(0)), strict=True):
        given = [d_y, *d_state, *(torch.zeros_like(v) for v in outputs[1 + count :])]
        d_step = [torch.empty(0)] * len(products)
        for place in reversed(range(len(products))):  # its operand may hold the results of those before it
            (d_step[place],) = _vjp(outputs, [results[place]], given)
            weight = weights.recurrent_weight[products[place]]
            (given[1 + count + place],) = torch.func.vjp(
                lambda v, w=weight: weights.recurrent_map(v, w), outputs[1 + count + place].detach()
            )[1](d_step[place])
        d_share, *rest = _vjp(outputs, inputs, given)
        d_state = rest[:count]
        d_extras = [total + new for total, new in zip(d_extras, rest[count:], strict=True)]
        d_shares.insert(0, d_share)
        d_results.insert(0, d_step)
    found = dict(zip(weights.cell.states, d_state, strict=True))
    found |= {f"extra.{name}": value for name, value in zip(weights.cell.extras, d_extras, strict=True)}
    for place, product in enumerate(products):  # one product over all steps
        operands = torch.stack([outputs[1 + count + place].detach() for _, _, outputs in steps])
        d_all = torch.stack([d_step[place] for d_step in d_results])
        weight = weights.recurrent_weight[product].detach()
        (found[f"recurrent_weight.{product}"],) = torch.func.vjp(
            lambda w, v=operands: weights.recurrent_map(v, w), weight
        )[1](d_all)
        for name, d_part in zip(
            weights.cell.products[product][0], d_all.chunk(_feeds(weights, product), -1), strict=True
        ):
            if name in weights.part_bias:
                found[f"part_bias.{name}"] = d_part.flatten(0, -2).sum(0)
    assert weights.bias is not None
    leaves = (x.detach(), weights.input_weight.detach(), weights.bias.detach())
    by_input = torch.func.vjp(weights.input_map, *leaves)[1](torch.stack(d_shares))
    return found | dict(zip(("input", "input_weight", "bias"), by_input, strict=True))


def _vjp(outputs: list[Tensor], by: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    pairs = [(v, g) for v, g in zip(outputs, given, strict=True) if v.requires_grad]
    values, gradients = zip(*pairs, strict=True)
    found = torch.autograd.grad(values, by, gradients, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if value is None else value for leaf, value in zip(by, found, strict=True)]


def _multiply(weights: Weights, product: str, operand: Tensor) -> Tensor:
    result = weights.recurrent_map(operand.detach(), weights.recurrent_weight[product].detach())
    biases = [
        weights.part_bias[name].detach() if name in weights.part_bias else result.new_zeros(weights.hidden_size)
        for name in weights.cell.products[product][0]
    ]
    return result + torch.cat(biases)


def _feeds(weights: Weights, product: str) -> int:
    return len(weights.cell.products[product][0])
