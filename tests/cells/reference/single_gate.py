"""MGU, JANET, UGRNN, STAR and Li-GRU, each from its paper.

Zhou et al. 2016         f = sigma(W_f [h, x] + b_f)     h~ = tanh(W_h [f . h, x] + b_h)   h' = (1 - f) . h + f . h~
van der Westhuizen and   s = U_f h + W_f x + b_f         c~ = tanh(U_c h + W_c x + b_c)
Lasenby 2018             c' = sigma(s) . c + (1 - sigma(s - beta)) . c~                    h' = c'
Collins et al. 2017      c = tanh(W_ch h + W_cx x + b_c)    g = sigma(W_gh h + W_gx x + b_g)
                         h' = g . h + (1 - g) . c
Turkoglu et al. 2021     k = sigma(W_x x + W_h h + b_k)  z = tanh(W_z x + b_z)   h' = tanh((1 - k) . h + k . z)
Ravanelli et al. 2018    z = sigma(W_z x + U_z h + b_z)  h~ = relu(W_h x + U_h h + b_h)    h' = z . h + (1 - z) . h~
                         (the paper's batch norm of W x left out)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights

Share = Callable[[str], Array]


def _run(
    x: Array,
    state: dict[str, Array],
    w: NumpyWeights,
    product: Map,
    *,
    step: Callable[[Array, Share, Callable[[str, Array], Array]], dict[str, Array]],
) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    h = state["h"]
    steps = []
    for x_t in x:

        def share(gate: str, x_t: Array = x_t, h: Array = h) -> Array:
            return product(w.W[gate], x_t) + per_unit(w.b[gate], h)

        def both(gate: str, v: Array, share: Share = share) -> Array:
            return share(gate) + product(w.U[gate], v)

        found = step(h, share, both)
        h = found["h"]
        steps.append(found)
    return steps


def _mgu(h: Array, share: Share, both: Callable[[str, Array], Array]) -> dict[str, Array]:
    f = sigma(both("forget", h))
    candidate = np.tanh(both("candidate", f * h))
    return {"h": (1 - f) * h + f * candidate, "forget": f, "candidate": candidate, "keep": 1 - f}


def _janet(h: Array, share: Share, both: Callable[[str, Array], Array]) -> dict[str, Array]:
    s, beta = both("forget", h), 1.0
    candidate = np.tanh(both("candidate", h))
    taken = 1 - sigma(s - beta)
    return {"h": sigma(s) * h + taken * candidate, "forget": sigma(s), "candidate": candidate, "input": taken}


def _ugrnn(h: Array, share: Share, both: Callable[[str, Array], Array]) -> dict[str, Array]:
    c, g = np.tanh(both("candidate", h)), sigma(both("update", h))
    return {"h": g * h + (1 - g) * c, "update": g, "candidate": c}


def _star(h: Array, share: Share, both: Callable[[str, Array], Array]) -> dict[str, Array]:
    k, z = sigma(both("update", h)), np.tanh(share("candidate"))
    return {"h": np.tanh((1 - k) * h + k * z), "update": k, "candidate": z, "keep": 1 - k}


def _ligru(h: Array, share: Share, both: Callable[[str, Array], Array]) -> dict[str, Array]:
    z = sigma(both("update", h))
    candidate = np.maximum(both("candidate", h), 0)
    return {"h": z * h + (1 - z) * candidate, "update": z, "candidate": candidate}


CASES: list[Case] = [
    ("mgu", {}, partial(_run, step=_mgu)),
    ("janet", {}, partial(_run, step=_janet)),
    ("ugrnn", {}, partial(_run, step=_ugrnn)),
    ("star", {}, partial(_run, step=_star)),
    ("ligru", {}, partial(_run, step=_ligru)),
]
