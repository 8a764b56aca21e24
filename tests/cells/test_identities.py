"""What cells must be to each other, whatever their weights."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import dense, images, numbers

TIME, BATCH = 6, 3


@torch.no_grad()
def copy_weights(to: Recurrent | ConvRecurrent, source: Recurrent | ConvRecurrent, gates: Sequence[str]) -> None:
    theirs = source.gate_weights()
    for gate in gates:
        for name, value in to.gate_weights()[gate]._asdict().items():
            other = getattr(theirs[gate], name)
            assert (value is None) == (other is None)
            if value is not None:
                value.copy_(other.reshape(value.shape))


@torch.no_grad()
def set_extras(layer: Recurrent, value: float) -> None:
    for extra in layer.extra_weights().values():
        extra.fill_(value)


@torch.no_grad()
def difference(a: Recurrent, b: Recurrent) -> float:
    x = numbers(TIME, BATCH, a.input_size)
    return float((a(x)[0] - b(x)[0]).abs().max())


def test_without_peepholes_a_peephole_lstm_is_the_lstm() -> None:
    lstm, peephole = dense(lambda: build_cell("lstm")), dense(lambda: build_cell("peephole_lstm"))
    copy_weights(peephole, lstm, lstm.cell.gates)
    assert difference(peephole, lstm) > 1e-3
    set_extras(peephole, 0.0)
    assert difference(peephole, lstm) <= 1e-12


def test_without_peepholes_the_two_coupled_forms_are_one() -> None:
    plain = dense(lambda: build_cell("coupled_lstm"))
    peephole = dense(lambda: build_cell("coupled_lstm", {"peepholes": True}))
    copy_weights(peephole, plain, plain.cell.gates)
    assert difference(peephole, plain) > 1e-3
    set_extras(peephole, 0.0)
    assert difference(peephole, plain) <= 1e-12


def test_an_lstm_whose_forget_weights_are_its_input_weights_negated_is_coupled() -> None:
    coupled, lstm = dense(lambda: build_cell("coupled_lstm")), dense(lambda: build_cell("lstm"))
    copy_weights(lstm, coupled, coupled.cell.gates)
    weights = lstm.gate_weights()
    with torch.no_grad():
        for name, value in weights["forget"]._asdict().items():
            if value is not None:
                value.copy_(-getattr(weights["input"], name))  # sigmoid(-v) = 1 - sigmoid(v)
    assert difference(lstm, coupled) <= 1e-12


@pytest.mark.parametrize("peepholes", [True, False])
def test_coupled_gates_sum_to_one(peepholes: bool) -> None:
    layer = dense(lambda: build_cell("coupled_lstm", {"peepholes": peepholes}))
    gates = layer.trace(numbers(TIME, BATCH, layer.input_size)).gates
    torch.testing.assert_close(gates["forget"] + gates["input"], torch.ones_like(gates["input"]), rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm"])
def test_a_1x1_conv_lstm_on_a_1x1_image_is_the_lstm(name: str) -> None:
    layer, conv = dense(lambda: build_cell(name)), images(lambda: build_cell(name), 1)
    copy_weights(conv, layer, layer.cell.gates)
    with torch.no_grad():
        for extra, value in conv.extra_weights().items():
            value.copy_(layer.extra_weights()[extra])
    x = numbers(TIME, BATCH, layer.input_size)
    output = conv(x[..., None, None])[0][..., 0, 0]
    torch.testing.assert_close(output, layer(x)[0], rtol=0, atol=1e-12)


def test_the_two_places_of_the_reset_gate_are_two_functions() -> None:
    after = dense(lambda: build_cell("gru", {"reset": "after"}))
    before = dense(lambda: build_cell("gru", {"reset": "before"}))
    with torch.no_grad():
        after.weights()[0].part_bias["candidate_recurrent"].zero_()
        for gate in after.cell.gates:
            for name in ("input", "recurrent", "bias"):
                getattr(before.gate_weights()[gate], name).copy_(getattr(after.gate_weights()[gate], name))
    assert difference(after, before) > 1e-2
    with torch.no_grad():  # with the reset gate open for good they are the same
        for layer in (after, before):
            bias = layer.gate_weights()["reset"].bias
            assert bias is not None
            bias.fill_(100.0)
    assert difference(after, before) <= 1e-12
