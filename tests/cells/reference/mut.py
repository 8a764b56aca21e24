"""Jozefowicz et al. 2015, section 3.4: MUT1, MUT2, MUT3.

    MUT1  z = sigma(W_xz x + b_z)                       r = sigma(W_xr x + W_hr h + b_r)
          h' = tanh(W_hh (r . h) + tanh(x) + b_h) . z + h . (1 - z)
    MUT2  z = sigma(W_xz x + W_hz h + b_z)              r = sigma(x + W_hr h + b_r)
          h' = tanh(W_hh (r . h) + W_xh x + b_h) . z + h . (1 - z)
    MUT3  z = sigma(W_xz x + W_hz tanh(h) + b_z)        r = sigma(W_xr x + W_hr h + b_r)
          h' = tanh(W_hh (r . h) + W_xh x + b_h) . z + h . (1 - z)

Where a layer has weights for the bare x, because its sizes differ, W x stands for x.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights


def mut(x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, number: int) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    h = state["h"]
    steps = []
    for x_t in x:

        def bias(gate: str, h: Array = h) -> Array:
            return per_unit(w.b[gate], h)

        def mapped(gate: str, x_t: Array = x_t) -> Array:
            return product(w.W[gate], x_t)

        def bare(gate: str, x_t: Array = x_t) -> Array:
            return product(w.W[gate], x_t) if gate in w.W else x_t

        z = mapped("update") + bias("update")
        if number > 1:
            z = z + product(w.U["update"], np.tanh(h) if number == 3 else h)
        z = sigma(z)
        to_reset = bare("reset") if number == 2 else mapped("reset")
        r = sigma(to_reset + product(w.U["reset"], h) + bias("reset"))
        to_candidate = np.tanh(bare("candidate")) if number == 1 else mapped("candidate")
        candidate = np.tanh(product(w.U["candidate"], r * h) + to_candidate + bias("candidate"))
        h = candidate * z + h * (1 - z)
        steps.append({"h": h, "update": z, "reset": r, "candidate": candidate, "keep": 1 - z})
    return steps


CASES: list[Case] = [(f"mut{number}", {}, partial(mut, number=number)) for number in (1, 2, 3)]
