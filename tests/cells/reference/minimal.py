"""Feng et al. 2024, arXiv 2410.01201: minGRU (3.1), minLSTM (3.2) with f' = f / (f + i), and g of appendix B.3.

Not step by step, but solved: h_t = prod_{s<=t} a_s h_0 + sum_s (prod_{s<r<=t} a_r) b_s, with a_t and b_t from x_t.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights


def minimal(
    x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, lstm: bool, positive: bool
) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    start = state["h"]

    def linear(gate: str) -> Array:
        return np.stack([product(w.W[gate], x_t) + per_unit(w.b[gate], start) for x_t in x])

    v = linear("candidate")
    candidate = np.where(v >= 0, v + 0.5, sigma(v)) if positive else v
    if lstm:
        f, i = sigma(linear("forget")), sigma(linear("input"))
        gates = {"forget": f / (f + i), "input": i / (f + i)}
        added = gates["input"]
    else:
        added = sigma(linear("update"))
        gates = {"forget": 1 - added, "update": added}
    kept = gates["forget"]
    steps = []
    for t in range(len(x)):
        h = kept[: t + 1].prod(axis=0) * start
        h = h + sum(kept[s + 1 : t + 1].prod(axis=0) * added[s] * candidate[s] for s in range(t + 1))
        steps.append({"h": h, "candidate": candidate[t]} | {name: value[t] for name, value in gates.items()})
    return steps


CASES: list[Case] = [
    (name, {"candidate": candidate}, partial(minimal, lstm=name == "minimal_lstm", positive=candidate == "positive"))
    for name in ("minimal_gru", "minimal_lstm")
    for candidate in ("linear", "positive")
]
