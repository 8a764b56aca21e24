"""Li et al. 2018: h' = sigma(W x + u . h + b), u one number a unit, sigma a relu or another nonlinearity."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit
from tests.cells.reference.weights import Array, Case, NumpyWeights


def indrnn(
    x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, nonlinearity: str
) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    h = state["h"]
    steps = []
    for x_t in x:
        a = product(w.W["candidate"], x_t) + per_unit(w.p["recurrent"], h) * h + per_unit(w.b["candidate"], h)
        h = np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)
        steps.append({"h": h, "candidate": h})
    return steps


CASES: list[Case] = [
    ("indrnn", {"nonlinearity": "relu"}, partial(indrnn, nonlinearity="relu")),
    ("indrnn", {"nonlinearity": "tanh"}, partial(indrnn, nonlinearity="tanh")),
]
