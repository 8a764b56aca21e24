"""Cho et al. 2014, arXiv 1406.1078: equations 5 to 8 of version 3 (reset before), and version 1's candidate (after).

The update gate weighs the old state, as in equation 7: h' = z h + (1 - z) h~.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights


def gru(x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, reset: str) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    h = state["h"]
    steps = []
    for x_t in x:

        def from_input(gate: str, x_t: Array = x_t, h: Array = h) -> Array:
            return product(w.W[gate], x_t) + per_unit(w.b[gate], h)

        r = sigma(from_input("reset") + product(w.U["reset"], h))
        z = sigma(from_input("update") + product(w.U["update"], h))
        if reset == "before":
            candidate = np.tanh(from_input("candidate") + product(w.U["candidate"], r * h))
        else:
            recurrent = product(w.U["candidate"], h) + per_unit(w.d["candidate"], h)
            candidate = np.tanh(from_input("candidate") + r * recurrent)
        h = z * h + (1 - z) * candidate
        steps.append({"h": h, "reset": r, "update": z, "candidate": candidate})
    return steps


CASES: list[Case] = [
    ("gru", {"reset": "after"}, partial(gru, reset="after")),
    ("gru", {"reset": "before"}, partial(gru, reset="before")),
]
