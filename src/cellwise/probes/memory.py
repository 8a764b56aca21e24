"""How long a cell remembers by its gates, and how far back a loss reaches through its states.

Half-life: a state that is kept to the share f_t at step t has half of itself left after ln 0.5 / mean(ln f_t) steps;
the mean of logarithms, because over several steps the shares are multiplied. Which gate keeps which state is the
cell's `retention`. A sequence's first step is left out: nothing is held before it.

Gradient against lag: the norm of d loss / d s_t by T - t, where the loss is that of the prediction at T alone
(Hochreiter 1991; Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063, section 2).
Each state is changed alone, the others held: an LSTM's d loss / d c_T is 0, because what is predicted at T reads h_T.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from cellwise.probes.insides import Insides, Place
from cellwise.records.schema import Axis, Curves, Series, View

Measured = dict[str, Tensor]

LONGEST = 10_000.0
"""A half-life beyond this many steps is cut: single precision can't tell such a gate from one that keeps everything."""

_LEAST_KEPT = 1e-12  # ln 0 would make a unit's half-life 0 for one step at which it forgot everything


def log_kept(insides: Insides) -> Measured:
    """Return by state and unit the mean of ln f, float64 (hidden,); empty without retention or after one step."""
    found: Measured = {}
    if len(insides.valid) < 2:
        return found
    for state, gate in insides.cell.retention.items():
        kept = insides.by_unit(insides.gates, gate, first=1).double().clamp(min=_LEAST_KEPT)
        found[f"{insides.key}/{state}/log_kept"] = kept.log().mean(0).cpu()
    return found


def half_life(log_kept: Tensor) -> Tensor:
    """Return steps until half is left, at most `LONGEST`, for the mean of ln f."""
    return (math.log(0.5) / log_kept.clamp(max=math.log(0.5) / LONGEST)).clamp(max=LONGEST)


def gradients(loss: Tensor, insides: Sequence[Insides]) -> Measured:
    """Return by state the norm of d loss / d s_t at lag 0, 1, ...: a mean over rows, float64 (lags,).

    Args:
        loss: of each row's last prediction alone, (batch,); its graph is kept.
        insides: of the run that gave it.
    """
    keys = [(one, state) for one in insides for state in one.states]
    nodes = [node for one, state in keys for node in one.states[state]]
    if not nodes:  # a network without recurrent layers
        return {}
    every = torch.autograd.grad(loss.sum(), nodes, retain_graph=True, allow_unused=True)
    flat = iter(_norm(gradient, node) for gradient, node in zip(every, nodes, strict=True))
    found = {}
    for one, state in keys:
        norms = torch.stack([next(flat) for _ in one.states[state]])  # (time, batch)
        # Rows end at different steps, so each counts back from its own last one.
        lag = one.valid.flip(0).cumsum(0).flip(0) - 1
        steps = [norms[(lag == k) & one.valid] for k in range(len(norms))]
        found[f"{one.key}/{state}/gradient"] = torch.stack([rows.mean() for rows in steps if len(rows)]).cpu()
    return found


def _norm(gradient: Tensor | None, node: Tensor) -> Tensor:
    """Of each row, (batch,), in float64: squares of what has vanished are 0 in single precision."""
    if gradient is None:
        return node.new_zeros(len(node), dtype=torch.float64)
    squared: Tensor = gradient.double().flatten(1).square().sum(1)
    return squared.sqrt()


def views(start: Measured, end: Measured, names: Mapping[str, Place]) -> list[View]:
    """Return the views, of what was found before the first training step and after the last."""
    found: list[View] = []
    for key, place in names.items():
        kept = _by_moment(start, end, f"{key}/", "/log_kept")
        if kept:
            found.append(_half_lives(kept, place))
        for moment, seen in (("start", start), ("end", end)):
            norms = _of(seen, f"{key}/", "/gradient")
            if norms:
                found.append(_against_lag(norms, place, moment))
    return found


def _of(seen: Measured, before: str, after: str) -> dict[str, Tensor]:
    """What was found of one place, by the state that stands between."""
    return {
        path.removeprefix(before).removesuffix(after): value
        for path, value in seen.items()
        if path.startswith(before) and path.endswith(after)
    }


def _by_moment(start: Measured, end: Measured, before: str, after: str) -> dict[str, Tensor]:
    found = {}
    for state, last in _of(end, before, after).items():
        found[f"{state}, start"] = start[f"{before}{state}{after}"]
        found[f"{state}, end"] = last
    return found


def _half_lives(kept: Mapping[str, Tensor], place: Place) -> Curves:
    series = []
    for name, log in kept.items():
        steps = half_life(log).sort().values.numpy()
        series.append(Series(name, 100 * (np.arange(len(steps)) + 0.5) / len(steps), steps))
    return Curves(
        name=f"half_life{place.name}",
        title=f"Half-life of the units before and after training{place.words}",
        question="By its gate alone, at its mean rate: after how many steps has a unit lost half of what it held?",
        x=Axis("units, those that forget fastest first", "%", least=0.0, most=100.0),
        y=Axis("half-life", "steps", "log", most=LONGEST),
        series=tuple(series),
        about="cell",
    )


def _against_lag(norms: Mapping[str, Tensor], place: Place, moment: str) -> Curves:
    # Views are shown by name, and the start belongs before the end.
    name, when = {"start": ("at_start", "before training"), "end": ("at_the_end", "after training")}[moment]
    series = []
    for state, by_lag in norms.items():
        y = by_lag.numpy()
        series.append(Series(state, np.arange(len(y)), np.where(y > 0, y, np.nan)))
    return Curves(
        name=f"gradient_against_lag_{name}{place.name}",
        title=f"How much the last prediction depends on earlier states, {when}{place.words}",
        question="Does the gradient vanish on its way back, and does a cell state carry it?",
        x=Axis("lag: steps before the last prediction"),
        y=Axis("norm of d loss / d state", "", "log"),
        series=tuple(series),
        about="cell",
    )
