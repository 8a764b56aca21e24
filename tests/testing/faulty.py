"""A cell with a fault in its step, for the tests of the checks."""

from __future__ import annotations

from typing import Any

import torch

from cellwise.cells.activations import tanh
from cellwise.cells.contract import Cell


class Faulty(Cell):
    """A vanilla cell whose step is `fault` with the candidate, or what a test puts in its place."""

    gates = ("candidate",)

    def __init__(self, step: Any, **data: Any):
        self.products = {"hidden": (("candidate",), 1)}
        for name, value in data.items():
            setattr(self, name, value)
        self._step = step

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        return self._step(x, U, s, p)


def candidate(U: Any, h: torch.Tensor) -> torch.Tensor:
    return tanh(U("hidden", h)["candidate"])


def right(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"])
    return {"h": h}, {"candidate": h}


def counter() -> Any:
    """Return a step that depends on how often it was called."""
    calls: list[None] = []

    def remembers_calls(x: Any, U: Any, s: Any, p: Any) -> Any:
        calls.append(None)
        h = candidate(U, s["h"]) * len(calls)
        return {"h": h}, {"candidate": h}

    return remembers_calls
