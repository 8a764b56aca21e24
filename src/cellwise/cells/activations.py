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


def exp(v: Tensor) -> Tensor:
    """Exponential function, elementwise."""
    return v.exp()


def log_sigmoid(v: Tensor) -> Tensor:
    """log(sigmoid(v)) = min(v, 0) - log(1 + exp(-|v|)), elementwise; finite where sigmoid(v) is rounded to 0.

    `minimum` halves its derivative at a tie, so that of log_sigmoid at 0, a common number where biases start at 0, is
    the right 1/2; `clamp` says 1 there.
    """
    return v.minimum(v.new_zeros(())) - (-v.abs()).exp().log1p()


def maximum(a: Tensor, b: Tensor) -> Tensor:
    """The larger of two numbers, elementwise."""
    return a.maximum(b)


def join(*tensors: Tensor) -> Tensor:
    """Lay tensors side by side along their last axis: an operand several hiddens wide."""
    from torch import cat  # here, because a list of tensors has no method to call

    return cat(tensors, dim=-1)
