"""Cells that discretise a differential equation: antisymmetric RNN, coupled oscillators, long expressive memory.

Sources: Chang, Chen, Haber and Chi, ICLR 2019, arXiv 1902.09689 (Euler's form with diffusion, and its gated form);
Rusch and Mishra, ICLR 2021, arXiv 2010.00951, equation 3 (coRNN); Rusch, Mishra, Erichson and Mahoney, ICLR 2022, arXiv
2110.04744, equation 3 (LEM).

x_g stands for W_g x_t + b_g.

    antisymmetric_rnn  dh/dt = tanh((M - M^T - gamma I) h + x_n), by Euler's forward step eps
        a = (M - M^T) h_{t-1} - gamma h_{t-1}
        i = sigmoid(x_i + a)                                  gated; else i = 1
        h = h_{t-1} + eps * i * tanh(x_n + a)
    cornn              d2y/dt2 = tanh(U y + U' dy/dt + x_n) - gamma y - epsilon dy/dt; h is y, z its velocity
        z = z_{t-1} + dt * (tanh(x_n + U [h_{t-1}, z_{t-1}]) - gamma h_{t-1} - epsilon z_{t-1})
        h = h_{t-1} + dt * z
    lem                two time scales of its own for each unit and step; h is the paper's y
        d = dt * sigmoid(x_d + U_d h_{t-1})                   e = dt * sigmoid(x_e + U_e h_{t-1})
        z = (1 - d) * z_{t-1} + d * tanh(x_z + U_z h_{t-1})
        h = (1 - e) * h_{t-1} + e * tanh(x_h + U_h z)         U_h sees the new z

Differences: weights start as every layer's (Chang et al. draw them from normal distributions). coRNN damps the old
velocity (the authors' code; the paper also allows the new one).
"""

from __future__ import annotations

from cellwise.cells.activations import join, sigmoid, tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell


@register_cell(
    "antisymmetric_rnn",
    paper="Chang et al. 2019, arXiv 1902.09689",
    equations=(
        "shared      a = (M - M^T - gamma I) h_{t-1}",
        "input gate  i = sigmoid(W_i x + b_i + a)          gated=true; else 1",
        "candidate   n = tanh(W_n x + b_n + a)",
        "output      h = h_{t-1} + eps * i * n             eps: step_size, gamma: diffusion",
    ),
    differences=(
        "weights and biases are drawn as every layer's are; the paper draws W_g and M from normal distributions",
        "step_size and diffusion have defaults; the paper tunes both for each task",
    ),
)
class AntisymmetricRNN(Cell):
    """One Euler step of a stable equation: M - M^T has no eigenvalue with a real part, so nothing explodes or fades.

    Args:
        step_size: eps, the step of Euler's method.
        diffusion: gamma, subtracted from the diagonal; it makes up for the growth that Euler's method adds.
        gated: the paper's second form: an input gate that shares the candidate's recurrent matrix.
    """

    products = {"hidden": (("shared",), 1)}
    parts = {"shared": "candidate"}
    structure = {"hidden": "antisymmetric"}

    def __init__(self, *, step_size: float = 0.1, diffusion: float = 0.01, gated: bool = False):
        self.step_size, self.diffusion, self.gated = step_size, diffusion, gated
        self.gates = ("input", "candidate") if gated else ("candidate",)

    def step(self, x, U, s, p):
        a = U("hidden", s["h"])["shared"] - self.diffusion * s["h"]
        n = tanh(x["candidate"] + a)
        if not self.gated:
            return {"h": s["h"] + self.step_size * n}, {"candidate": n}
        i = sigmoid(x["input"] + a)
        h = s["h"] + self.step_size * (i * n)
        return {"h": h}, {"input": i, "candidate": n}


@register_cell(
    "cornn",
    paper="Rusch and Mishra 2021, arXiv 2010.00951, equation 3",
    equations=(
        "force     n = tanh(W x + b + U [h_{t-1}, z_{t-1}])",
        "velocity  z = z_{t-1} + dt * (n - gamma * h_{t-1} - epsilon * z_{t-1})",
        "output    h = h_{t-1} + dt * z",
    ),
    differences=(
        "the damping sees the old velocity, as in the authors' code; the paper's equation allows the new one too",
        "dt, gamma and epsilon default to those of the authors' sequential MNIST; they tune them for each task",
    ),
)
class CoRNN(Cell):
    """A network of coupled, damped and driven oscillators; h is their position, z their velocity.

    Args:
        dt: time step.
        gamma: pull towards 0, the square of an oscillator's frequency.
        epsilon: damping.
    """

    gates = ("candidate",)
    products = {"hidden_velocity": (gates, 2)}
    states = ("h", "z")

    def __init__(self, *, dt: float = 0.042, gamma: float = 2.7, epsilon: float = 4.7):
        self.dt, self.gamma, self.epsilon = dt, gamma, epsilon

    def step(self, x, U, s, p):
        n = tanh(U("hidden_velocity", join(s["h"], s["z"]))["candidate"])
        z = s["z"] + self.dt * (n - self.gamma * s["h"] - self.epsilon * s["z"])
        h = s["h"] + self.dt * z
        return {"h": h, "z": z}, {"candidate": n}


@register_cell(
    "lem",
    paper="Rusch et al. 2022, arXiv 2110.04744, equation 3",
    equations=(
        "time step of the memory  d = dt * sigmoid(W_d x + b_d + U_d h_{t-1})",
        "time step of the output  e = dt * sigmoid(W_e x + b_e + U_e h_{t-1})",
        "memory                   z = (1 - d) * z_{t-1} + d * tanh(W_z x + b_z + U_z h_{t-1})",
        "output                   h = (1 - e) * h_{t-1} + e * tanh(W_h x + b_h + U_h z)",
    ),
    differences=("the paper calls the output y",),
)
class LEM(Cell):
    """Long expressive memory: two states, each with a learned time step for each unit.

    Args:
        dt: the largest time step.
    """

    gates = ("memory_step", "output_step", "memory_candidate", "output_candidate")
    products = {"hidden": (("memory_step", "output_step", "memory_candidate"), 1), "memory": (("output_candidate",), 1)}
    states = ("h", "z")
    retention = {"h": "output_forget", "z": "memory_forget"}
    chrono = {"memory_step": -1, "output_step": -1}

    def __init__(self, *, dt: float = 1.0):
        self.dt = dt

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        d = self.dt * sigmoid(u["memory_step"])
        e = self.dt * sigmoid(u["output_step"])
        n = tanh(u["memory_candidate"])
        z = (1 - d) * s["z"] + d * n
        m = tanh(U("memory", z)["output_candidate"])
        h = (1 - e) * s["h"] + e * m
        named = {"memory_step": d, "output_step": e, "memory_candidate": n, "output_candidate": m}
        return {"h": h, "z": z}, named | {"memory_forget": 1 - d, "output_forget": 1 - e}
