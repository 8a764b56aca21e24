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
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.engines.reference import input_shares
from cellwise.recurrent.weights import Weights

Step = tuple[list[Tensor], list[Tensor], list[Tensor]]  # pointwise inputs, results, and outputs of one step


def pointwise(
    weights: Weights, conditions: Conditions, t: int, inputs: list[Tensor], results: list[Tensor]
) -> list[Tensor]:
    """One step without its products: input share, states, parameters, results to [output, *states, *operands]."""
    cell, operands = weights.cell, list[Tensor]()
    shares = input_shares(weights, inputs[0])
    state = dict(zip(cell.states, inputs[1:], strict=False))
    parameters = dict(zip(weights.step_parameters(), inputs[1 + len(cell.states) :], strict=True))

    def cut_out(product: str, operand: Tensor) -> Mapping[str, Tensor]:
        operands.append(operand)
        place, feeds = len(operands) - 1, cell.products[product][0]
        if place == len(results):  # on the way forward the result is made as soon as its operand is known
            results.append(_multiply(weights, conditions, product, operand).detach().requires_grad_())
        fed = dict(zip(feeds, results[place].chunk(len(feeds), -1), strict=True))
        return {name: shares[name] + value if name in shares else value for name, value in fed.items()}

    new, _ = cell.step(shares, cut_out, state, parameters)
    new = conditions.after(t, new, state)
    return [conditions.visible(t, new[cell.states[0]]), *(new[name] for name in cell.states), *operands]


def forward(weights: Weights, x: Tensor, state: State, conditions: Conditions) -> tuple[Tensor, State, list[Step]]:
    """Return output, last state, and each step's pointwise graph."""
    states, steps = list(state.values()), list[Step]()
    parameters = [value.detach().requires_grad_() for value in weights.step_parameters().values()]
    for t, x_t in enumerate(weights.project(x).detach()):
        inputs = [v.detach().requires_grad_() for v in (x_t, *states)] + parameters
        results: list[Tensor] = []
        outputs = pointwise(weights, conditions, t, inputs, results)
        steps.append((inputs, results, outputs))
        states = outputs[1 : 1 + len(states)]
    output = torch.stack([outputs[0] for _, _, outputs in steps]).detach()
    return output, dict(zip(state, (v.detach() for v in states), strict=True)), steps


def backward(
    weights: Weights, conditions: Conditions, x: Tensor, steps: list[Step], d_output: Tensor, d_state: list[Tensor]
) -> dict[str, Tensor]:
    """Return the gradient by the input, each initial state and each parameter, by name."""
    count, products = len(d_state), list(weights.cell.products)
    d_parameters = [torch.zeros_like(value) for value in weights.step_parameters().values()]
    d_shares, d_results = list[Tensor](), list[list[Tensor]]()
    for (inputs, results, outputs), d_y in zip(reversed(steps), reversed(d_output.unbind(0)), strict=True):
        given = [d_y, *d_state, *(torch.zeros_like(v) for v in outputs[1 + count :])]
        d_step = [torch.empty(0)] * len(products)
        for place in reversed(range(len(products))):  # its operand may hold the results of those before it
            (d_step[place],) = _vjp(outputs, [results[place]], given)
            weight = conditions.matrices[products[place]]
            (given[1 + count + place],) = torch.func.vjp(
                lambda v, w=weight: weights.recurrent_map(v, w), outputs[1 + count + place].detach()
            )[1](d_step[place])
        d_share, *rest = _vjp(outputs, inputs, given)
        d_state = rest[:count]
        d_parameters = [total + new for total, new in zip(d_parameters, rest[count:], strict=True)]
        d_shares.insert(0, d_share)
        d_results.insert(0, d_step)
    found, d_matrices = dict(zip(weights.cell.states, d_state, strict=True)), dict[str, Tensor]()
    for place, product in enumerate(products):  # one product over all steps
        operands = torch.stack([outputs[1 + count + place].detach() for _, _, outputs in steps])
        d_all = torch.stack([d_step[place] for d_step in d_results])
        (d_matrices[product],) = torch.func.vjp(
            lambda w, v=operands: weights.recurrent_map(v, w), conditions.matrices[product].detach()
        )[1](d_all)
        feeds = weights.cell.products[product][0]
        for name, d_part in zip(feeds, d_all.chunk(len(feeds), -1), strict=True):
            if name in weights.part_bias:
                found[f"part_bias.{name}"] = d_part.flatten(0, -2).sum(0)
    return found | _to_leaves(weights, conditions, x, torch.stack(d_shares), d_matrices, d_parameters)


def _to_leaves(
    weights: Weights,
    conditions: Conditions,
    x: Tensor,
    d_shares: Tensor,
    d_matrices: dict[str, Tensor],
    d_parameters: list[Tensor],
) -> dict[str, Tensor]:
    """From the gradients by what the loop was given to those by the input and the stored parameters."""
    leaves = {"input": x} | {n: p for n, p in weights.named_parameters() if not n.startswith("part_bias.")}
    roots = [weights.project(x), *conditions.matrices.values(), *weights.step_parameters().values()]
    given = [d_shares, *(d_matrices[product] for product in conditions.matrices), *d_parameters]
    gradients = torch.autograd.grad(roots, list(leaves.values()), given)
    return dict(zip(leaves, gradients, strict=True))


def _vjp(outputs: list[Tensor], by: list[Tensor], given: list[Tensor]) -> list[Tensor]:
    pairs = [(v, g) for v, g in zip(outputs, given, strict=True) if v.requires_grad]
    values, gradients = zip(*pairs, strict=True)
    found = torch.autograd.grad(values, by, gradients, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if value is None else value for leaf, value in zip(by, found, strict=True)]


def _multiply(weights: Weights, conditions: Conditions, product: str, operand: Tensor) -> Tensor:
    result = weights.recurrent_map(operand.detach(), conditions.matrices[product].detach())
    biases = [
        weights.part_bias[name].detach() if name in weights.part_bias else result.new_zeros(weights.hidden_size)
        for name in weights.cell.products[product][0]
    ]
    return result + torch.cat(biases)
