"""Gated recurrent unit, with the reset gate after or before the recurrent product.

Source: Cho et al., EMNLP 2014, arXiv 1406.1078. Its first version applies the reset gate to the product (`after`:
cuDNN, torch.nn.GRU, flax, keras by default), its third to the operand (`before`: Chung et al. 2014, haiku, ONNX by
default). They are different functions and can't be converted into each other.

    reset gate   r = sigmoid(W_r x + b_r + U_r h_{t-1})
    update gate  z = sigmoid(W_z x + b_z + U_z h_{t-1})
    candidate    n = tanh(W_n x + b_n + r * (U_n h_{t-1} + d_n))      after
                 n = tanh(W_n x + b_n + U_n (r * h_{t-1}))            before
    output       h = (1 - z) * n + z * h_{t-1}

Differences: the update gate keeps the old state, as in torch.nn and cuDNN (the paper's equation 7 too; Chung and
haiku let it take the new one: negate z's parameters to convert). One bias per gate, besides d_n, which can't be
merged.
"""

from __future__ import annotations

from typing import Literal

from cellwise.cells.activations import sigmoid, tanh
from cellwise.cells.contract import Cell, Products
from cellwise.cells.registry import register_cell


@register_cell(
    "gru",
    paper="Cho et al. 2014, arXiv 1406.1078 (v1: reset=after, v3: reset=before)",
    equations=(
        "reset gate   r = sigmoid(W_r x + b_r + U_r h_{t-1})",
        "update gate  z = sigmoid(W_z x + b_z + U_z h_{t-1})",
        "candidate    n = tanh(W_n x + b_n + r * (U_n h_{t-1} + d_n))   reset=after",
        "             n = tanh(W_n x + b_n + U_n (r * h_{t-1}))         reset=before",
        "output       h = (1 - z) * n + z * h_{t-1}",
    ),
    differences=(
        "the update gate keeps the old state (torch.nn, cuDNN); Chung et al. 2014 let it take the new one",
        "one bias per gate besides d_n, where torch.nn.GRU has two that are added",
    ),
)
class GRU(Cell):
    """Gated recurrent unit; see the equations of this module.

    Args:
        reset: whether the reset gate multiplies the recurrent product (`after`) or its operand (`before`).
    """

    gates = ("reset", "update", "candidate")
    retention = {"h": "update"}
    chrono = {"update": 1}

    def __init__(self, *, reset: Literal["after", "before"] = "after"):
        self.reset = reset
        if reset == "after":
            self.products: Products = {"hidden": (("reset", "update", "candidate_recurrent"), 1)}
            self.parts = {"candidate_recurrent": "candidate"}
            self.part_biases = ("candidate_recurrent",)
        else:
            self.products = {"hidden": (("reset", "update"), 1), "reset_hidden": (("candidate",), 1)}

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        r = sigmoid(u["reset"])
        z = sigmoid(u["update"])
        if self.reset == "after":
            n = tanh(x["candidate"] + r * u["candidate_recurrent"])
        else:
            n = tanh(U("reset_hidden", r * s["h"])["candidate"])
        h = (1 - z) * n + z * s["h"]
        return {"h": h}, {"reset": r, "update": z, "candidate": n}
