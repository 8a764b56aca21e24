"""Singular values and spectral radius of one step's Jacobian d s_t / d s_{t-1}, over the whole state of a layer.

Whether gradients vanish or explode is decided by the product of these matrices: where all singular values are below 1
they vanish (Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063, section 2.1). Taken at three steps spread evenly over
the probed batch, of its first three rows, and averaged over these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cellwise.probes.insides import Insides, Place
from cellwise.records.schema import Axis, Column, Curves, Series, Table, View

Measured = dict[str, Tensor]

MOST_NUMBERS = 1024
"""A layer whose state has more numbers a row is left out: time grows with the cube of it, half a minute here."""

_STEPS, _ROWS = 3, 3


def spectrum(insides: Insides) -> Measured:
    """Return the singular values of each matrix, largest first, float64 (matrices, numbers), and the spectral radii.

    The graph of the run is kept; nothing is found where the state is too large or no row has two steps.
    """
    if state_size(insides) > MOST_NUMBERS:
        return {}
    steps = len(insides.valid)
    chosen = sorted({round(t) for t in np.linspace(1, steps - 1, _STEPS)}) if steps > 1 else []
    found = [
        jacobian[row].double().cpu()
        for t in chosen
        for jacobian in [step_jacobian(insides, t)]
        for row in range(min(_ROWS, len(jacobian)))
        if insides.valid[t, row]
    ]
    if not found:
        return {}
    matrices = torch.stack(found)
    if not matrices.isfinite().all():  # of a network that has diverged
        matrices = torch.full_like(matrices, torch.nan)
        singular, radius = matrices[..., 0], matrices[:, 0, 0]
    else:
        singular, radius = torch.linalg.svdvals(matrices), torch.linalg.eigvals(matrices).abs().amax(1)
    return {f"{insides.key}/singular": singular, f"{insides.key}/radius": radius}


def state_size(insides: Insides) -> int:
    """Return how many numbers the state of one row has."""
    return sum(steps[0][0].numel() for steps in insides.states.values())


def step_jacobian(insides: Insides, t: int) -> Tensor:
    """Return d s_t / d s_{t-1}, (batch, numbers, numbers); the states one after the other, each as it lies in a row."""
    before = [steps[t - 1] for steps in insides.states.values()]
    rows = []
    for after in (steps[t] for steps in insides.states.values()):
        for number in range(after[0].numel()):
            # Rows of a batch are independent, so one backward pass gives a line of each row's matrix.
            chosen = torch.zeros_like(after).flatten(1)
            chosen[:, number] = 1
            line = torch.autograd.grad(after, before, chosen.view_as(after), retain_graph=True, allow_unused=True)
            pairs = zip(line, before, strict=True)
            rows.append(torch.cat([(torch.zeros_like(b) if g is None else g).flatten(1) for g, b in pairs], dim=1))
    return torch.stack(rows, dim=1)


def views(start: Measured, end: Measured, names: Mapping[str, Place]) -> list[View]:
    """Return the views, of what was found before the first training step and after the last."""
    both = {"start": start, "end": end}
    keys = [key for key in names if f"{key}/singular" in end]
    found: list[View] = [_curves({m: seen[f"{key}/singular"] for m, seen in both.items()}, names[key]) for key in keys]
    return [*found, _table(keys, both, names)] if keys else []


def _curves(singular: Mapping[str, Tensor], place: Place) -> Curves:
    series = []
    for moment, values in singular.items():
        mean = values.mean(0).numpy()
        series.append(Series(moment, np.arange(1, len(mean) + 1), np.where(mean > 0, mean, np.nan)))
    return Curves(
        name=f"singular_values{place.name}",
        title=f"Singular values of one step's Jacobian before and after training{place.words}",
        question="In how many directions does a step keep a change of the state (1), shrink it or blow it up?",
        x=Axis("singular value, largest first"),
        y=Axis("singular value", "", "log"),
        series=tuple(series),
        about="cell",
    )


def _table(keys: Sequence[str], both: Mapping[str, Measured], names: Mapping[str, Place]) -> Table:
    rows = []
    for key in keys:
        for moment, seen in both.items():
            singular, radius = seen[f"{key}/singular"], seen[f"{key}/radius"]
            words = f"{moment}{names[key].words}"
            near = ((singular > 0.9) & (singular < 1.1)).double().sum(1).mean()
            rows.append((words, float(radius.mean()), float(singular[:, 0].mean()), float(near), singular.shape[1]))
    return Table(
        name="step_jacobian",
        title="One step's Jacobian before and after training",
        question="Can a change of the state survive many steps? (A spectral radius near 1: yes.)",
        columns=(
            Column("when"),
            Column("spectral radius"),
            Column("largest singular value"),
            Column("singular values from 0.9 to 1.1"),
            Column("numbers of the state"),
        ),
        rows=tuple(rows),
        about="cell",
    )
