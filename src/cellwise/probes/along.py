"""States and gates of a few units along one sequence, with what was read beneath.

The first row of the probed batch, its first 100 steps. Shown are the eight units whose output varies most along it
(standard deviation): a cell state that only counts up varies more, and says less. On images a unit is the mean over
height and width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cellwise.probes.insides import Insides, Place
from cellwise.records.schema import Axis, Heatmap, View
from cellwise.tasks.contract import Probed

Measured = dict[str, Tensor]

UNITS, STEPS = 8, 100


def along(insides: Insides) -> Measured:
    """Return the chosen units, and by gate and state their values, float64 (units, steps), in the input's order."""
    output = insides.states[insides.cell.states[0]]
    units = _row(insides, output).std(0, correction=0).argsort(descending=True, stable=True)[:UNITS]
    found = {f"{insides.key}/units": units, f"{insides.key}/read": insides.valid[:, 0].sum()}
    for kind, store in (("gate", insides.gates), ("state", insides.states)):
        found |= {f"{insides.key}/{kind}_{name}/along": _row(insides, s)[:, units].t() for name, s in store.items()}
    return {path: value.detach().cpu() for path, value in found.items()}


def _row(insides: Insides, steps: Sequence[Tensor]) -> Tensor:
    """The first row, (steps, hidden)."""
    row = torch.stack([step[0] for step in steps])[insides.valid[:, 0]].double()
    row = row.mean(tuple(range(1, row.dim() - 1))) if row.dim() > 2 else row
    return (row.flip(0) if insides.turned else row)[:STEPS]


def views(end: Measured, probed: Probed, names: Mapping[str, Place]) -> list[View]:
    """Return the views.

    Args:
        end: what `along` found after training.
        probed: what was looked at: its tokens are what the row reads, a word a step.
        names: of the layers and directions.
    """
    found: list[View] = []
    for path, values in end.items():
        if path.endswith("/along"):
            key, what, _ = path.split("/")
            # A front may have taken several words together; then steps have numbers alone.
            words = probed.tokens if len(probed.tokens) == int(end[f"{key}/read"]) else ()
            drawn = _heatmap(what, values, end[f"{key}/units"], words, names[key])
            found.append(dataclasses.replace(drawn, redistributable=probed.redistributable or not words))
    return found


def _heatmap(what: str, values: Tensor, units: Tensor, tokens: tuple[str, ...], place: Place) -> Heatmap:
    kind, _, name = what.partition("_")
    words = f"{kind} '{name.replace('_', ' ')}'"
    steps = values.shape[1]
    return Heatmap(
        name=f"along_sequence_{what}{place.name}",
        title=f"The {words} of the {len(units)} units whose output varies most, along one sequence{place.words}",
        question="What does a unit react to, and how long does it hold it?",
        x=Axis("step" if not tokens else "what is read"),
        y=Axis("unit", scale="category"),
        value=Axis(words),
        x_values=np.arange(1, steps + 1),
        y_values=np.array([str(unit) for unit in units.flip(0).tolist()]),  # the one that varies most on top
        values=values.flip(0).numpy(),
        about="cell",
        words=tokens[:steps],
    )
