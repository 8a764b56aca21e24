"""What the checks run on: small layers with random weights, random inputs, states that the cell itself reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines import ENGINES, resolve
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.recurrent.maps import Dense
from cellwise.recurrent.options import LayerOptions

Build = Callable[[], Cell]
L = TypeVar("L", Recurrent, ConvRecurrent)

INPUT, HIDDEN = 3, 4


def dense(build: Build, *, dtype: torch.dtype = torch.float64, seed: int = 1, **options: Any) -> Recurrent:
    """Return a layer of INPUT features and HIDDEN units, every parameter moved off its initial value."""
    sizes = {"input_size": INPUT, "hidden_size": HIDDEN} | options
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _moved(Recurrent(build(), **sizes).to(dtype), seed)


def images(
    build: Build, kernel_size: int, *, dtype: torch.dtype = torch.float64, seed: int = 1, **options: Any
) -> ConvRecurrent:
    """Return a convolutional layer of INPUT channels and HIDDEN hidden channels, its parameters moved likewise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _moved(ConvRecurrent(build(), INPUT, HIDDEN, kernel_size, **options).to(dtype), seed)


def numbers(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 2) -> Tensor:
    """Return standard normal numbers that depend on the shape and the seed alone."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def reached_state(layer: Recurrent | ConvRecurrent, batch: int, *image: int) -> dict[str, Tensor]:
    """Return the state after three random steps: any numbers would not do, a state may have to be positive.

    `image` is height and width, on images.
    """
    dtype = next(layer.parameters()).dtype
    x = numbers(3, batch, layer.input_size, *image, dtype=dtype, seed=7)
    with torch.no_grad():
        _, state = layer(x.transpose(0, 1) if isinstance(layer, Recurrent) and layer.batch_first else x)
    return {name: value.clone() for name, value in state.items()}


def engine_names(cell: Cell) -> list[str]:
    """Return the engines that run this cell on dense maps; the reference first."""
    return ["reference", *(name for name in ENGINES if name != "reference" and _takes(name, cell))]


def assert_close(what: str, value: Tensor, expected: Tensor, allowed: float = 1e-11) -> None:
    """Fail unless max |value - expected| / max |expected| is within what is allowed (absolute where all are 0)."""
    assert value.shape == expected.shape, f"{what} has shape {tuple(value.shape)} instead of {tuple(expected.shape)}"
    if not expected.numel():
        return
    scale = expected.detach().abs().max().item()
    difference = (value.detach() - expected.detach()).abs().max().item() / (scale or 1.0)
    assert difference <= allowed, f"{what} differs by {difference:.1e} of its size (allowed {allowed:.0e})"


def assert_all_close(
    what: str, values: Mapping[str, Tensor], expected: Mapping[str, Tensor], allowed: float = 1e-11
) -> None:
    """`assert_close` for tensors by name, which must be the same names."""
    assert list(values) == list(expected), f"{what} has {list(values)} instead of {list(expected)}"
    for name, value in values.items():
        assert_close(f"{what} {name!r}", value, expected[name], allowed)


@torch.no_grad()
def _moved(layer: L, seed: int) -> L:
    for number, parameter in enumerate(layer.parameters()):
        parameter.add_(0.3 * numbers(*parameter.shape, dtype=parameter.dtype, seed=100 * seed + number))
    return layer


def _takes(engine: str, cell: Cell) -> bool:
    try:
        return resolve(engine, cell, Dense(), LayerOptions()) == engine
    except CellwiseError:
        return False
