"""Checks of what a cell says about its memory: which gate keeps a state, and which way a bias moves it.

What is kept of a state is the derivative of the new by the old, unit by unit, while what the recurrent products return
stays as it is. So it is the gate's own doing, for any cell, with nothing known of its equations.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, Gates, listed
from cellwise.testing.inputs import Inputs, RandomProducts, initial_inputs, next_inputs
from cellwise.testing.layers import Build

ROWS, UNITS = 32, 16  # units enough that a norm over them, as of a layer-normalised cell, mixes them little
CORRELATION = 0.5  # 1 where the gate is the derivative; 0.97 with a tanh around the mixture, 0.88 with a norm


def check_retention(build: Build) -> None:
    """`retention` leads from a state to a gate that the step returns, large where much of the state is kept."""
    cell = build()
    if not cell.retention:
        return
    kept, _, gates = _kept(_reached(cell))
    for state, gate in cell.retention.items():
        assert gate in gates, (
            f"retention says that {gate!r} keeps {state!r}, but the step returns the gates {listed(gates)}"
        )
        found = _correlation(kept[state], gates[gate])
        assert found > CORRELATION, (
            f"retention says that {gate!r} keeps {state!r}, but its correlation with what is kept, the derivative of "
            f"the new {state!r} by the old, is {found:.2f} (above {CORRELATION} is wanted; below 0 it lets go)"
        )


def check_chrono(build: Build) -> None:
    """A larger bias of a gate of `chrono` keeps more of the states (+1) or less (-1); or it writes less, or more."""
    cell = build()
    if not cell.chrono or not cell.retention:
        return
    inputs = _reached(cell)
    kept, written, _ = _kept(inputs)
    for gate, sign in cell.chrono.items():
        more_kept, more_written, _ = _kept(_raised(inputs, gate))
        keeps = sum(_change(more_kept[state], kept[state]) for state in kept)
        writes = sum(_change(more_written[state], written[state]) for state in kept)
        moved, what = (keeps, "keeps") if keeps else (-writes, "writes")
        assert moved * sign >= 0, (
            f"chrono says {sign:+d} for {gate!r}, but with a larger bias the cell {what} "
            f"{'more' if (keeps or writes) > 0 else 'less'} of its state; +1 is for a bias that keeps the memory"
        )


def _reached(cell: Cell) -> Inputs:
    """The arguments of a fourth step: a state that the cell itself reached."""
    inputs = initial_inputs(cell, ROWS, UNITS)
    for number in range(1, 4):
        inputs = next_inputs(inputs, inputs.run()[0], number)
    return inputs


def _kept(inputs: Inputs) -> tuple[dict[str, Tensor], dict[str, Tensor], Gates]:
    """By retained state the share that is kept, and what is written, (rows, UNITS); and the gates."""
    old = {name: value.detach().requires_grad_() for name, value in inputs.s.items()}
    new, gates = replace(inputs, s=old).run(RandomProducts(inputs.cell, inputs.x, UNITS, frozen=True))
    kept = {state: _diagonal(new[state], old[state]) for state in inputs.cell.retention}
    written = {state: (new[state] - kept[state] * old[state]).detach().abs() for state in kept}
    return kept, written, {name: gate.detach() for name, gate in gates.items()}


def _diagonal(new: Tensor, old: Tensor) -> Tensor:
    """The derivative of each unit of `new` by the same unit of `old`, (rows, UNITS)."""
    if not new.requires_grad:
        return torch.zeros_like(new)
    columns = []
    for unit in range(UNITS):
        (gradient,) = torch.autograd.grad(
            new[:, unit].sum(), old, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        columns.append(gradient[:, unit])
    return torch.stack(columns, dim=1)


def _raised(inputs: Inputs, gate: str) -> Inputs:
    """The same arguments under a bias that is larger by 1."""
    if gate in inputs.cell.step_biases:
        return replace(inputs, p=inputs.p | {f"bias_{gate}": inputs.p[f"bias_{gate}"] + 1})
    return replace(inputs, x=inputs.x | {gate: inputs.x[gate] + 1})


def _change(after: Tensor, before: Tensor) -> float:
    """The change of the mean; 0 where it is within rounding."""
    change = (after.mean() - before.mean()).item()
    return change if abs(change) > 1e-9 else 0.0


def _correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's; of two constants 1, of a constant and what is none 0."""
    a, b = a - a.mean(), b - b.mean()
    constant = [v.abs().max().item() < 1e-9 for v in (a, b)]
    if any(constant):
        return float(all(constant))
    return ((a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()).item()
