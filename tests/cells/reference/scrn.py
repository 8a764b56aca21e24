"""Mikolov et al. 2015: s' = (1 - alpha) B x + alpha s, h' = sigma(P s' + A x + R h), alpha = 0.95; biases added.

A layer lists what multiplies the candidate's operands side by side, in the order of its products: first P, then R.
"""

from __future__ import annotations

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights

ALPHA = 0.95


def scrn(x: Array, state: dict[str, Array], w: NumpyWeights, product: Map) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    h, s = state["h"], state["context"]
    P, R = np.split(w.U["candidate"], 2, axis=1)
    steps = []
    for x_t in x:
        from_input = product(w.W["context_input"], x_t) + per_unit(w.b["context_input"], h)
        s = (1 - ALPHA) * from_input + ALPHA * s
        h = sigma(product(P, s) + product(w.W["candidate"], x_t) + per_unit(w.b["candidate"], h) + product(R, h))
        steps.append({"h": h, "context": s, "context_input": from_input, "candidate": h})
    return steps


CASES: list[Case] = [("scrn", {}, scrn)]
