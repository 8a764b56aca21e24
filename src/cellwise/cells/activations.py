"""The nonlinearities as functions, so that a step reads like its formula.

They call the method of whatever they are given. So no file of equations imports torch, and listing, planning and
hashing cells costs nothing; a step works the same on tensors, on traced values and on anything tensor-like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def sigmoid(v: Tensor) -> Tensor:
    """Logistic function 1 / (1 + exp(-v)), elementwise."""
    return v.sigmoid()


def tanh(v: Tensor) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    return v.tanh()


def relu(v: Tensor) -> Tensor:
    """max(v, 0), elementwise."""
    return v.relu()
