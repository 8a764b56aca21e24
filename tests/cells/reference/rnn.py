"""Elman 1990; Goodfellow et al. 2016, equations 10.8 and 10.9: a(t) = b + W h(t-1) + U x(t), h(t) = tanh(a(t))."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit
from tests.cells.reference.weights import Array, Case, NumpyWeights


def rnn(
    x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, nonlinearity: str
) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    h = state["h"]
    steps = []
    for x_t in x:
        a = product(w.U["candidate"], h) + product(w.W["candidate"], x_t)
        a = a + per_unit(w.b["candidate"], a)
        h = np.tanh(a) if nonlinearity == "tanh" else np.where(a > 0, a, 0)
        steps.append({"h": h, "candidate": h})
    return steps


CASES: list[Case] = [
    ("rnn", {"nonlinearity": "tanh"}, partial(rnn, nonlinearity="tanh")),
    ("rnn", {"nonlinearity": "relu"}, partial(rnn, nonlinearity="relu")),
]
