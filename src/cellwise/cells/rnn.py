"""Vanilla recurrent network.

Source: J. Elman, "Finding structure in time", Cognitive Science 14 (1990), 179-211; as in Goodfellow, Bengio and
Courville, "Deep Learning" (2016), equations 10.8 and 10.9.

Differences: one bias vector, where torch.nn.RNN has two that are added.
"""

from __future__ import annotations

from typing import Literal

from cellwise.cells.activations import relu, tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell


@register_cell(
    "rnn",
    paper="Elman 1990, Cognitive Science 14:179",
    equations=("h_t = phi(W x_t + b + U h_{t-1}), phi = tanh or relu",),
    differences=("one bias vector, where torch.nn.RNN has two that are added",),
)
class RNN(Cell):
    """h_t = phi(W x_t + b + U h_{t-1}); phi is tanh or relu.

    Args:
        nonlinearity: phi.
    """

    gates = ("candidate",)
    products = {"hidden": (("candidate",), 1)}

    def __init__(self, *, nonlinearity: Literal["tanh", "relu"] = "tanh"):
        self.nonlinearity = nonlinearity

    def step(self, x, U, s, p):
        phi = tanh if self.nonlinearity == "tanh" else relu
        n = phi(U("hidden", s["h"])["candidate"])
        return {"h": n}, {"candidate": n}
