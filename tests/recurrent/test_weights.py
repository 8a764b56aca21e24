"""How a layer starts, and its weights by gate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import numbers

INPUT, HIDDEN, LAYERS = 3, 16, 2


def dense(cell: str | Cell, **options: Any) -> Recurrent:
    torch.manual_seed(4)
    return Recurrent(cell, INPUT, HIDDEN, LAYERS, bidirectional=True, **options)


def images(cell: str | Cell, **options: Any) -> ConvRecurrent:
    torch.manual_seed(4)
    return ConvRecurrent(cell, INPUT, HIDDEN, 3, LAYERS, recurrent_kernel_size=5, bidirectional=True, **options)


def bias_change(
    make: Callable[..., Any], plain: str | Cell, offset: str | Cell, **options: Any
) -> list[dict[str, float]]:
    """By layer and direction: what each gate's bias starts higher, the same at each unit."""
    found = []
    before, after = make(plain, **({"forget_bias": 0.0} if isinstance(plain, str) else {})), make(offset, **options)
    for layer in range(LAYERS):
        for reverse in (False, True):
            gates = {}
            for gate, weights in after.gate_weights(layer, reverse).items():
                change = weights.bias - before.gate_weights(layer, reverse)[gate].bias
                assert change.max() - change.min() < 1e-6
                gates[gate] = round(change.mean().item(), 6)
            found.append(gates)
    return found


@pytest.mark.parametrize("make", [dense, images])
@pytest.mark.parametrize("name", ["lstm", "peephole_lstm"])
def test_the_forget_bias_reaches_all_layers_and_both_directions(name: str, make: Callable[..., Any]) -> None:
    expected = {"input": 0.0, "forget": 1.5, "candidate": 0.0, "output": 0.0}
    assert bias_change(make, name, name, forget_bias=1.5) == [expected] * (2 * LAYERS)


@pytest.mark.parametrize("peepholes", [True, False])
def test_a_coupled_cells_forget_bias_is_a_lower_input_bias(peepholes: bool) -> None:
    expected = {"input": -1.5, "candidate": 0.0, "output": 0.0}
    assert bias_change(dense, "coupled_lstm", "coupled_lstm", forget_bias=1.5) == [expected] * (2 * LAYERS)


def test_an_offset_on_the_wrong_gate_is_seen() -> None:
    wrong = build_cell("lstm")
    wrong.bias_offsets = {"input": 1.0}
    right = {"input": 0.0, "forget": 1.0, "candidate": 0.0, "output": 0.0}
    assert bias_change(dense, "lstm", wrong)[0] != right
    assert bias_change(dense, "lstm", "lstm")[0] == right  # 1 is the default


@pytest.mark.parametrize("make", [dense, images])
@pytest.mark.parametrize("name", cell_names())
def test_what_is_drawn_is_uniform_within_one_over_the_root_of_hidden(name: str, make: Callable[..., Any]) -> None:
    layer = make(name)
    for weights in layer.weights():
        matrices = [weights.input_weight, *weights.recurrent_weight.values()]
        for matrix in matrices:
            bound = 1 / math.sqrt(HIDDEN * math.prod(matrix.shape[2:]))
            assert 0.9 * bound < matrix.abs().max() <= bound
            assert abs(matrix.std().item() - bound / math.sqrt(3)) < 0.1 * bound
        for bias in weights.part_bias.values():
            assert bias.abs().max() <= 1 / math.sqrt(HIDDEN)
        for extra, value in weights.extra.items():
            initial = layer.cell.extras[extra]
            low, high = initial if isinstance(initial, tuple) else (initial, initial)
            assert low <= value.min() and value.max() <= high
            assert low == high or value.std() > 0.1 * (high - low)


def test_at_first_a_peephole_lstm_is_the_lstm_of_the_same_seed() -> None:
    x = numbers(4, 3, INPUT, dtype=torch.float32)
    lstm, peephole = dense("lstm", engine="reference"), dense("peephole_lstm")
    peephole_weights = peephole.state_dict()
    assert all(torch.equal(value, peephole_weights[name]) for name, value in lstm.state_dict().items())
    torch.testing.assert_close(lstm(x)[0], peephole(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", cell_names())
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name: str) -> None:
    first, again = dense(name), dense(name)
    torch.manual_seed(5)
    other = Recurrent(name, INPUT, HIDDEN, LAYERS, bidirectional=True)
    for (key, a), b, c in zip(first.named_parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        constant = isinstance(first.cell.extras.get(key.split(".")[-1]), int | float)  # peepholes start at 0
        assert torch.equal(a, c) == constant


def test_reset_parameters_starts_anew_with_the_same_offsets() -> None:
    layer = dense("peephole_lstm")
    expected = [parameter.clone() for parameter in layer.parameters()]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(7.0)
    torch.manual_seed(4)
    for weights in layer.weights():
        weights.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), expected, strict=True))


def test_without_biases_there_are_none() -> None:
    layer = Recurrent("gru", INPUT, HIDDEN, bias=False)
    assert [name for name, _ in layer.named_parameters()] == [
        "layers.0.input_weight",
        "layers.0.recurrent_weight.hidden",
    ]
    for gate in layer.gate_weights().values():
        assert gate.bias is None and gate.recurrent_bias is None


def test_only_the_candidate_of_a_gru_with_reset_after_has_a_recurrent_bias() -> None:
    after, before = Recurrent("gru", INPUT, HIDDEN), Recurrent("gru", INPUT, HIDDEN, reset="before")
    assert {name for name, gate in after.gate_weights().items() if gate.recurrent_bias is not None} == {"candidate"}
    assert {name for name, gate in before.gate_weights().items() if gate.recurrent_bias is not None} == set()


def test_gates_are_stacked_in_the_cells_order() -> None:
    layer = Recurrent("lstm", INPUT, HIDDEN)
    weights = layer.weights()[0]
    assert torch.equal(
        torch.cat([g.input for g in layer.gate_weights().values() if g.input is not None]), weights.input_weight
    )
    recurrent = [g.recurrent for g in layer.gate_weights().values() if g.recurrent is not None]
    assert torch.equal(torch.cat(recurrent), weights.recurrent_weight["hidden"])


def test_parameters_are_in_the_cells_order() -> None:
    assert list(Recurrent("peephole_lstm", INPUT, HIDDEN).extra_weights()) == [
        "peephole_input",
        "peephole_forget",
        "peephole_output",
    ]


@pytest.mark.parametrize(("layer", "reverse"), [(1, False), (-1, False), (0, True)])
def test_a_layer_that_is_not_there_is_refused(layer: int, reverse: bool) -> None:
    with pytest.raises(CellwiseError, match=r"no .*layer -?\d; this has 1 layer\(s\) and 1 direction\(s\)"):
        Recurrent("lstm", INPUT, HIDDEN).gate_weights(layer, reverse)


def test_a_name_that_torch_keeps_for_itself_is_refused() -> None:
    cell = build_cell("rnn")
    cell.products = {"update": (("candidate",), 1)}
    with pytest.raises(CellwiseError, match=r"torch keeps the name 'update' for itself.*'update_product'"):
        Recurrent(cell, INPUT, HIDDEN)
