"""Greff et al. 2017, arXiv 1503.04069, section III: the vanilla LSTM with one change each.

z = g(W_z x + R_z y + b_z)                          g = tanh      NIAF: g(x) = x
i = sigma(W_i x + R_i y + p_i . c + b_i)                          NIG: i = 1
f = sigma(W_f x + R_f y + p_f . c + b_f)                          NFG: f = 1
c' = z . i + c . f
o = sigma(W_o x + R_o y + p_o . c' + b_o)                         NOG: o = 1
y' = h(c') . o                                      h = tanh      NOAF: h(x) = x

FGR: + R_ii i + R_fi f + R_oi o inside i, + R_if i + R_ff f + R_of o inside f, + R_io i + R_fo f + R_oo o inside o,
where i, f, o are those of the step before. A gate's matrices lie side by side: R, then those of i, f, o.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights


def greff(x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, variant: str) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    y, c = state["h"], state["c"]
    units = len(y)
    absent = {"NIG": "input", "NFG": "forget", "NOG": "output"}.get(variant)
    before = {gate: state[f"{gate}_gate"] for gate in ("input", "forget", "output")} if variant == "FGR" else {}
    steps = []
    for x_t in x:

        def block(gate: str, x_t: Array = x_t, y: Array = y) -> Array:
            return product(w.W[gate], x_t) + product(w.U[gate][:, :units], y) + per_unit(w.b[gate], y)

        def from_gates(gate: str, before: dict[str, Array] = before) -> Array | float:
            matrices = np.split(w.U[gate], 4, axis=1)[1:] if before else []
            return sum((product(R, value) for R, value in zip(matrices, before.values(), strict=True)), start=0.0)

        def peep(gate: str, c: Array) -> Array:
            return per_unit(w.p[f"peephole_{gate}"], c) * c

        one = np.ones_like(c)
        z = block("candidate") if variant == "NIAF" else np.tanh(block("candidate"))
        i = one if variant == "NIG" else sigma(block("input") + peep("input", c) + from_gates("input"))
        f = one if variant == "NFG" else sigma(block("forget") + peep("forget", c) + from_gates("forget"))
        c = z * i + c * f
        o = one if variant == "NOG" else sigma(block("output") + peep("output", c) + from_gates("output"))
        y = c * o if variant == "NOAF" else np.tanh(c) * o
        step = {"h": y, "c": c, "input": i, "forget": f, "candidate": z, "output": o}
        steps.append({name: value for name, value in step.items() if name != absent})
        if variant == "FGR":
            before = {"input": i, "forget": f, "output": o}
            steps[-1] |= {f"{gate}_gate": value for gate, value in before.items()}
    return steps


CASES: list[Case] = [
    ("no_input_gate_lstm", {}, partial(greff, variant="NIG")),
    ("no_forget_gate_lstm", {}, partial(greff, variant="NFG")),
    ("no_output_gate_lstm", {}, partial(greff, variant="NOG")),
    ("no_input_activation_lstm", {}, partial(greff, variant="NIAF")),
    ("no_output_activation_lstm", {}, partial(greff, variant="NOAF")),
    ("full_gate_recurrence_lstm", {}, partial(greff, variant="FGR")),
]
