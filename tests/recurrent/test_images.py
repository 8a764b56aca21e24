"""Recurrent layers on images: where the kernel looks, whatever the image's size, against explicit padding, onnxruntime
and simple cases that can be told by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import images, numbers
from tests.cells.onnx_operator import operator_weights, run_operator

TIME, BATCH, HEIGHT, WIDTH = 4, 2, 5, 4


def pointwise(name: str, **options: Any) -> tuple[ConvRecurrent, Recurrent]:
    """A layer of 1 x 1 kernels, and the dense layer of the same weights."""
    conv = images(lambda: build_cell(name, options), 1, dtype=torch.float32)
    dense = Recurrent(name, conv.input_size, conv.hidden_size, **options)
    weights = {key: value.reshape(value.shape[:2]) for key, value in conv.state_dict().items()}
    dense.load_state_dict(weights)
    return conv, dense


def per_pixel(x: Tensor) -> Tensor:
    """(time, batch, units, height, width) as a batch of pixels, (time, batch * height * width, units)."""
    return x.permute(0, 1, 3, 4, 2).flatten(1, 3)


@pytest.mark.parametrize(
    ("name", "options", "op", "attributes"),
    [
        ("lstm", {}, "LSTM", {}),
        ("peephole_lstm", {}, "LSTM", {}),
        ("coupled_lstm", {"peepholes": True}, "LSTM", {"input_forget": 1}),
        ("gru", {"reset": "before"}, "GRU", {"linear_before_reset": 0}),
        ("gru", {"reset": "after"}, "GRU", {"linear_before_reset": 1}),
    ],
)
def test_a_layer_of_1x1_kernels_is_onnxs_operator_at_each_pixel(
    name: str, options: dict[str, Any], op: str, attributes: dict[str, Any]
) -> None:
    """So a peephole is one number a channel, the same at each pixel (Shi et al. 2015: 3 * hidden of them)."""
    conv, dense = pointwise(name, **options)
    x = numbers(TIME, BATCH, conv.input_size, HEIGHT, WIDTH, dtype=torch.float32)
    start = {
        state: 0.5 * numbers(1, BATCH, conv.hidden_size, HEIGHT, WIDTH, dtype=torch.float32, seed=70 + n)
        for n, state in enumerate(conv.cell.states)
    }
    feeds = {"X": per_pixel(x).numpy(), **operator_weights(op, dense)}
    feeds |= {f"initial_{state}": per_pixel(value).numpy() for state, value in start.items()}
    expected = run_operator(op, attributes, **feeds)
    with torch.no_grad():
        output, last = conv(x, start)
    np.testing.assert_allclose(per_pixel(output).numpy(), expected["Y"][:, 0], rtol=0, atol=1e-6)
    for state, value in last.items():
        np.testing.assert_allclose(per_pixel(value).numpy(), expected[f"Y_{state}"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["rnn", "lstm", "peephole_lstm", "gru"])
def test_one_layer_runs_on_images_of_any_size(name: str) -> None:
    layer = images(lambda: build_cell(name), 3)
    for height, width in ((5, 4), (1, 7), (12, 9)):
        output, state = layer(numbers(TIME, BATCH, layer.input_size, height, width))
        assert output.shape == (TIME, BATCH, layer.hidden_size, height, width)
        assert {value.shape for value in state.values()} == {(1, BATCH, layer.hidden_size, height, width)}
    sizes = {size for parameter in layer.parameters() for size in parameter.shape}
    gates = len(layer.cell.gates) * layer.hidden_size
    widths = {len(feeds) * layer.hidden_size for feeds, _ in layer.cell.products.values()}
    assert sizes <= {layer.input_size, layer.hidden_size, gates, *widths, 3}  # units and kernels, no image


def test_far_from_the_border_a_larger_image_changes_nothing() -> None:
    """Three steps of 3 x 3 kernels see as far as three pixels; farther in, the crop's border is not felt."""
    layer = images(lambda: build_cell("peephole_lstm"), 3)
    x = numbers(3, 1, layer.input_size, 16, 16)
    whole, crop = layer(x)[0], layer(x[..., 2:-2, 2:-2])[0]
    torch.testing.assert_close(crop[..., 3:-3, 3:-3], whole[..., 5:-5, 5:-5], rtol=0, atol=1e-12)
    assert (crop[-1, ..., 0, 0] - whole[-1, ..., 2, 2]).abs().max() > 1e-3


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 6])
def test_a_step_is_convolutions_of_explicitly_padded_images(kernel_size: int) -> None:
    layer = images(lambda: build_cell("lstm"), kernel_size)
    x = numbers(1, BATCH, layer.input_size, HEIGHT, WIDTH)
    h, c = (numbers(1, BATCH, layer.hidden_size, HEIGHT, WIDTH, seed=seed) for seed in (5, 6))
    before, after = (kernel_size - 1) // 2, kernel_size // 2  # an even kernel looks one farther below and right

    def gate(name: str) -> Tensor:
        weights = layer.gate_weights()[name]
        assert weights.input is not None and weights.recurrent is not None and weights.bias is not None
        by_map = ((x[0], weights.input), (h[0], weights.recurrent))
        a, b = (F.conv2d(F.pad(value, (before, after, before, after)), weight) for value, weight in by_map)
        return a + b + weights.bias[:, None, None]

    i, f, o = (torch.sigmoid(gate(name)) for name in ("input", "forget", "output"))
    expected = f * c[0] + i * torch.tanh(gate("candidate"))
    output, state = layer(x, {"h": h, "c": c})
    torch.testing.assert_close(state["c"][0], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(output[0], o * torch.tanh(expected), rtol=0, atol=1e-12)


def shifting(kernel_size: int, row: int, column: int) -> ConvRecurrent:
    """A linear layer of one channel that passes its input on, and its state shifted to one side, each step."""
    layer = ConvRecurrent("rnn", 1, 1, kernel_size, bias=False, nonlinearity="relu").double()
    weights = layer.gate_weights()["candidate"]
    assert weights.input is not None and weights.recurrent is not None
    centre = (kernel_size - 1) // 2
    with torch.no_grad():
        weights.input.zero_()[0, 0, centre, centre] = 1.0
        weights.recurrent.zero_()[0, 0, centre - row, centre - column] = 1.0
    return layer


@pytest.mark.parametrize(
    ("kernel_size", "row", "column"), [(3, 0, 1), (3, 1, 0), (3, -1, 1), (5, 2, -1), (2, 0, -1), (4, -1, 1)]
)
def test_an_impulse_moves_by_what_the_kernel_says_and_leaves_at_the_border(
    kernel_size: int, row: int, column: int
) -> None:
    x = torch.zeros(8, 1, 1, 9, 9, dtype=torch.float64)
    x[0, 0, 0, 4, 4] = 1.0
    output, _ = shifting(kernel_size, row, column)(x)
    for step, image in enumerate(output[:, 0, 0]):
        y, z = 4 + step * row, 4 + step * column
        expected = torch.zeros(9, 9, dtype=torch.float64)
        if 0 <= y < 9 and 0 <= z < 9:
            expected[y, z] = 1.0
        torch.testing.assert_close(image, expected, rtol=0, atol=0)


def test_an_impulse_spreads_as_fast_as_the_recurrent_kernel_alone() -> None:
    """The input kernel is felt once, the recurrent one each step: reach 2 + t of a 5 x 5 and a 3 x 3 kernel."""
    layer = images(lambda: build_cell("lstm"), 5, recurrent_kernel_size=3)
    x = torch.zeros(4, 1, layer.input_size, 15, 15, dtype=torch.float64)
    impulse = x.clone()
    impulse[0, :, :, 7, 7] = 1.0
    felt = (layer(impulse)[0] - layer(x)[0]).abs().amax(dim=(1, 2))
    for step, image in enumerate(felt):
        reach = 2 + step
        inside = torch.zeros(15, 15, dtype=torch.bool)
        inside[7 - reach : 8 + reach, 7 - reach : 8 + reach] = True
        assert (image[inside] > 0).all()
        assert (image[~inside] == 0).all()
