"""Beck et al. 2024, arXiv 2405.04517, equations 8 to 14: the sLSTM before it is stabilised, c and n as sums.

    c_t = sum_s w_s z_s      n_t = sum_s w_s      h_t = o_t c_t / n_t      w_s = exp(i~_s + sum_{s<r<=t} log f_r)

f = sigma(f~) or exp(f~). There is no m here: the stabilised states are c_t exp(-m_t) and n_t exp(-m_t), where m_t is by
definition the largest exponent so far. A given state enters as one more term, of exponent m_0.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights


def slstm(x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, forget: str) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    h, m = state["h"], state["m"]
    exponents, for_c, for_n = [m], [state["c"]], [state["n"]]
    steps = []
    for x_t in x:

        def tilde(gate: str, x_t: Array = x_t, h: Array = h) -> Array:
            return product(w.W[gate], x_t) + product(w.U[gate], h) + per_unit(w.b[gate], h)

        f = sigma(tilde("forget")) if forget == "sigmoid" else np.exp(tilde("forget"))
        z, o = np.tanh(tilde("candidate")), sigma(tilde("output"))
        exponents = [*(exponent + np.log(f) for exponent in exponents), tilde("input")]
        for_c.append(z)
        for_n.append(np.ones_like(z))
        c = sum(np.exp(exponent) * value for exponent, value in zip(exponents, for_c, strict=True))
        n = sum(np.exp(exponent) * value for exponent, value in zip(exponents, for_n, strict=True))
        before, m = m, np.max(exponents, axis=0)
        scale = np.exp(-m)
        gates = {"input": np.exp(tilde("input")) * scale, "forget": f * np.exp(before) * scale}
        h = o * c / n
        steps.append({"h": h, "c": c * scale, "n": n * scale, "m": m, "candidate": z, "output": o} | gates)
    return steps


CASES: list[Case] = [
    ("slstm", {"forget": forget}, partial(slstm, forget=forget)) for forget in ("sigmoid", "exponential")
]
