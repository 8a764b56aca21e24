"""Cells with one gate: MGU, JANET, UGRNN, STAR and Li-GRU.

Sources: Zhou, Wu, Zhang and Zhou, Int. J. Automation and Computing 13 (2016), 226, arXiv 1603.09420 (MGU); van der
Westhuizen and Lasenby, 2018, arXiv 1804.04849 (JANET); Collins, Sohl-Dickstein and Sussillo, ICLR 2017, arXiv
1611.09913 (UGRNN); Turkoglu, D'Aronco, Wegner and Schindler, IEEE TPAMI 2021, arXiv 1911.11033 (STAR); Ravanelli,
Brakel, Omologo and Bengio, IEEE TETCI 2 (2018), 92, arXiv 1803.10225 (Li-GRU).

All mix the old state with a candidate; x_g stands for W_g x_t + b_g:

    MGU      f = sigmoid(x_f + U_f h_{t-1})   n = tanh(x_n + U_n (f * h_{t-1}))   h = (1 - f) * h_{t-1} + f * n
    JANET    s = x_f + U_f h_{t-1}            n = tanh(x_n + U_n h_{t-1})
             h = sigmoid(s) * h_{t-1} + (1 - sigmoid(s - beta)) * n
    UGRNN    g = sigmoid(x_g + U_g h_{t-1})   n = tanh(x_n + U_n h_{t-1})         h = g * h_{t-1} + (1 - g) * n
    STAR     k = sigmoid(x_k + U_k h_{t-1})   z = tanh(x_z)                       h = tanh((1 - k) * h_{t-1} + k * z)
    Li-GRU   z = sigmoid(x_z + U_z h_{t-1})   n = relu(x_n + U_n h_{t-1})         h = z * h_{t-1} + (1 - z) * n

Differences: each cell's are in its registry entry. Where the gate takes the new value (MGU, STAR), as its paper has it,
the step also returns `keep`, the share of the old state, for probes.
"""

from __future__ import annotations

from cellwise.cells.activations import relu, sigmoid, tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell


@register_cell(
    "mgu",
    paper="Zhou et al. 2016, arXiv 1603.09420",
    equations=(
        "forget gate  f = sigmoid(W_f x + b_f + U_f h_{t-1})",
        "candidate    n = tanh(W_n x + b_n + U_n (f * h_{t-1}))",
        "output       h = (1 - f) * h_{t-1} + f * n",
    ),
    differences=("none; as in the paper, an open forget gate takes the new value, unlike an LSTM's",),
)
class MGU(Cell):
    """Minimal gated unit: a GRU (reset before the product) whose one gate both resets and updates."""

    gates = ("forget", "candidate")
    products = {"hidden": (("forget",), 1), "forget_hidden": (("candidate",), 1)}
    retention = {"h": "keep"}
    chrono = {"forget": -1}

    def step(self, x, U, s, p):
        f = sigmoid(U("hidden", s["h"])["forget"])
        n = tanh(U("forget_hidden", f * s["h"])["candidate"])
        h = (1 - f) * s["h"] + f * n
        return {"h": h}, {"forget": f, "candidate": n, "keep": 1 - f}


@register_cell(
    "janet",
    paper="van der Westhuizen and Lasenby 2018, arXiv 1804.04849",
    equations=(
        "             s = W_f x + b_f + U_f h_{t-1}",
        "forget gate  f = sigmoid(s)",
        "input gate   i = 1 - sigmoid(s - beta)",
        "candidate    n = tanh(W_n x + b_n + U_n h_{t-1})",
        "output       h = f * h_{t-1} + i * n",
    ),
    differences=(
        "one state: the paper's cell state is its output",
        "biases are drawn like any cell's; the paper uses chrono initialisation (a large forget bias)",
    ),
)
class JANET(Cell):
    """The LSTM reduced to its forget gate.

    Args:
        beta: a constant; the larger, the more of the candidate is taken, up to all of it.
    """

    gates = ("forget", "candidate")
    products = {"hidden": (gates, 1)}
    retention = {"h": "forget"}
    chrono = {"forget": 1}

    def __init__(self, *, beta: float = 1.0):
        self.beta = beta

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        f = sigmoid(u["forget"])
        i = 1 - sigmoid(u["forget"] - self.beta)
        n = tanh(u["candidate"])
        return {"h": f * s["h"] + i * n}, {"forget": f, "candidate": n, "input": i}


@register_cell(
    "ugrnn",
    paper="Collins et al. 2017, arXiv 1611.09913",
    equations=(
        "update gate  g = sigmoid(W_g x + b_g + U_g h_{t-1})",
        "candidate    n = tanh(W_n x + b_n + U_n h_{t-1})",
        "output       h = g * h_{t-1} + (1 - g) * n",
    ),
    differences=("the paper's constant gate bias (1 in TensorFlow too) is where b_g starts: update_bias",),
)
class UGRNN(Cell):
    """Update-gate recurrent network.

    Args:
        update_bias: added to the update gate's bias at initialisation; an open update gate keeps the old state.
    """

    gates = ("update", "candidate")
    products = {"hidden": (gates, 1)}
    retention = {"h": "update"}
    chrono = {"update": 1}

    def __init__(self, *, update_bias: float = 1.0):
        self.bias_offsets = {"update": update_bias}

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        g = sigmoid(u["update"])
        n = tanh(u["candidate"])
        return {"h": g * s["h"] + (1 - g) * n}, {"update": g, "candidate": n}


@register_cell(
    "star",
    paper="Turkoglu et al. 2021, arXiv 1911.11033",
    equations=(
        "update gate  k = sigmoid(W_k x + b_k + U_k h_{t-1})",
        "candidate    z = tanh(W_z x + b_z)",
        "output       h = tanh((1 - k) * h_{t-1} + k * z)",
    ),
    differences=("the paper's gate k is called update; as in the paper, it takes the new value when open",),
)
class STAR(Cell):
    """Stackable recurrent cell: the candidate sees the input alone, the mixture goes through a tanh."""

    gates = ("update", "candidate")
    products = {"hidden": (("update",), 1)}
    retention = {"h": "keep"}
    chrono = {"update": -1}

    def step(self, x, U, s, p):
        k = sigmoid(U("hidden", s["h"])["update"])
        z = tanh(x["candidate"])
        h = tanh((1 - k) * s["h"] + k * z)
        return {"h": h}, {"update": k, "candidate": z, "keep": 1 - k}


@register_cell(
    "ligru",
    paper="Ravanelli et al. 2018, arXiv 1803.10225",
    equations=(
        "update gate  z = sigmoid(W_z x + b_z + U_z h_{t-1})",
        "candidate    n = relu(W_n x + b_n + U_n h_{t-1})",
        "output       h = z * h_{t-1} + (1 - z) * n",
    ),
    differences=("without the paper's batch norm on W x, which mixes the rows of a batch; so each gate has a bias",),
)
class LiGRU(Cell):
    """Light GRU: no reset gate, a relu candidate."""

    gates = ("update", "candidate")
    products = {"hidden": (gates, 1)}
    retention = {"h": "update"}
    chrono = {"update": 1}

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        z = sigmoid(u["update"])
        n = relu(u["candidate"])
        return {"h": z * s["h"] + (1 - z) * n}, {"update": z, "candidate": n}
