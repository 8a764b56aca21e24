"""All steps at once, for cells whose new state is a * state + b with a and b from the input alone (`Cell.affine`).

Nothing is written per cell: b is the cell's own step at state 0, and a its derivative there. The recurrence is then a
linear scan (Blelloch 1990; for recurrent networks Martin and Cundy 2018, arXiv 1709.04057), by doubling on
accelerators (log2(time) passes over all steps) and step by step on CPU, where one fused multiply-add a step is faster.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, State, run_step
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.engines.reference import input_shares
from cellwise.recurrent.guard import blank, per_row
from cellwise.recurrent.weights import Weights


def expressible(cell: Cell) -> bool:
    """Whether the cell's step is affine in its state."""
    return cell.affine


def run(weights: Weights, x: Tensor, state: State, conditions: Conditions) -> tuple[Tensor, State]:
    """Run one layer in one direction; arguments and results as `reference.run`."""
    decay, gain = _affine_form(weights, x, state)
    states = {}
    for name in weights.cell.states:
        a, b = _conditioned(name, decay[name], gain[name], conditions)
        states[name] = linear_scan(a, b, state[name])
    output = states[weights.cell.states[0]]
    if conditions.lengths is not None:
        output = blank(output, conditions.lengths.valid)
    return output, {name: value[-1] for name, value in states.items()}


def linear_scan(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    """Return h_t = a_t * h_{t-1} + b_t for all t, with h_0 before the first step; differentiable twice.

    Args:
        a: (time, ...), time 1 or more.
        b: as `a`.
        start: (...).
    """
    h: Tensor = _LinearScan.apply(a, b, start)  # type: ignore[no-untyped-call]
    return h


def _affine_form(weights: Weights, x: Tensor, state: State) -> tuple[State, State]:
    """Return a and b of every step, by state, (time, batch, ..., hidden); rows are independent, so time is rows."""
    cell, parameters = weights.cell, weights.step_parameters()
    shares = input_shares(cell, weights.project(x))
    like = x.new_zeros(*x.shape[:-1], weights.hidden_size)

    def step(*values: Tensor) -> tuple[Tensor, ...]:
        new, _ = run_step(cell, shares, _no_products, dict(zip(state, values, strict=True)), parameters)
        return tuple(new[name] for name in state)

    b, derivative, *_ = torch.func.vjp(step, *(like,) * len(state))
    a = derivative((torch.ones_like(like),) * len(state))  # units are independent, so this is the diagonal, exactly
    return dict(zip(state, a, strict=True)), dict(zip(state, b, strict=True))


def _conditioned(name: str, a: Tensor, b: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
    """The same under zoneout, resets and lengths, each of them affine again."""
    if name in conditions.kept:
        kept = conditions.kept[name]
        a, b = (1 - kept) * a + kept, (1 - kept) * b
    if conditions.resets is not None:
        resets = per_row(conditions.resets, a)
        b = torch.where(resets, b + a * conditions.fresh[name], b)
        a = torch.where(resets, torch.zeros_like(a), a)
    if conditions.lengths is not None:
        valid = per_row(conditions.lengths.valid, a)
        a, b = torch.where(valid, a, torch.ones_like(a)), torch.where(valid, b, torch.zeros_like(b))
    return a, b


class _LinearScan(torch.autograd.Function):
    """The scan with the scan as its own derivative: the gradient runs the same recurrence backwards in time."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
        return stepwise(a, b, start) if a.device.type == "cpu" else doubling(a, b, start)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        a, _, start = inputs
        ctx.save_for_backward(a, start, output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, start, h = ctx.saved_tensors
        later = torch.cat([a[1:], torch.zeros_like(a[:1])]).flip(0)  # what carries the gradient from t + 1 to t
        grad_b = linear_scan(later, grad.flip(0), torch.zeros_like(start)).flip(0)
        before = torch.cat([start[None], h[:-1]])
        return grad_b * before, grad_b, grad_b[0] * a[0]


def stepwise(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    """The recurrence one step after the other, one fused operation each."""
    h = torch.empty_like(b)
    previous = start
    for t in range(len(a)):
        previous = torch.addcmul(b[t], a[t], previous, out=h[t])
    return h


def doubling(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    """The recurrence by doubling (Hillis and Steele 1986): after pass k, a step holds the last 2**k steps' effect."""
    b = torch.cat([b[:1] + a[:1] * start, b[1:]])
    distance = 1
    while distance < len(a):
        b = torch.cat([b[:distance], b[distance:] + a[distance:] * b[:-distance]])
        a = torch.cat([a[:distance], a[distance:] * a[:-distance]])
        distance *= 2
    return b


def _no_products(product: str, operand: Tensor) -> dict[str, Tensor]:
    raise AssertionError(f"an affine cell called the product {product!r}")
