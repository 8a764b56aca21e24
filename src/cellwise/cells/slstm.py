"""sLSTM: the LSTM with exponential gates and a state that normalises them.

Source: Beck et al., "xLSTM: Extended Long Short-Term Memory", NeurIPS 2024, arXiv 2405.04517, section 2.2 (equations
8 to 17; the stabiliser is equations 15 to 17). u_g stands for W_g x_t + b_g + U_g h_{t-1}:

    (1) log forget gate  log f = log sigmoid(u_f), or u_f          forget=sigmoid, forget=exponential
    (2) stabiliser       m = max(log f + m_{t-1}, u_i)
    (3) input gate       i = exp(u_i - m)
    (4) forget gate      f = exp(log f + m_{t-1} - m)
    (5) candidate        z = tanh(u_z)
    (6) cell state       c = f * c_{t-1} + i * z
    (7) normaliser       n = f * n_{t-1} + i
    (8) output gate      o = sigmoid(u_o)
    (9) output           h = o * c / n

Without m, i = exp(u_i) overflows; with it, c and n are both smaller by exp(m), and h, their quotient, is the same.
One of (3) and (4) is exactly 1 at every step, so n never falls below 1 once it was there, and (9) never divides by 0.

Differences: one head, so the recurrent matrices are full (the paper's are block-diagonal, a block a head); no
convolution, group norm or projections, which are the paper's block around the cell. The authors' code starts with
m = 0 and treats n = 0 as a special case, m = u_i; here m starts at -30000, and (2) itself then says m = u_i.
"""

from __future__ import annotations

from typing import Literal

from cellwise.cells.activations import exp, log_sigmoid, maximum, sigmoid, tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell

# Stands for the logarithm of an empty memory, -inf: below every u_i - log f at the first step, so that m = u_i there.
# float16 ends at -65504, so it is finite in every type, and leaves room below it for log f.
_EMPTY = -30000.0


@register_cell(
    "slstm",
    paper="Beck et al. 2024 (xLSTM), arXiv 2405.04517, section 2.2",
    equations=(
        "(1) log forget gate  log f = log sigmoid(W_f x + b_f + U_f h_{t-1})   forget=exponential: without log sigmoid",
        "(2) stabiliser       m = max(log f + m_{t-1}, u_i), u_i = W_i x + b_i + U_i h_{t-1}",
        "(3) input gate       i = exp(u_i - m)",
        "(4) forget gate      f = exp(log f + m_{t-1} - m)",
        "(5) candidate        z = tanh(W_z x + b_z + U_z h_{t-1})",
        "(6) cell state       c = f * c_{t-1} + i * z",
        "(7) normaliser       n = f * n_{t-1} + i",
        "(8) output gate      o = sigmoid(W_o x + b_o + U_o h_{t-1})",
        "(9) output           h = o * c / n",
    ),
    differences=(
        "one head: full recurrent matrices, where the paper's are block-diagonal",
        "the cell alone: the paper's block adds a convolution, group norm and projections",
        "m starts at -30000, which gives the authors' special case of the first step (m = u_i) without a case",
        "biases and weights are drawn as every layer's are, the forget gate's bias forget_bias higher; the authors' "
        "code spreads it from 5 to -7 over the units and starts recurrent weights at 0",
        "an input gate's pre-activation below -30000 at the first step is 0 / 0",
        "zoneout and a learned start take h alone: c, n and m have one common scale",
    ),
)
class SLSTM(Cell):
    """Scalar LSTM with exponential gating, equations (1) to (9) of this module.

    Args:
        forget: what the forget gate is; the paper allows both, its code has the sigmoid.
        forget_bias: added to the forget gate's bias at initialisation.
    """

    gates = ("input", "forget", "candidate", "output")
    products = {"hidden": (gates, 1)}
    states = ("h", "c", "n", "m")
    initial = {"m": _EMPTY}
    retention = {"c": "forget", "n": "forget"}
    free_states = ("h",)

    def __init__(self, *, forget: Literal["sigmoid", "exponential"] = "sigmoid", forget_bias: float = 1.0):
        self.forget = forget
        self.bias_offsets = {"forget": forget_bias}
        # A large bias keeps where the gate ends at 1; exponential, it would let the old grow without end.
        self.chrono = {"forget": 1} if forget == "sigmoid" else {}

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        log_f = log_sigmoid(u["forget"]) if self.forget == "sigmoid" else u["forget"]  # (1)
        old = log_f + s["m"]
        m = maximum(old, u["input"])  # (2)
        i = exp(u["input"] - m)  # (3)
        f = exp(old - m)  # (4)
        z = tanh(u["candidate"])  # (5)
        c = f * s["c"] + i * z  # (6)
        n = f * s["n"] + i  # (7)
        o = sigmoid(u["output"])  # (8)
        h = o * (c / n)  # (9)
        return {"h": h, "c": c, "n": n, "m": m}, {"input": i, "forget": f, "candidate": z, "output": o}
