"""The vanilla LSTM of Greff et al. 2017, section III (block input z, gates i, f, o, peepholes p), and variants.

    z = tanh(W_z x + R_z y + b_z)            i = sigma(W_i x + R_i y + p_i . c + b_i)
    f = sigma(W_f x + R_f y + p_f . c + b_f)   (coupled: f = 1 - i)
    c' = z . i + c . f                        o = sigma(W_o x + R_o y + p_o . c' + b_o)      y' = tanh(c') . o

On images this is equation 3 of Shi et al. 2015, with one peephole a channel.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights


def lstm(
    x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, peepholes: bool, coupled: bool
) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    y, c = state["h"], state["c"]
    steps = []
    for x_t in x:

        def block(gate: str, x_t: Array = x_t, y: Array = y) -> Array:
            return product(w.W[gate], x_t) + product(w.U[gate], y) + per_unit(w.b[gate], y)

        def peep(gate: str, c: Array) -> Array | float:
            return per_unit(w.p[f"peephole_{gate}"], c) * c if peepholes else 0.0

        z = np.tanh(block("candidate"))
        i = sigma(block("input") + peep("input", c))
        f = 1 - i if coupled else sigma(block("forget") + peep("forget", c))
        c = z * i + c * f
        o = sigma(block("output") + peep("output", c))
        y = np.tanh(c) * o
        steps.append({"h": y, "c": c, "input": i, "forget": f, "candidate": z, "output": o})
    return steps


CASES: list[Case] = [
    ("lstm", {}, partial(lstm, peepholes=False, coupled=False)),
    ("peephole_lstm", {}, partial(lstm, peepholes=True, coupled=False)),
    ("coupled_lstm", {"peepholes": True}, partial(lstm, peepholes=True, coupled=True)),
    ("coupled_lstm", {"peepholes": False}, partial(lstm, peepholes=False, coupled=True)),
]
