"""Weights between torch.nn and our layers: both compute the same, both ways."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cellwise as cw
from cellwise.errors import CellwiseError
from cellwise.testing.layers import numbers

TIME, BATCH, INPUT, HIDDEN = 5, 3, 4, 6
Module = nn.RNN | nn.LSTM | nn.GRU

MODULES: list[tuple[Any, dict[str, Any], str]] = [
    (nn.RNN, {"nonlinearity": "tanh"}, "rnn"),
    (nn.RNN, {"nonlinearity": "relu"}, "rnn"),
    (nn.LSTM, {}, "lstm"),
    (nn.GRU, {}, "gru"),
]
LAYERS: list[tuple[str, dict[str, Any], type[nn.Module]]] = [
    ("rnn", {"nonlinearity": "tanh"}, nn.RNN),
    ("rnn", {"nonlinearity": "relu"}, nn.RNN),
    ("lstm", {}, nn.LSTM),
    ("gru", {"reset": "after"}, nn.GRU),
]
SHAPES = [
    {"num_layers": layers, "bidirectional": both, "batch_first": first, "bias": bias}
    for layers, both, first, bias in itertools.product((1, 2), (False, True), (False, True), (False, True))
]
IDS = ["-".join(key for key, value in shape.items() if value not in (False, 1)) or "plain" for shape in SHAPES]


def assert_same(layer: cw.Recurrent, module: Module) -> None:
    """Outputs and states of both, from the same input and state."""
    places = layer.num_layers * layer.directions
    dtype = next(module.parameters()).dtype
    lead = (BATCH, TIME) if layer.batch_first else (TIME, BATCH)
    x = numbers(*lead, INPUT, dtype=dtype)
    start = {name: numbers(places, BATCH, HIDDEN, dtype=dtype, seed=5) for name in layer.cell.states}
    given: Any = tuple(start.values()) if len(start) > 1 else start["h"]
    with torch.no_grad():
        output, state = layer(x, start)
        expected, last = module(x, given)
    states = last if isinstance(last, tuple) else (last,)
    allowed = 1e-12 if dtype == torch.float64 else 1e-6
    pairs: list[tuple[Tensor, Tensor]] = [(output, expected), *zip(state.values(), states, strict=True)]
    for value, wanted in pairs:
        torch.testing.assert_close(value, wanted, rtol=0, atol=allowed)


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
@pytest.mark.parametrize(("kind", "options", "name"), MODULES, ids=["tanh", "relu", "lstm", "gru"])
def test_a_module_of_torch_becomes_our_layer(
    kind: Any, options: dict[str, Any], name: str, shape: dict[str, Any]
) -> None:
    torch.manual_seed(1)
    module = kind(INPUT, HIDDEN, dtype=torch.float64, **options, **shape)
    layer = cw.from_torch(module)
    assert layer.cell_name == name
    assert_same(layer, module)
    layer.engine = "reference"
    assert_same(layer, module)


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
@pytest.mark.parametrize(("name", "options", "kind"), LAYERS, ids=["tanh", "relu", "lstm", "gru"])
def test_our_layer_becomes_a_module_of_torch(
    name: str, options: dict[str, Any], kind: type[nn.Module], shape: dict[str, Any]
) -> None:
    torch.manual_seed(2)
    layer = cw.Recurrent(name, INPUT, HIDDEN, engine="reference", **options, **shape).double()
    module = cw.to_torch(layer)
    assert type(module) is kind
    assert_same(layer, module)


@pytest.mark.parametrize(("name", "options", "kind"), LAYERS, ids=["tanh", "relu", "lstm", "gru"])
def test_there_and_back_no_bit_changes(name: str, options: dict[str, Any], kind: type[nn.Module]) -> None:
    layer = cw.Recurrent(name, INPUT, HIDDEN, 2, bidirectional=True, **options)
    back = cw.from_torch(cw.to_torch(layer))
    for key, value in layer.state_dict().items():
        assert torch.equal(back.state_dict()[key], value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_training_and_dropout_come_along(dtype: torch.dtype) -> None:
    module = nn.LSTM(INPUT, HIDDEN, 2, dropout=0.25, dtype=dtype).eval()
    layer = cw.from_torch(module)
    assert (next(layer.parameters()).dtype, layer.options.dropout, layer.training) == (dtype, 0.25, False)
    back = cw.to_torch(layer.train())
    assert (next(back.parameters()).dtype, back.dropout, back.training) == (dtype, 0.25, True)


def test_dropout_with_no_layer_after_it_is_left_out() -> None:
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        module = nn.LSTM(INPUT, HIDDEN, dropout=0.25)
    assert cw.from_torch(module).options.dropout == 0.0
    assert cw.to_torch(cw.from_torch(module)).dropout == 0.0  # torch would warn again, and warnings are errors


def test_weights_are_copied_and_gradients_are_not_shared() -> None:
    module = nn.GRU(INPUT, HIDDEN)
    layer = cw.from_torch(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert all(parameter.any() for parameter in layer.parameters())
    assert all(parameter.requires_grad for parameter in layer.parameters())


def test_a_trained_layer_goes_back_with_its_one_bias() -> None:
    layer = cw.Recurrent("gru", INPUT, HIDDEN)
    module = cw.to_torch(layer)
    second = module.bias_hh_l0
    assert isinstance(second, Tensor)
    assert not second[: 2 * HIDDEN].any()
    recurrent_bias = layer.gate_weights()["candidate"].recurrent_bias
    assert recurrent_bias is not None
    assert torch.equal(second[2 * HIDDEN :], recurrent_bias)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (nn.Linear(2, 3), "from_torch takes nn.RNN, nn.LSTM or nn.GRU, not Linear"),
        (nn.LSTMCell(2, 3), "from_torch takes nn.RNN, nn.LSTM or nn.GRU, not LSTMCell"),
        (nn.LSTM(2, 3, proj_size=2), "can't take proj_size=2"),
    ],
)
def test_what_we_have_no_layer_for_is_refused(module: nn.Module, told: str) -> None:
    with pytest.raises(CellwiseError) as error:
        cw.from_torch(module)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "layer",
    [
        cw.Recurrent("peephole_lstm", 2, 3),
        cw.Recurrent("coupled_lstm", 2, 3),
        cw.Recurrent("gru", 2, 3, reset="before"),
        cw.ConvRecurrent("lstm", 2, 3, 3),
    ],
    ids=["peephole", "coupled", "reset_before", "images"],
)
def test_what_torch_has_no_module_for_is_refused(layer: Any) -> None:
    with pytest.raises(
        CellwiseError, match=r"torch\.nn has no .*; to_torch takes Recurrent layers of rnn, lstm, and gru"
    ):
        cw.to_torch(layer)
