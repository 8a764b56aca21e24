"""ConvRecurrent("lstm") against keras's ConvLSTM2D on torch, which shares none of our code: forward and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import ConvRecurrent
from cellwise.testing.layers import images, numbers

TIME, BATCH, HEIGHT, WIDTH = 5, 2, 6, 4
ALLOWED = 1e-12
CASES: list[tuple[str, dict[str, Any]]] = [("lstm", {})]  # keras has no other cell on images


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """keras on torch and the CPU; its settings file is written into a temporary folder, not the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_TORCH_DEVICE", "cpu")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        import keras

        assert keras.backend.backend() == "torch"
        yield keras


@torch.no_grad()
def copy_into_keras(layer: ConvRecurrent, theirs: Any) -> None:
    """Our gates, stacked (units, channels, k, k), as keras has them: (k, k, channels, units), order i, f, c, o."""
    gates = [layer.gate_weights()[name] for name in ("input", "forget", "candidate", "output")]
    stacked = [torch.cat([getattr(gate, name) for gate in gates]) for name in ("input", "recurrent", "bias")]
    for variable, value in zip(theirs.weights, stacked, strict=True):
        variable.assign(value.permute(2, 3, 1, 0) if value.dim() == 4 else value)


def from_keras(gradient: Tensor) -> Tensor:
    return gradient.permute(3, 2, 0, 1) if gradient.dim() == 4 else gradient


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("name", "options"), CASES, ids=["lstm"])
def test_a_layer_is_keras_conv_lstm_forward_and_backward(
    name: str, options: dict[str, Any], kernel_size: int, keras: Any
) -> None:
    layer = images(lambda: build_cell(name, options), kernel_size)
    theirs = keras.layers.ConvLSTM2D(
        layer.hidden_size,
        kernel_size,
        padding="same",
        return_sequences=True,
        return_state=True,
        data_format="channels_last",
        dtype="float64",
    )
    x = numbers(TIME, BATCH, layer.input_size, HEIGHT, WIDTH).requires_grad_()
    start = {
        state: (0.5 * numbers(1, BATCH, layer.hidden_size, HEIGHT, WIDTH, seed=70 + n)).requires_grad_()
        for n, state in enumerate(("h", "c"))
    }
    channels_last = x.permute(1, 0, 3, 4, 2)
    theirs.build(tuple(channels_last.shape))
    copy_into_keras(layer, theirs)

    output, state = layer(x, start)
    output_keras, *state_keras = theirs(
        channels_last, initial_state=[value[0].permute(0, 2, 3, 1) for value in start.values()]
    )
    ours = [output, *(value[0] for value in state.values())]
    found = [output_keras.permute(1, 0, 4, 2, 3), *(value.permute(0, 3, 1, 2) for value in state_keras)]
    for value, expected in zip(ours, found, strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=ALLOWED)

    seeds = [numbers(*value.shape, seed=90 + n) for n, value in enumerate(ours)]
    sources = [x, *start.values()]
    weights = layer.weights()[0]
    assert weights.bias is not None
    parameters = [weights.input_weight, weights.recurrent_weight["hidden"], weights.bias]
    gradients = torch.autograd.grad(ours, [*sources, *parameters], seeds)
    gradients_keras = torch.autograd.grad(found, [*sources, *(variable.value for variable in theirs.weights)], seeds)
    for place, (value, expected) in enumerate(zip(gradients, gradients_keras, strict=True)):
        wanted = expected if place < len(sources) else from_keras(expected)
        torch.testing.assert_close(value, wanted, rtol=0, atol=ALLOWED)
