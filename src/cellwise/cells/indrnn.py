"""Independently recurrent network: each unit sees its own past alone.

Source: Li, Li, Cook, Zhu and Gao, CVPR 2018, 5457, arXiv 1803.04831.

    h = phi(W x_t + b + u * h_{t-1})

u has one number a unit. The paper keeps |u| at most 2^(1/T) for T steps, so that a relu's state and gradient stay
bounded, and starts it uniform.

Differences: u starts uniform in [0, 1), without the bound during training, which is the optimiser's affair; no batch
norm between layers.
"""

from __future__ import annotations

from typing import Literal

from cellwise.cells.activations import relu, tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell


@register_cell(
    "indrnn",
    paper="Li et al. 2018, arXiv 1803.04831",
    equations=("h_t = phi(W x_t + b + u * h_{t-1}), phi = relu or tanh",),
    differences=(
        "u starts uniform between 0 and 1 whatever the number of steps T, and is not held below 2^(1/T) in training",
        "no batch norm between layers",
    ),
)
class IndRNN(Cell):
    """h_t = phi(W x_t + b + u * h_{t-1}), u one number a unit.

    Args:
        nonlinearity: phi.
    """

    gates = ("candidate",)
    extras = {"recurrent": (0.0, 1.0)}

    def __init__(self, *, nonlinearity: Literal["relu", "tanh"] = "relu"):
        self.nonlinearity = nonlinearity

    def step(self, x, U, s, p):
        phi = relu if self.nonlinearity == "relu" else tanh
        n = phi(x["candidate"] + p["recurrent"] * s["h"])
        return {"h": n}, {"candidate": n}
