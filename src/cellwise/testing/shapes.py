"""Checks of shapes and dtypes."""

from __future__ import annotations

import torch
from torch import Tensor

from cellwise.testing.layers import HIDDEN, INPUT, Build, assert_close, dense, images, numbers

TIME, BATCH, LAYERS = 5, 3, 2


def check_shapes(build: Build) -> None:
    """Output (time, batch, hidden * directions), state (layers * directions, batch, hidden), of the layer's dtype."""
    states = build().states
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        layer = dense(build, dtype=dtype, num_layers=LAYERS, bidirectional=True)
        output, state = layer(numbers(TIME, BATCH, INPUT, dtype=dtype))
        _assert_form("output", output, (TIME, BATCH, 2 * HIDDEN), dtype)
        assert tuple(state) == states, f"the layer returns the states {tuple(state)}; the cell has {states}"
        for name, value in state.items():
            _assert_form(f"state {name!r}", value, (2 * LAYERS, BATCH, HIDDEN), dtype)


def check_image_shapes(build: Build) -> None:
    """Output (time, batch, hidden channels * directions, height, width); images keep their size."""
    height, width = 4, 3
    for kernel_size in (2, 3):
        layer = images(build, kernel_size, num_layers=LAYERS, bidirectional=True)
        output, state = layer(numbers(TIME, BATCH, INPUT, height, width))
        _assert_form("output", output, (TIME, BATCH, 2 * HIDDEN, height, width), torch.float64)
        for name, value in state.items():
            _assert_form(f"state {name!r}", value, (2 * LAYERS, BATCH, HIDDEN, height, width), torch.float64)


def check_output_is_first_state(build: Build) -> None:
    """At each step the output is the state that the cell names first."""
    layer = dense(build)
    first = layer.cell.states[0]
    x = numbers(TIME, BATCH, INPUT)
    output, state = layer(x)
    assert_close(f"the last state {first!r}, against the last output,", state[first][0], output[-1])
    assert_close(f"state {first!r}, against the output,", layer.trace(x).states[first][0], output)


def _assert_form(what: str, value: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    assert tuple(value.shape) == shape, f"{what} has shape {tuple(value.shape)} instead of {shape}"
    assert value.dtype == dtype, f"{what} is {value.dtype} in a layer of {dtype}"
    assert value.isfinite().all(), f"{what} is not finite in {dtype}"
