"""How weights start: per gate, the same for every layer and direction."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cellwise.recurrent.options import InputInit, RecurrentInit


def blocks(stacked: Tensor, hidden_size: int) -> tuple[Tensor, ...]:
    """Return views of a stacked weight, one a gate, (hidden, ...) each."""
    return stacked.chunk(stacked.shape[0] // hidden_size) if stacked.numel() else ()


@torch.no_grad()
def draw_input(weight: Tensor, hidden_size: int, recipe: InputInit) -> None:
    """Draw the stacked input weight in place, (gates * hidden, input, ...).

    Args:
        weight: on images with kernel height and width.
        hidden_size: rows of a gate.
        recipe: `uniform` or `xavier`.
    """
    if not weight.numel():  # torch warns of drawing nothing
        return
    if recipe == "uniform":
        _draw_uniform(weight, hidden_size)
    else:
        for block in blocks(weight, hidden_size):
            nn.init.xavier_uniform_(block)


@torch.no_grad()
def draw_recurrent(weight: Tensor, hidden_size: int, recipe: RecurrentInit) -> None:
    """Draw a product's stacked weight in place, (names fed * hidden, width * hidden, ...).

    Args:
        weight: on images with kernel height and width; `orthogonal` then has orthogonal rows over inputs and kernel,
            `identity` is a kernel that leaves the image as it is.
        hidden_size: rows of a gate.
        recipe: `uniform`, `orthogonal` or `identity`.
    """
    if recipe == "uniform":
        _draw_uniform(weight, hidden_size)
    for block in blocks(weight, hidden_size):
        if recipe == "orthogonal":
            nn.init.orthogonal_(block)
        elif recipe == "identity":
            _identity(block)


@torch.no_grad()
def draw_bias(bias: Tensor, hidden_size: int) -> None:
    """Draw biases in place from U(-k, k), k = 1 / sqrt(hidden), as torch.nn does."""
    bound = 1 / math.sqrt(hidden_size)
    nn.init.uniform_(bias, -bound, bound)


@torch.no_grad()
def draw_extra(extra: Tensor, initial: float | tuple[float, float]) -> None:
    """Set a per-unit parameter in place, or draw it from U(low, high)."""
    if isinstance(initial, tuple):
        nn.init.uniform_(extra, *initial)
    else:
        nn.init.constant_(extra, initial)


def chrono_bias(hidden_size: int, longest: int, like: Tensor) -> Tensor:
    """Return log U(1, longest - 1), one number a unit (Tallec and Ollivier 2018, arXiv 1804.11188, equation 16)."""
    return torch.empty(hidden_size, dtype=like.dtype, device=like.device).uniform_(1, longest - 1).log()


def _draw_uniform(weight: Tensor, hidden_size: int) -> None:
    """U(-k, k), k = 1 / sqrt(hidden) as torch.nn; on images 1 / sqrt(hidden * kernel height * kernel width)."""
    bound = 1 / math.sqrt(hidden_size * math.prod(weight.shape[2:]))
    nn.init.uniform_(weight, -bound, bound)


def _identity(block: Tensor) -> None:
    nn.init.zeros_(block)
    centre = tuple((size - 1) // 2 for size in block.shape[2:])  # of an even kernel the tap that `Convolution` centres
    for unit in range(block.shape[0]):
        block[(unit, unit, *centre)] = 1.0
