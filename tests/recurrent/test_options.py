"""What a layer's options do: against a hand-written loop over layers, and where they start."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.lstm import LSTM
from cellwise.cells.registry import build_cell, cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.recurrent.options import twice_biased
from cellwise.testing.layers import assert_close, dense, images, numbers

TIME, BATCH, SIZE = 5, 3, 4
LENGTHS = [TIME, 2, 0]


def layer_of(cell: str, **options: Any) -> Recurrent:
    """A layer whose input is as wide as its output."""
    return dense(lambda: build_cell(cell), input_size=SIZE, hidden_size=SIZE, **options)


def alone(layer: Recurrent, number: int, x: Tensor) -> Tensor:
    """One layer of a stack, run by itself."""
    weights = layer.weights()[number]
    one = Recurrent(layer.cell, weights.input_size, SIZE).double()
    one.weights()[0].load_state_dict(weights.state_dict())
    return one.forward(x, None, LENGTHS)[0]


def test_residual_adds_each_layers_input_to_its_output() -> None:
    layer = layer_of("gru", num_layers=2, connections="residual")
    x = numbers(TIME, BATCH, SIZE)
    valid = (torch.arange(TIME)[:, None] < torch.tensor(LENGTHS))[..., None]
    first = alone(layer, 0, x) + x * valid
    assert_close("the output", layer(x, None, LENGTHS)[0], alone(layer, 1, first) + first)


def test_residual_is_left_out_where_widths_differ() -> None:
    plain, residual = (dense(lambda: build_cell("gru"), connections=kind) for kind in ("plain", "residual"))
    x = numbers(TIME, BATCH, plain.input_size)
    assert plain.input_size != plain.hidden_size
    assert_close("the output", residual(x)[0], plain(x)[0], 0.0)


def test_skip_gives_the_first_input_to_every_layer() -> None:
    layer = layer_of("rnn", num_layers=3, connections="skip")
    x = numbers(TIME, BATCH, SIZE)
    expected = alone(layer, 0, x)
    for number in (1, 2):
        assert layer.weights()[number].input_size == 2 * SIZE
        expected = alone(layer, number, torch.cat([expected, x], dim=-1))
    assert_close("the output", layer(x, None, LENGTHS)[0], expected)


def test_layer_norm_stands_between_layers_and_leaves_the_padding_zero() -> None:
    layer = layer_of("lstm", num_layers=2, layer_norm=True, connections="residual")
    x = numbers(TIME, BATCH, SIZE)
    valid = (torch.arange(TIME)[:, None] < torch.tensor(LENGTHS))[..., None]
    (norm,) = layer.norms
    assert isinstance(norm, torch.nn.LayerNorm)
    first = torch.nn.functional.layer_norm(alone(layer, 0, x) + x * valid, (SIZE,), norm.weight, norm.bias) * valid
    output = layer(x, None, LENGTHS)[0]
    assert_close("the output", output, alone(layer, 1, first) + first)
    assert not (output * ~valid).any()


def dropped_between(layer: Recurrent | ConvRecurrent, x: Tensor) -> Tensor:
    """Which units of the first of two layers were dropped, (time, batch, ..., hidden) bool."""
    seen: list[Tensor] = []
    weights, project = layer.weights()[1], layer.weights()[1].project

    def spy(source: Tensor) -> Tensor:
        seen.append(source)
        return project(source)

    weights.__dict__["project"] = spy
    torch.manual_seed(3)
    layer(x)
    return seen[0] == 0


def test_dropout_is_new_at_each_step_and_locked_dropout_is_one_mask() -> None:
    x = numbers(TIME, 50, SIZE)
    layers = [layer_of("gru", num_layers=2, engine="reference", **{kind: 0.5}) for kind in KINDS]
    new, locked = (dropped_between(layer, x) for layer in layers)
    for mask in (new, locked):
        assert 0.3 < mask.double().mean() < 0.7
    assert not torch.equal(new[0], new[1])
    assert all(torch.equal(locked[0], step) for step in locked)
    assert not torch.equal(locked[0, 0], locked[0, 1]) or not torch.equal(locked[0, 1], locked[0, 2])


KINDS = ("dropout", "locked_dropout")


def test_recurrent_dropout_drops_units_of_the_operand_for_the_whole_sequence() -> None:
    layer = layer_of("rnn", recurrent_dropout=0.5, engine="reference")
    weights = layer.weights()[0]
    with torch.no_grad():  # h' = tanh(x + h): what is dropped is seen in the output
        weights.input_weight.copy_(torch.eye(SIZE))
        weights.recurrent_weight["hidden"].copy_(torch.eye(SIZE))
        assert weights.bias is not None
        weights.bias.zero_()
    torch.manual_seed(3)
    x = numbers(TIME, 20, SIZE)
    output = layer(x)[0]
    passed = torch.atanh(output[1:]) - x[1:]  # 0 or twice the output before
    kept = (passed.abs() > 1e-9).double()
    assert_close("what the product sees", passed, 2 * output[:-1] * kept, 1e-6)
    assert all(torch.equal(kept[0], step) for step in kept)
    assert 0.3 < kept.mean() < 0.7


def test_on_images_recurrent_and_locked_dropout_drop_whole_channels() -> None:
    layer = images(lambda: build_cell("rnn"), 1, num_layers=2, locked_dropout=0.5)
    dropped = dropped_between(layer, numbers(TIME, 20, layer.input_size, 3, 2)).double()  # channels last
    assert torch.equal(dropped, dropped[:1, :, :1, :1].expand_as(dropped))
    assert 0.3 < dropped.mean() < 0.7


def test_weight_drop_drops_entries_of_the_recurrent_matrix_alone() -> None:
    layer = layer_of("lstm", weight_drop=0.5)
    assert layer.engine == "native"  # torch's kernel takes the dropped matrix
    x = numbers(TIME, BATCH, SIZE)
    reference = layer_of("lstm", weight_drop=0.5, engine="reference")
    outputs = []
    for each in (layer, reference):
        torch.manual_seed(3)
        outputs.append(each(x)[0])
    assert_close("native with dropped weights", outputs[0], outputs[1], 1e-10)
    assert_close("step 0, before any recurrence,", outputs[0][0], layer_of("lstm")(x)[0][0], 1e-12)


def test_zoneout_by_state_holds_that_state_alone() -> None:
    layer = layer_of("lstm", zoneout={"c": 0.5})
    x, start = numbers(1, 40, SIZE), {name: numbers(1, 40, SIZE, seed=8) for name in ("h", "c")}
    torch.manual_seed(3)
    state = layer(x, start)[1]
    plain = layer_of("lstm", engine="reference")(x, start)[1]
    held = state["c"] == start["c"]
    assert 0.3 < held.double().mean() < 0.7
    assert_close("c where it is not held", state["c"][~held], plain["c"][~held])
    assert_close("h", state["h"], plain["h"])


@pytest.mark.parametrize("on_images", [False, True])
@pytest.mark.parametrize("cell", cell_names())
def test_orthogonal_recurrent_matrices_are_orthogonal_gate_by_gate(cell: str, on_images: bool) -> None:
    torch.manual_seed(2)
    options: Any = {"num_layers": 2, "bidirectional": True, "recurrent_init": "orthogonal"}
    layer = ConvRecurrent(cell, 3, SIZE, 3, **options) if on_images else Recurrent(cell, 3, SIZE, **options)
    for weights in layer.weights():
        for stacked in weights.recurrent_weight.values():
            for block in stacked.chunk(stacked.shape[0] // SIZE):
                rows = block.flatten(1)
                assert_close("rows times rows", rows @ rows.T, torch.eye(SIZE), 1e-5)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4])
def test_an_identity_recurrent_map_leaves_an_image_as_it_is(kernel_size: int) -> None:
    layer = ConvRecurrent("rnn", 1, 2, kernel_size, recurrent_init="identity", nonlinearity="relu", bias=False)
    with torch.no_grad():
        layer.weights()[0].input_weight.zero_()
    state = {"h": numbers(1, 1, 2, 4, 5, dtype=torch.float32).abs()}
    output, _ = layer(torch.zeros(3, 1, 1, 4, 5), state)
    assert_close("the last output", output[-1], state["h"][0])


def test_xavier_input_weights_have_the_variance_of_each_gate() -> None:
    torch.manual_seed(2)
    layer = Recurrent("lstm", 60, 40, input_init="xavier")
    for gate in layer.gate_weights().values():
        assert gate.input is not None
        bound = math.sqrt(6 / 100)
        assert 0.95 * bound < gate.input.abs().max() <= bound


@pytest.mark.parametrize(
    ("cell", "recurrent_bias"),
    [
        (name, twice)
        for name in cell_names()
        if build_cell(name).chrono
        for twice in ([False, True] if twice_biased(build_cell(name)) else [False])
    ],
)
def test_chrono_biases_reach_every_layer_and_direction(cell: str, recurrent_bias: bool) -> None:
    torch.manual_seed(2)
    longest, hidden = 50, 400
    layer = Recurrent(cell, 3, hidden, 2, bidirectional=True, chrono=longest, recurrent_bias=recurrent_bias)
    for number in range(2):
        for reverse in (False, True):
            keeps: list[Tensor] = []
            for gate, sign in layer.cell.chrono.items():
                weights = layer.gate_weights(number, reverse)[gate]
                assert weights.bias is not None
                total = weights.bias if weights.recurrent_bias is None else weights.bias + weights.recurrent_bias
                keeps.append(sign * total.detach())
            spans = keeps[0].exp()  # uniform from 1 to longest - 1
            assert 1 <= spans.min() < 3 and longest - 4 < spans.max() <= longest - 1 + 1e-3
            assert abs(spans.mean() - longest / 2) < 3
            assert all(torch.equal(keeps[0], other) for other in keeps)


def test_chrono_takes_the_place_of_the_forget_bias() -> None:
    torch.manual_seed(2)
    forget = Recurrent("lstm", 3, 8, chrono=3, forget_bias=100.0).gate_weights()["forget"].bias
    assert forget is not None and forget.max() <= math.log(2)


@pytest.mark.parametrize(
    ("cell", "options", "told"),
    [
        ("lstm", {"zoneout": 1.0}, "zoneout=1.0 must be at least 0 and less than 1"),
        ("lstm", {"zoneout": {"x": 0.1}}, "unknown state for zoneout of 'lstm' 'x'; allowed: c, h"),
        ("slstm", {"zoneout": {"m": 0.1}}, "unknown state for zoneout of 'slstm' 'm'"),
        ("lstm", {"zoneout": {"c": -0.1}}, "zoneout['c']=-0.1 must be at least 0 and less than 1"),
        ("lstm", {"dropout": 0.1, "locked_dropout": 0.1}, "choose one"),
        ("indrnn", {"recurrent_dropout": 0.1}, "recurrent_dropout=0.1 has no effect on 'indrnn', which has no"),
        ("minimal_gru", {"weight_drop": 0.1}, "weight_drop=0.1 has no effect on 'minimal_gru'"),
        ("layer_norm_gru", {"recurrent_bias": True}, "recurrent_bias=true has no effect on 'layer_norm_gru', whose"),
        ("lstm", {"dropout": 0.1, "num_layers": 1}, "dropout=0.1 has no effect on one layer: it stands between two"),
        ("lstm", {"layer_norm": True, "num_layers": 1}, "layer_norm=true has no effect on one layer"),
        ("lstm", {"connections": "skip", "num_layers": 1}, "connections=skip has no effect on one layer: it leads to"),
        ("antisymmetric_rnn", {"recurrent_init": "identity"}, "makes the antisymmetric matrix of 'antisymmetric_rnn'"),
        ("lstm", {"connections": "dense"}, "connections=dense is not allowed; allowed: plain, residual, skip"),
        ("lstm", {"recurrent_init": "zero"}, "recurrent_init=zero is not allowed; allowed: uniform, orthogonal"),
        ("rnn", {"chrono": 10}, "chrono=10 has no effect on 'rnn', none of whose gates keeps memory"),
        ("lstm", {"chrono": 2}, "chrono=2 must be 3 or more"),
        ("lstm", {"chrono": 10, "bias": False}, "chrono=10 sets biases; it needs bias=true"),
        ("lstm", {"recurrent_bias": True, "bias": False}, "recurrent_bias=true is a second bias; it needs bias=true"),
        ("lstm", {"zoneout": 0.1, "engine": "native"}, "engine 'native' can't run LSTM with these options"),
        (
            "lstm",
            {"engine": "scan"},
            "engine 'scan' can't run LSTM with these options; allowed: auto, fastest, native, ref",
        ),
    ],
)
def test_options_without_meaning_are_refused_in_one_line(cell: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(CellwiseError) as error:
        Recurrent(cell, 3, 4, **({"num_layers": 2} | options))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("resets", "told"),
    [
        (torch.zeros(TIME, BATCH), "resets must be bool"),
        (
            torch.zeros(BATCH, TIME, dtype=torch.bool),
            r"resets must have shape \(time, batch\) = \(5, 3\), not \(3, 5\)",
        ),
    ],
)
def test_resets_that_do_not_fit_are_refused(resets: Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        layer_of("lstm")(numbers(TIME, BATCH, SIZE), resets=resets)


def test_resets_of_a_batch_first_layer_are_batch_first() -> None:
    time_first, batch_first = layer_of("gru"), layer_of("gru", batch_first=True)
    x, resets = numbers(TIME, BATCH, SIZE), numbers(TIME, BATCH) > 0
    expected = time_first(x, resets=resets)[0]
    assert_close("the output", batch_first(x.transpose(0, 1), resets=resets.T)[0], expected.transpose(0, 1))
    trace = batch_first.trace(x.transpose(0, 1), resets=resets.T)
    assert_close("the trace", trace.states["h"][0], expected)


def test_an_image_layer_takes_resets_too() -> None:
    layer = images(lambda: build_cell("peephole_lstm"), 3)
    x = numbers(4, 2, layer.input_size, 3, 2)
    resets = torch.tensor([[False, False], [False, False], [True, False], [False, False]])
    output = layer(x, resets=resets)[0]
    assert_close("row 0 after its reset", output[2:, 0], layer(x[2:, :1])[0][:, 0])
    assert_close("row 1", output[:, 1], layer(x[:, 1:])[0][:, 0])


@pytest.mark.parametrize("weight_drop", [0.0, 0.5])
@pytest.mark.parametrize("kernel_size", [0, 1, 2, 3, 4])
def test_an_antisymmetric_product_is_antisymmetric_on_every_kernel(kernel_size: int, weight_drop: float) -> None:
    weights = (
        images(lambda: build_cell("antisymmetric_rnn"), kernel_size).weights()[0]
        if kernel_size
        else layer_of("antisymmetric_rnn").weights()[0]
    )
    matrix = weights.matrices(weight_drop)["hidden"]
    v = numbers(1, 4, 5, SIZE) if kernel_size else numbers(1, SIZE)
    product = weights.recurrent_map(v, matrix)
    assert product.shape == v.shape and product.abs().max() > 0.1
    assert abs((v * product).sum()) < 1e-12


def test_a_class_derived_from_a_library_cell_runs_its_own_step() -> None:
    class Halved(LSTM):
        def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
            state, gates = super().step(x, U, s, p)  # type: ignore[no-untyped-call]
            return {"h": state["h"] / 2, "c": state["c"]}, gates

    layer = Recurrent(Halved(), 3, SIZE).double()
    x = numbers(TIME, BATCH, 3)
    assert layer.engine == "reference"
    assert_close("the output", layer(x)[0], layer.trace(x).output, 0.0)


@pytest.mark.parametrize("cell", cell_names())
def test_under_autocast_output_and_state_have_the_dtype_of_the_input(cell: str) -> None:
    layer = Recurrent(cell, 3, SIZE, zoneout=0.1)
    x = numbers(TIME, BATCH, 3, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for lengths in (None, LENGTHS):
            output, state = layer(x, None, lengths)
            layer(x, state)
            assert {output.dtype, *(value.dtype for value in state.values())} == {torch.float32}


@pytest.mark.parametrize("cell", ["layer_norm_lstm", "layer_norm_gru"])
def test_layer_norm_cells_have_finite_gradients_in_half_precision(cell: str) -> None:
    layer = Recurrent(cell, 3, SIZE).half()
    layer(numbers(TIME, BATCH, 3, dtype=torch.float16))[0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_a_state_is_taken_by_name_and_in_the_dtype_of_the_input() -> None:
    layer = layer_of("lstm")
    x, state = numbers(TIME, BATCH, SIZE), layer.initial_state(BATCH)
    single = {name: value.float() for name, value in state.items()}
    assert_close("the output from a float32 state", layer(x, single)[0], layer(x, state)[0], 0.0)
    with pytest.raises(ValueError, match=r"state must be a dictionary by name \(h, c\), not tuple"):
        layer(x, (state["h"], state["c"]))
