"""What each gate does: how its values are spread while the network learns, and which units are saturated at the end.

The share of steps at which a unit's gate is near shut and near open is Karpathy, Johnson and Fei-Fei 2015, arXiv
1506.02078, section 4.1: left-saturated below 0.1, right-saturated above 0.9.

Differences: theirs is of LSTM and GRU gates. Here it is of every gate that a cell returns; of one with values from -1
to 1 the ends are -0.9 and 0.9, and one without ends (a ReLU) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cellwise.probes.insides import Insides, Place
from cellwise.records.schema import Axis, Curves, Heatmap, Series, View

Measured = dict[str, Tensor]
Ends = tuple[float, float]
Counts = npt.NDArray[np.int64]

# 40 bins between -1 and 1, both in them; beyond, each is a quarter wider than the one before, up to 1,000.
_INNER = np.linspace(-1, 1, 41)
_INNER[-1] = np.nextafter(np.float32(1), np.float32(2))
_OUTER = 1.25 ** np.arange(1, 32)
EDGES = np.concatenate([-_OUTER[::-1], _INNER, _OUTER])
_BINS = len(EDGES) + 1
_FIRST = len(_OUTER) + 1  # the bin that begins at -1; bin 0 is what lies below all edges
LEAST, LITTLE, MUCH = -0.9, 0.1, 0.9


def count(insides: Insides) -> Measured:
    """Return by gate how many values lie in each bin of `EDGES` (and below, and above), and the least and greatest."""
    found = {}
    for gate in insides.gates:
        values = insides.by_unit(insides.gates, gate).detach().flatten()
        low, high = _least_and_greatest(values)
        if not (math.isfinite(low) and math.isfinite(high)):
            values = values[values.isfinite()]
            low, high = _least_and_greatest(values)
        found[f"{insides.key}/{gate}/bins"] = _binned(values, inside=low >= -1 and high <= 1).cpu()
        found[f"{insides.key}/{gate}/ends"] = torch.tensor([low, high], dtype=torch.float64)
    return found


def _least_and_greatest(values: Tensor) -> tuple[float, float]:
    """Of no values 0; not finite where one of the values is not."""
    if not len(values):
        return 0.0, 0.0
    low, high = torch.aminmax(values)
    return float(low), float(high)


def _binned(values: Tensor, *, inside: bool) -> Tensor:
    """Counts, (bins,); `inside` says that all lie between -1 and 1, where bins are equal: ten times as fast."""
    if not inside:
        return torch.bincount(torch.bucketize(values, torch.from_numpy(EDGES).to(values), right=True), minlength=_BINS)
    inner = torch.bincount(((values + 1) * 20).int().clamp_(0, 39), minlength=40)
    return nn.functional.pad(inner, (_FIRST, _BINS - _FIRST - 40))


def saturation(insides: Insides) -> Measured:
    """Return by gate and unit the share of values below -0.9, below 0.1 and above 0.9, float64 (3, hidden)."""
    found = {}
    for gate in insides.gates:
        values = insides.by_unit(insides.gates, gate)
        shares = [values < LEAST, values < LITTLE, values > MUCH]
        found[f"{insides.key}/{gate}/saturated"] = torch.stack([s.double().mean(0) for s in shares]).cpu()
    return found


def views(moments: Mapping[int, Measured], end: Measured, names: Mapping[str, Place]) -> list[View]:
    """Return the views.

    Args:
        moments: what `count` found, by training step, the end among them.
        end: what `saturation` found at the end.
        names: of the layers and directions.
    """
    found: list[View] = []
    for path in [key.removesuffix("/saturated") for key in end if key.endswith("/saturated")]:
        key, gate = path.split("/")
        ends = _ends(torch.stack([seen[f"{path}/ends"] for seen in moments.values()]))
        counts = {step: seen[f"{path}/bins"].numpy() for step, seen in moments.items()}
        found.append(_over_training(gate, counts, ends, names[key]))
        if ends is not None:
            found.append(_by_unit(gate, end[f"{path}/saturated"].numpy(), ends, names[key]))
    return found


def _ends(seen: Tensor) -> Ends | None:
    """Between what a gate lies, by all that was seen of it: 0 and 1, -1 and 1, or nothing of the kind."""
    low, high = float(seen.min()), float(seen.max())
    if not (low >= -1 and high <= 1):
        return None
    return (0.0, 1.0) if low >= 0 else (-1.0, 1.0)


def _over_training(gate: str, counts: Mapping[int, Counts], ends: Ends | None, place: Place) -> Heatmap:
    field, middle = _spread(np.stack(list(counts.values())), ends)
    least, most = ends or (None, None)
    return Heatmap(
        name=f"gate_{gate}_over_training{place.name}",
        title=f"Values of the gate '{_words(gate)}' while the network learns{place.words}",
        question="Does the gate learn to take sides, or does it stay half open?",
        x=Axis("training steps", scale="category"),
        y=Axis(f"value of {_words(gate)}", least=least, most=most),
        value=Axis("share of values", least=0.0, most=1.0),
        x_values=np.array([str(step) for step in counts]),
        y_values=middle,
        values=field.T / np.maximum(field.sum(1), 1),
        about="cell",
    )


def _spread(counts: Counts, ends: Ends | None) -> tuple[Counts, npt.NDArray[np.float64]]:
    """Counts (moments, bins) in the bins that are shown, and the middle of each of these."""
    inner = counts[:, _FIRST : _FIRST + 40]
    if ends == (0.0, 1.0):
        return inner[:, 20:], np.arange(0.025, 1, 0.05)
    if ends == (-1.0, 1.0):
        return inner.reshape(len(counts), 20, 2).sum(2), np.arange(-0.95, 1, 0.1)
    middle = np.concatenate([[EDGES[0]], (EDGES[1:] + EDGES[:-1]) / 2, [EDGES[-1]]])
    filled = np.flatnonzero(counts.any(0))
    shown = slice(filled[0], filled[-1] + 1) if len(filled) else slice(_FIRST, _FIRST + 40)
    return counts[:, shown], middle[shown]


def _by_unit(gate: str, shares: npt.NDArray[np.float64], ends: Ends, place: Place) -> Curves:
    """One dot a unit; gates of different ends are different views, or they would share axes."""
    words = _words(gate)
    below, little, much = shares
    if ends == (0.0, 1.0):
        name, x, least = "shut_and_open", little, LITTLE
        question = "Which units keep this gate shut (right, below), which keep it open (left, above)?"
    else:
        name, x, least = "at_its_ends", below, LEAST
        question = "Which units are saturated (far from left, below)?"
    return Curves(
        name=f"gate_{gate}_{name}{place.name}",
        title=f"How often the gate '{words}' of each unit is at its ends after training{place.words}",
        question=question,
        x=Axis(f"share of steps with {words} below {least}", least=0.0, most=1.0),
        y=Axis(f"share of steps with {words} above {MUCH}", least=0.0, most=1.0),
        series=(Series("units", x, much),),
        about="cell",
        marks="dots",
    )


def _words(gate: str) -> str:
    return gate.replace("_", " ")
