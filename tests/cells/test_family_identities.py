"""What Greff's variants and the layer-normalised cells must be to the cells that they change, and chrono's signs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell, cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.contract import option_variants
from cellwise.testing.layers import dense, numbers
from tests.cells.reference.layer import case_id

TIME, BATCH = 6, 3
OPEN = 100.0  # a bias that saturates a gate: sigmoid(100 + anything here) is 1 in float64


def layer_of(name: str, **options: Any) -> Recurrent:
    return dense(lambda: build_cell(name, options))


def run(layer: Recurrent) -> Tensor:
    with torch.no_grad():
        output: Tensor = layer(numbers(TIME, BATCH, layer.input_size))[0]
    return output


def difference(a: Recurrent, b: Recurrent) -> float:
    return float((run(a) - run(b)).abs().max())


@torch.no_grad()
def copy_shared(to: Recurrent, source: Recurrent) -> None:
    """Copy what both have by the same gate or name; of a wider recurrent matrix the columns of h."""
    theirs = source.gate_weights()
    for gate, weights in to.gate_weights().items():
        for name, value in weights._asdict().items():
            other = getattr(theirs.get(gate), name, None)
            if value is not None and other is not None:
                value.copy_(other[:, : value.shape[1]] if name == "recurrent" else other)
    for name, value in to.extra_weights().items():
        if name in source.extra_weights():
            value.copy_(source.extra_weights()[name])


@torch.no_grad()
def set_bias(layer: Recurrent, gates: Sequence[str], value: float) -> None:
    for gate in gates:
        bias = layer.gate_weights()[gate].bias
        assert bias is not None
        bias.fill_(value)


@pytest.mark.parametrize(
    ("name", "gate"),
    [("no_input_gate_lstm", "input"), ("no_forget_gate_lstm", "forget"), ("no_output_gate_lstm", "output")],
)
def test_a_variant_without_a_gate_is_the_peephole_lstm_with_that_gate_held_open(name: str, gate: str) -> None:
    variant, peephole = layer_of(name), layer_of("peephole_lstm")
    copy_shared(variant, peephole)
    assert difference(variant, peephole) > 1e-3
    set_bias(peephole, [gate], OPEN)
    assert difference(variant, peephole) <= 1e-12


@pytest.mark.parametrize("name", ["no_input_activation_lstm", "no_output_activation_lstm"])
def test_a_variant_without_an_activation_is_the_peephole_lstm_of_small_candidates(name: str) -> None:
    variant, peephole = layer_of(name), layer_of("peephole_lstm")
    copy_shared(variant, peephole)
    assert difference(variant, peephole) > 1e-2
    with torch.no_grad():
        for layer in (variant, peephole):
            for value in layer.gate_weights()["candidate"]:
                if value is not None:
                    value.mul_(1e-4)
    assert run(variant).abs().max() > 1e-6
    assert difference(variant, peephole) <= 1e-11  # tanh(v) = v - v^3 / 3


def test_full_gate_recurrence_without_its_nine_matrices_is_the_peephole_lstm() -> None:
    full, peephole = layer_of("full_gate_recurrence_lstm"), layer_of("peephole_lstm")
    copy_shared(peephole, full)
    assert difference(full, peephole) > 1e-3
    with torch.no_grad():
        full.weights()[0].recurrent_weight["gates_before"].zero_()
    assert difference(full, peephole) <= 1e-12


def test_full_gate_recurrence_carries_its_gates() -> None:
    layer = layer_of("full_gate_recurrence_lstm")
    trace = layer.trace(numbers(TIME, BATCH, layer.input_size))
    for gate in ("input", "forget", "output"):
        assert torch.equal(trace.states[f"{gate}_gate"], trace.gates[gate])


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("cifg", "cell.peepholes=true"),
        ("nig", "type no_input_gate_lstm"),
        ("nfg", "type no_forget_gate_lstm"),
        ("nog", "type no_output_gate_lstm"),
        ("niaf", "type no_input_activation_lstm"),
        ("noaf", "type no_output_activation_lstm"),
        ("fgr", "type full_gate_recurrence_lstm"),
        ("np", "type lstm"),
    ],
)
def test_the_papers_abbreviations_are_answered_with_the_names(typed: str, told: str) -> None:
    with pytest.raises(CellwiseError, match=told):
        build_cell(typed)


def test_a_name_of_the_family_takes_no_other_change() -> None:
    with pytest.raises(CellwiseError, match="unknown option of cell 'no_input_gate_lstm'"):
        build_cell("no_input_gate_lstm", {"change": "no_output_gate"})
    with pytest.raises(CellwiseError, match="unknown option of cell 'no_forget_gate_lstm'"):
        build_cell("no_forget_gate_lstm", {"forget_bias": 1.0})


NORMED = [(name, options) for name in ("layer_norm_lstm", "layer_norm_gru") for options in option_variants(name)]


@torch.no_grad()
def scaled(layer: Recurrent, factor: float) -> Recurrent:
    weights = layer.weights()[0]
    for matrix in (weights.input_weight, *weights.recurrent_weight.values()):
        matrix.mul_(factor)
    return layer


@pytest.mark.parametrize(("name", "options"), NORMED, ids=case_id)
def test_layer_norm_takes_no_notice_of_the_scale_of_the_matrices(name: str, options: dict[str, Any]) -> None:
    # But for the eps, which large matrices make negligible: 1e-5 beside a variance of about 1e16.
    large, larger = scaled(layer_of(name, **options), 1e8), scaled(layer_of(name, **options), 3e8)
    assert difference(large, layer_of(name, **options)) <= 1e-2
    assert difference(large, larger) <= 1e-12


@pytest.mark.parametrize("norm_scope", ["stacked", "per_gate"])
@pytest.mark.parametrize("name", ["layer_norm_lstm", "layer_norm_gru"])
def test_a_number_added_to_a_gates_units_alike_is_seen_where_gates_are_normalised_together(
    name: str, norm_scope: str
) -> None:
    moved, plain = layer_of(name, norm_scope=norm_scope), layer_of(name, norm_scope=norm_scope)
    with torch.no_grad():
        for gate, amount in zip(moved.cell.gates, (1.0, -2.0, 0.5, 0.0), strict=False):
            matrix = moved.gate_weights()[gate].input
            assert matrix is not None
            matrix.add_(amount)
    if norm_scope == "per_gate":
        assert difference(moved, plain) <= 1e-12
    else:
        assert difference(moved, plain) > 1e-2


@pytest.mark.parametrize("norm_cell", ["none", "readout", "carried"])
def test_without_recurrence_normalising_the_sum_is_normalising_the_parts(norm_cell: str) -> None:
    separate = layer_of("layer_norm_lstm", norm_parts="separate", norm_cell=norm_cell)
    summed = layer_of("layer_norm_lstm", norm_parts="summed", norm_cell=norm_cell)
    copy_shared(summed, separate)
    with torch.no_grad():
        for gate in summed.cell.gates:
            summed.extra_weights()[f"gain_{gate}"].copy_(separate.extra_weights()[f"input_gain_{gate}"])
    assert difference(separate, summed) > 1e-2
    with torch.no_grad():
        for layer in (separate, summed):
            layer.weights()[0].recurrent_weight["hidden"].zero_()
    assert difference(separate, summed) <= 1e-12


def test_a_normalised_cell_state_is_carried_or_only_read() -> None:
    readout, carried = (layer_of("layer_norm_lstm", norm_cell=where) for where in ("readout", "carried"))
    copy_shared(carried, readout)
    at_each_step = (run(readout) - run(carried)).abs().amax((1, 2))
    assert at_each_step[0] <= 1e-12  # from c = 0 the two read the same
    assert (at_each_step[1:] > 1e-3).all()


def test_the_layer_norm_gru_is_hastes_with_torchs_own_layer_norm() -> None:
    # The CPU path of haste's LayerNormGRU, with torch's function; its gates are stacked as z, r, h.
    layer = layer_of("layer_norm_gru")
    order, hidden = ("update", "reset", "candidate"), layer.hidden_size
    gates, extras = layer.gate_weights(), layer.extra_weights()

    def stack(values: Sequence[Tensor | None]) -> Tensor:
        return torch.cat([value for value in values if value is not None])

    kernel, recurrent_kernel, bias = (
        stack([getattr(gates[gate], name) for gate in order]) for name in ("input", "recurrent", "bias")
    )
    gamma = [stack([extras[f"{share}_gain_{gate}"] for gate in order]) for share in ("input", "recurrent")]
    second = torch.cat([torch.zeros(2 * hidden, dtype=torch.float64), extras["recurrent_shift_candidate"]])
    norm = torch.nn.functional.layer_norm
    h = torch.zeros(BATCH, hidden, dtype=torch.float64)
    with torch.no_grad():
        for x, output in zip(numbers(TIME, BATCH, layer.input_size), run(layer), strict=True):
            x_z, x_r, x_n = (norm(x @ kernel.T, (3 * hidden,), gamma[0]) + bias).chunk(3, 1)
            h_z, h_r, h_n = (norm(h @ recurrent_kernel.T, (3 * hidden,), gamma[1]) + second).chunk(3, 1)
            z = (x_z + h_z).sigmoid()
            h = z * h + (1 - z) * (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
            torch.testing.assert_close(output, h, rtol=0, atol=1e-12)


CHRONO = [
    (name, options)
    for name in cell_names()
    for options in option_variants(name)
    if build_cell(name, options).chrono and build_cell(name, options).retention
]


@torch.no_grad()
def kept(layer: Recurrent, sign: int) -> float:
    """Mean share that the retained states keep when every bias of `chrono` is large in its direction, or against it."""
    cell = layer.cell
    for gate, direction in cell.chrono.items():
        set_bias(layer, [gate], sign * direction * 4.0)
    gates = layer.trace(numbers(TIME, BATCH, layer.input_size)).gates
    return float(torch.stack([gates[gate].mean() for gate in cell.retention.values()]).mean())


@pytest.mark.parametrize(("name", "options"), CHRONO, ids=case_id)
def test_a_large_bias_in_the_direction_of_chrono_keeps_the_memory(name: str, options: dict[str, Any]) -> None:
    layer = layer_of(name, **options)
    assert kept(layer, 1) > kept(layer, -1) + 0.5


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "layer_norm_lstm", "full_gate_recurrence_lstm"])
def test_chrono_shuts_the_input_gate_where_it_opens_the_forget_gate(name: str) -> None:
    assert build_cell(name).chrono == {"forget": 1, "input": -1}


def test_chrono_of_one_gate() -> None:
    expected = {
        "coupled_lstm": {"input": -1},
        "gru": {"update": 1},
        "layer_norm_gru": {"update": 1},
        "no_input_gate_lstm": {"forget": 1},
        "no_forget_gate_lstm": {},
    }
    assert {name: build_cell(name).chrono for name in expected} == expected
