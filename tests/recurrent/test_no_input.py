"""A layer without an input is one whose input is always zero, less the weights that nothing would come through."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from cellwise.cells.registry import build_cell, cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines import ENGINES, resolve
from cellwise.recurrent.engines.fused.compiled import compiling
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.recurrent.maps import Convolution, Dense, LinearMap
from cellwise.recurrent.options import LayerOptions
from cellwise.testing.contract import option_variants
from cellwise.testing.layers import assert_all_close, assert_close, reached_state

TIME, BATCH, HIDDEN, IMAGE = 3, 2, 4, (3, 2)
# Every cell on vectors; on images one of each way to see the input: mapped, by parts, raw, and alone.
ON_IMAGES = ("lstm", "gru", "mut1", "layer_norm_lstm", "minimal_gru")
VARIANTS = [
    (name, option_variants(name)[0], kernel)
    for name in cell_names()
    for kernel in (0, 3)
    if not kernel or name in ON_IMAGES
]


def built(name: str, kernel: int, engine: str, options: dict[str, Any], inputs: int) -> Any:
    layer: Any = partial(ConvRecurrent, kernel_size=kernel) if kernel else Recurrent
    return layer(build_cell(name, options), inputs, HIDDEN, engine=engine).double()


def able(name: str, options: dict[str, Any], map_: LinearMap) -> list[str]:
    found = []
    for engine in ENGINES:
        try:
            found.append(resolve(engine, build_cell(name, options), map_, LayerOptions()))
        except CellwiseError:
            continue
    return found


@pytest.mark.parametrize(("name", "options", "kernel"), VARIANTS, ids=[f"{name}-{k}" for name, _, k in VARIANTS])
def test_it_is_a_layer_of_zeros_on_every_engine(name: str, options: dict[str, Any], kernel: int) -> None:
    torch.manual_seed(0)
    zeros = built(name, kernel, "reference", options, 1)
    image = IMAGE if kernel else ()
    start = reached_state(zeros, BATCH, *image)
    weights = {key: value for key, value in zeros.state_dict().items() if not key.endswith("input_weight")}

    def run(layer: Any, inputs: int) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        output, last = layer(torch.zeros(TIME, BATCH, inputs, *image, dtype=torch.float64), start)
        total = (output * torch.arange(output.numel()).view(output.shape)).sum()
        total.backward()
        gradients = {k: p.grad for k, p in layer.named_parameters() if p.grad is not None}
        return output, last, {k: g for k, g in gradients.items() if not k.endswith("input_weight")}

    output, last, gradients = run(zeros, 1)
    for engine in able(name, options, Convolution(3) if kernel else Dense()):
        layer = built(name, kernel, engine, options, 0)
        missing = layer.load_state_dict(weights, strict=False)
        assert missing.missing_keys == ["layers.0.input_weight"]
        assert layer.layers[0].input_weight.numel() == 0
        with compiling(False):
            found = run(layer, 0)
        assert_close("output", found[0], output)
        assert_all_close("state", found[1], last)
        assert_all_close("gradient", found[2], gradients)


@pytest.mark.parametrize("input_init", ["uniform", "xavier"])
def test_its_weights_are_drawn_as_those_of_any_layer(input_init: Any) -> None:
    layer = ConvRecurrent("lstm", 0, HIDDEN, 3, input_init=input_init)
    assert sum(p.numel() for p in layer.parameters()) == 4 * HIDDEN * (9 * HIDDEN + 1)
    assert layer.gate_weights()["forget"].input.shape == (HIDDEN, 0, 3, 3)  # type: ignore[union-attr]
