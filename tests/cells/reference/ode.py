"""Chang et al. 2019, Rusch and Mishra 2021, Rusch et al. 2022: the discrete equations, in the papers' letters.

    antisymmetric  h_t = h_{t-1} + eps z_t . tanh((W - W^T - gamma I) h_{t-1} + V_h x_t + b_h)        z_t = 1, or gated:
                   z_t = sigma((W - W^T - gamma I) h_{t-1} + V_z x_t + b_z)
    coRNN          y_n = y_{n-1} + dt z_n
                   z_n = z_{n-1} + dt sigma(W y_{n-1} + W' z_{n-1} + V u_n + b) - dt gamma y_{n-1} - dt eps z_{n-1}
    LEM            dt_n = dt sigma^(W_1 y_{n-1} + V_1 u_n + b_1)      dt'_n = dt sigma^(W_2 y_{n-1} + V_2 u_n + b_2)
                   z_n = (1 - dt_n) . z_{n-1} + dt_n . sigma(W_z y_{n-1} + V_z u_n + b_z)
                   y_n = (1 - dt'_n) . y_{n-1} + dt'_n . sigma(W_y z_n + V_y u_n + b_y)

Constants are the cells' defaults. The antisymmetric matrix of an image's convolution: its transpose is the convolution
with in and out channels exchanged and the kernel turned by half a turn.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.cells.reference.maps import Map, per_unit, sigma
from tests.cells.reference.weights import Array, Case, NumpyWeights


def transpose(w: Array) -> Array:
    """The transposed linear map of a matrix (out, in), or of a convolution (out, in, k, k)."""
    turned = w.swapaxes(0, 1)
    return turned[:, :, ::-1, ::-1] if w.ndim == 4 else turned


def odd(w: Array) -> Array:
    """The same convolution with the next odd kernel, whose adjoint is an odd kernel too."""
    return np.pad(w, ((0, 0), (0, 0), (1, 0), (1, 0))) if w.ndim == 4 and w.shape[-1] % 2 == 0 else w


def antisymmetric(
    x: Array, state: dict[str, Array], w: NumpyWeights, product: Map, *, gated: bool
) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    eps, gamma = 0.1, 0.01
    h = state["h"]
    matrix = odd(w.U["candidate"]) - transpose(odd(w.U["candidate"]))
    steps = []
    for x_t in x:
        common = product(matrix, h) - gamma * h
        candidate = np.tanh(common + product(w.W["candidate"], x_t) + per_unit(w.b["candidate"], h))
        step = {"candidate": candidate}
        if gated:
            step["input"] = sigma(common + product(w.W["input"], x_t) + per_unit(w.b["input"], h))
        h = h + eps * step.get("input", 1.0) * candidate
        steps.append(step | {"h": h})
    return steps


def cornn(x: Array, state: dict[str, Array], w: NumpyWeights, product: Map) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    dt, gamma, eps = 0.042, 2.7, 4.7
    y, z = state["h"], state["z"]
    by_position, by_velocity = np.split(w.U["candidate"], 2, axis=1)
    steps = []
    for u_n in x:
        force = product(by_position, y) + product(by_velocity, z) + product(w.W["candidate"], u_n)
        force = np.tanh(force + per_unit(w.b["candidate"], y))
        z = z + dt * force - dt * gamma * y - dt * eps * z
        y = y + dt * z
        steps.append({"h": y, "z": z, "candidate": force})
    return steps


def lem(x: Array, state: dict[str, Array], w: NumpyWeights, product: Map) -> list[dict[str, Array]]:
    """Return state and gates after each step of one row; x (time, input, ...)."""
    dt = 1.0
    y, z = state["h"], state["z"]
    steps = []
    for u_n in x:

        def inside(gate: str, v: Array, u_n: Array = u_n) -> Array:
            return product(w.U[gate], v) + product(w.W[gate], u_n) + per_unit(w.b[gate], v)

        dt_n, dt_bar = dt * sigma(inside("memory_step", y)), dt * sigma(inside("output_step", y))
        by_memory = np.tanh(inside("memory_candidate", y))
        z = (1 - dt_n) * z + dt_n * by_memory
        by_output = np.tanh(inside("output_candidate", z))
        y = (1 - dt_bar) * y + dt_bar * by_output
        steps.append(
            {
                "h": y,
                "z": z,
                "memory_step": dt_n,
                "output_step": dt_bar,
                "memory_candidate": by_memory,
                "output_candidate": by_output,
                "memory_forget": 1 - dt_n,
                "output_forget": 1 - dt_bar,
            }
        )
    return steps


CASES: list[Case] = [
    ("antisymmetric_rnn", {"gated": True}, partial(antisymmetric, gated=True)),
    ("antisymmetric_rnn", {"gated": False}, partial(antisymmetric, gated=False)),
    ("cornn", {}, cornn),
    ("lem", {}, lem),
]
