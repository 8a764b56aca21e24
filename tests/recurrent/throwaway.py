"""Cells of no use but to show what the contract carries beyond the registered ones."""

from __future__ import annotations

from typing import Any

import torch

from cellwise.cells.activations import sigmoid, tanh
from cellwise.cells.contract import Cell, Gates, State

_WIDE = {
    "both": (("update", "candidate_recurrent"), 2),  # an operand two hiddens wide, and a part beside a gate
    "gated": (("candidate",), 1),  # a product of what the first one decided
}


class TwoProducts(Cell):
    """Two products in turn, an operand of two hiddens, a part with its own bias, an extra that starts at 1."""

    gates = ("update", "candidate")
    products = _WIDE
    states = ("h", "m")
    parts = {"candidate_recurrent": "candidate"}  # noqa: RUF012 - a cell's data, never written to
    part_biases = ("candidate_recurrent",)
    extras = {"gain": 1.0}  # noqa: RUF012
    retention = {"h": "update"}  # noqa: RUF012

    def step(self, x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        u = U("both", torch.cat([s["h"], s["m"]], dim=-1))
        z = sigmoid(u["update"])
        n = tanh(U("gated", z * s["h"])["candidate"] + p["gain"] * tanh(u["candidate_recurrent"]) * x["candidate"])
        h = z * s["h"] + (1 - z) * n
        return {"h": h, "m": 0.5 * (s["m"] + h * n)}, {"update": z, "candidate": n}


class NormalisedChannels(Cell):
    """A reduction over units, a gate that no product feeds, and a state that starts at 2."""

    gates = ("forget", "candidate")
    products = {"hidden": (("candidate",), 1)}  # noqa: RUF012
    states = ("h", "weight")
    initial = {"weight": 2.0}  # noqa: RUF012
    retention = {"weight": "forget"}  # noqa: RUF012

    def step(self, x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        v = U("hidden", s["h"])["candidate"]
        v = v - v.mean(dim=-1, keepdim=True)
        n = tanh(v / (v.square().mean(dim=-1, keepdim=True) + 0.1).sqrt())
        f = sigmoid(x["forget"])
        weight = f * s["weight"] + 1
        return {"h": s["h"] + (n - s["h"]) / weight, "weight": weight}, {"forget": f, "candidate": n}


THROWAWAY = [TwoProducts, NormalisedChannels]
