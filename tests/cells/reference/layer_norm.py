"""Ba et al. 2016, arXiv 1607.06450, equations 3 and 4, as haste, fastrnns and TensorFlow's contrib place them.

The pre-activations of all gates are one vector, gate after gate, as in those libraries: LN(v) = gain . (v - mean(v)) /
sqrt(var(v) + eps) over the whole vector (`stacked`), or over each gate's slice of it (`per_gate`). Channels are first:
on images every pixel has its own mean and variance.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights

EPS = 1e-5


def layer_norm(v: Array, gain: Array) -> Array:
    """Normalise over the first axis."""
    normalised: Array = (v - np.mean(v, axis=0)) / np.sqrt(np.var(v, axis=0) + EPS)
    return per_unit(gain, v) * normalised


def layer_norm_gates(stacked: Array, gain: Array, gates: int, scope: str) -> Array:
    """Normalise (gates * units, ...) over its first axis, as a whole or gate by gate."""
    if scope == "stacked":
        return layer_norm(stacked, gain)
    pieces = zip(np.split(stacked, gates), np.split(gain, gates), strict=True)
    return np.concatenate([layer_norm(piece, its_gain) for piece, its_gain in pieces])


def layer_norm_lstm(
    x: Array,
    state: dict[str, Array],
    w: NumpyWeights,
    product: Map,
    *,
    norm_scope: str,
    norm_parts: str,
    norm_cell: str,
) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    gates = ("input", "forget", "candidate", "output")
    W, U, b = (np.concatenate([of[gate] for gate in gates]) for of in (w.W, w.U, w.b))
    h, c = state["h"], state["c"]

    def gains(prefix: str) -> Array:
        return np.concatenate([w.p[f"{prefix}gain_{gate}"] for gate in gates])

    def read(c: Array) -> Array:
        return layer_norm(c, w.p["cell_gain"]) + per_unit(w.p["cell_shift"], c)

    steps = []
    for x_t in x:
        wx, uh = product(W, x_t), product(U, h)
        if norm_parts == "summed":
            v = layer_norm_gates(wx + uh, gains(""), 4, norm_scope)
        else:
            v = layer_norm_gates(wx, gains("input_"), 4, norm_scope)
            v = v + layer_norm_gates(uh, gains("recurrent_"), 4, norm_scope)
        v_i, v_f, v_z, v_o = np.split(v + per_unit(b, v), 4)
        i, f, z, o = sigma(v_i), sigma(v_f), np.tanh(v_z), sigma(v_o)
        c = f * c + i * z
        if norm_cell == "carried":
            c = read(c)
        h = o * np.tanh(read(c) if norm_cell == "readout" else c)
        steps.append({"h": h, "c": c, "input": i, "forget": f, "candidate": z, "output": o})
    return steps


def layer_norm_gru(
    x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, norm_scope: str
) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    gates = ("update", "reset", "candidate")
    W, U, b = (np.concatenate([of[gate] for gate in gates]) for of in (w.W, w.U, w.b))
    input_gain, recurrent_gain = (
        np.concatenate([w.p[f"{share}_gain_{gate}"] for gate in gates]) for share in ("input", "recurrent")
    )
    h = state["h"]
    steps = []
    for x_t in x:
        vx = layer_norm_gates(product(W, x_t), input_gain, 3, norm_scope)
        vx = vx + per_unit(b, vx)
        vh = layer_norm_gates(product(U, h), recurrent_gain, 3, norm_scope)
        (x_z, x_r, x_n), (h_z, h_r, h_n) = np.split(vx, 3), np.split(vh, 3)
        z, r = sigma(x_z + h_z), sigma(x_r + h_r)
        n = np.tanh(x_n + r * (h_n + per_unit(w.p["recurrent_shift_candidate"], h_n)))
        h = z * h + (1 - z) * n
        steps.append({"h": h, "reset": r, "update": z, "candidate": n})
    return steps


_SCOPES, _PARTS, _CELLS = ("stacked", "per_gate"), ("separate", "summed"), ("none", "readout", "carried")
_LSTM_OPTIONS: list[dict[str, Any]] = [
    {"norm_scope": scope, "norm_parts": parts, "norm_cell": cell}
    for scope, parts, cell in itertools.product(_SCOPES, _PARTS, _CELLS)
]

CASES: list[Case] = [
    *(("layer_norm_lstm", options, partial(layer_norm_lstm, **options)) for options in _LSTM_OPTIONS),
    *(("layer_norm_gru", {"norm_scope": scope}, partial(layer_norm_gru, norm_scope=scope)) for scope in _SCOPES),
]
