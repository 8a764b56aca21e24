"""Minimal GRU and LSTM: gates that see the input alone, so that all steps can be computed at once.

Source: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, "Were RNNs all we needed?", arXiv 2410.01201v1 (2024), sections
3.1 (minGRU) and 3.2 (minLSTM, its gates normalised); appendix B.3 for the positive candidate.

x_g stands for W_g x_t + b_g:

    minimal_gru   z = sigmoid(x_z)
                  h = (1 - z) * h_{t-1} + z * g(x_n)
    minimal_lstm  f = sigmoid(x_f), i = sigmoid(x_i), then f' = f / (f + i), i' = i / (f + i)
                  h = f' * h_{t-1} + i' * g(x_n)
    candidate     g(v) = v                                            linear
                  g(v) = v + 0.5 for v >= 0, sigmoid(v) for v < 0     positive

Differences: f' is computed as sigmoid(log f - log i), which is the same number, and no 0 / 0 where both gates are
rounded to 0. Beware that minimal_gru's update gate takes the new (as the paper's), while `gru`'s keeps the old.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cellwise.cells.activations import log_sigmoid, sigmoid
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell

if TYPE_CHECKING:
    from torch import Tensor

_CANDIDATE = (
    "candidate    n = W_n x + b_n                                      candidate=linear",
    "             n = v + 0.5 for v >= 0, sigmoid(v) for v < 0         candidate=positive, v = W_n x + b_n",
)
_FORMS = "linear is the paper's main text; positive its appendix B.3, which computes in logarithms"


def _positive(v: Tensor) -> Tensor:
    """The positive candidate: v + 0.5 for v >= 0, sigmoid(v) for v < 0; continuous, increasing, above 0."""
    up, down = (
        (v + v.abs()) / 2,
        (v - v.abs()) / 2,
    )  # relu's derivative would be 0 at 0, where it is 1 above and 1/4 below
    return up + sigmoid(down)


@register_cell(
    "minimal_gru",
    paper="Feng et al. 2024, arXiv 2410.01201, section 3.1",
    equations=(
        "update gate  z = sigmoid(W_z x + b_z)",
        *_CANDIDATE,
        "output       h = (1 - z) * h_{t-1} + z * n",
    ),
    differences=(_FORMS, "the update gate takes the new state, as in the paper; gru's keeps the old one"),
)
class MinimalGRU(Cell):
    """The GRU without reset gate, without tanh, and with no gate that looks at the state.

    Args:
        candidate: `linear`, or `positive`: a candidate above 0, so that h stays above 0.
    """

    gates = ("update", "candidate")
    retention = {"h": "forget"}
    chrono = {"update": -1}
    affine = True

    def __init__(self, *, candidate: Literal["linear", "positive"] = "linear"):
        self.candidate = candidate

    def step(self, x, U, s, p):
        z = sigmoid(x["update"])
        n = x["candidate"] if self.candidate == "linear" else _positive(x["candidate"])
        h = (1 - z) * s["h"] + z * n
        return {"h": h}, {"update": z, "candidate": n, "forget": 1 - z}


@register_cell(
    "minimal_lstm",
    paper="Feng et al. 2024, arXiv 2410.01201, section 3.2",
    equations=(
        "forget gate  f = sigmoid(W_f x + b_f), then f' = f / (f + i)",
        "input gate   i = sigmoid(W_i x + b_i), then i' = i / (f + i)",
        *_CANDIDATE,
        "output       h = f' * h_{t-1} + i' * n",
    ),
    differences=(
        _FORMS,
        "the gates in a trace are the normalised ones, f' and i'",
        "f' is computed as sigmoid(log f - log i): the same number, and never 0 / 0",
    ),
)
class MinimalLSTM(Cell):
    """The LSTM without output gate, without tanh, with no gate that looks at the state, and gates that sum to one.

    Args:
        candidate: `linear`, or `positive`: a candidate above 0, so that h stays above 0.
        forget_bias: added to the forget gate's bias at initialisation (the paper's appendix varies it).
    """

    gates = ("input", "forget", "candidate")
    retention = {"h": "forget"}
    chrono = {"forget": 1, "input": -1}
    affine = True

    def __init__(self, *, candidate: Literal["linear", "positive"] = "linear", forget_bias: float = 0.0):
        self.candidate = candidate
        self.bias_offsets = {"forget": forget_bias}

    def step(self, x, U, s, p):
        odds = log_sigmoid(x["forget"]) - log_sigmoid(x["input"])  # log(f / i)
        f, i = sigmoid(odds), sigmoid(-odds)
        n = x["candidate"] if self.candidate == "linear" else _positive(x["candidate"])
        h = f * s["h"] + i * n
        return {"h": h}, {"input": i, "forget": f, "candidate": n}
