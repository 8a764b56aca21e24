"""Whatever network the layers are part of, their insides are those of a trace, and looking changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cellwise.cells.registry import build_cell
from cellwise.network.sequence_model import SequenceModel
from cellwise.network.sequence_to_sequence import SequenceToSequence
from cellwise.network.settings import SequenceSettings
from cellwise.probes.insides import Insides, at_rest, look, places
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, images, numbers

TIME, BATCH = 5, 3
LENGTHS = [TIME, 0, 2]


def seen(layer: Recurrent | ConvRecurrent, x: Tensor, lengths: list[int] | None = None) -> list[Insides]:
    return look([layer], lambda: layer(x, None, lengths)[0])[1]


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
def test_they_are_what_a_trace_shows_of_every_layer_and_direction(lengths: list[int] | None) -> None:
    layer = dense(lambda: build_cell("peephole_lstm"), num_layers=2, bidirectional=True)
    x = numbers(TIME, BATCH, INPUT)
    trace, found = layer.trace(x, lengths=lengths), seen(layer, x, lengths)
    assert [one.key for one in found] == ["0.0", "0.1", "0.2", "0.3"]
    for place, one in enumerate(found):
        for stores, expected in ((one.gates, trace.gates), (one.states, trace.states)):
            for name in stores:
                steps = torch.stack(stores[name])
                for row, length in enumerate(lengths or [TIME] * BATCH):
                    right = expected[name][place, :length, row]
                    assert torch.equal(steps[:length, row], right.flip(0) if one.turned else right)


def test_values_by_unit_are_those_of_valid_steps_alone_and_every_pixel() -> None:
    layer = images(lambda: build_cell("gru"), 3)
    (one,) = seen(layer, numbers(TIME, BATCH, INPUT, 4, 2), LENGTHS)
    values = one.by_unit(one.gates, "update")
    assert values.shape == (sum(LENGTHS) * 4 * 2, HIDDEN)
    assert values.min() > 0  # past a row's length a gate is 0


def test_steps_of_later_calls_follow_those_of_the_first() -> None:
    layer = dense(lambda: build_cell("lstm"))
    x = numbers(TIME, BATCH, INPUT)

    def in_two() -> Tensor:
        _, state = layer(x[:2])
        output: Tensor = layer(x[2:], state)[0]
        return output

    _, (halves,) = look([layer], in_two)
    (whole,) = seen(layer, x)
    assert halves.valid.shape == (TIME, BATCH)
    torch.testing.assert_close(torch.stack(halves.states["c"]), torch.stack(whole.states["c"]), rtol=0, atol=1e-12)


def test_a_layer_that_is_not_called_or_has_no_steps_is_left_out() -> None:
    one, other = dense(lambda: build_cell("lstm")), dense(lambda: build_cell("lstm"))
    _, found = look(
        [one, other], lambda: other(numbers(TIME, BATCH, INPUT))[0] + one(numbers(0, BATCH, INPUT))[0].sum()
    )
    assert [each.key for each in found] == ["1.0"]


def test_an_encoder_and_a_decoder_with_attention_need_nothing_written() -> None:
    network = SequenceToSequence("gru", INPUT, 2, HIDDEN, bidirectional=True, attention=True)
    layers = [network.encoder, network.decoder]
    _, found = look(layers, lambda: network(numbers(TIME, BATCH, INPUT).float(), numbers(4, BATCH, 2).float()))
    assert [(one.key, len(one.valid)) for one in found] == [("0.0", TIME), ("0.1", TIME), ("1.0", 4)]
    _, found = look(layers, lambda: network.generate(numbers(TIME, BATCH, INPUT).float(), 3))
    assert [len(one.valid) for one in found] == [TIME, TIME, 3]  # a call of the decoder for each step


@pytest.mark.parametrize("cell", ["lstm", "minimal_gru", "indrnn"])
def test_on_any_engine_it_is_the_same_network(cell: str) -> None:
    layer = dense(lambda: build_cell(cell), engine="auto")
    x = numbers(TIME, BATCH, INPUT)
    output, _ = look([layer], lambda: layer(x)[0])
    torch.testing.assert_close(output, layer(x)[0], rtol=0, atol=1e-12)
    assert layer._watchers is None


def test_afterwards_the_network_is_in_the_mode_it_was_in_and_random_numbers_go_on() -> None:
    network = SequenceModel("gru", INPUT, 1, SequenceSettings(hidden_size=HIDDEN, dropout=0.5))
    network.head.eval()  # as one part may be frozen
    modes = [module.training for module in network.modules()]
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with at_rest(network):
        assert not any(module.training for module in network.modules())
        nn.functional.dropout(torch.rand(5), 0.5)
    assert torch.equal(torch.rand(2), expected)
    assert [module.training for module in network.modules()] == modes


def test_the_first_layer_of_every_network_has_the_same_names() -> None:
    one, deep = dense(lambda: build_cell("lstm")), dense(lambda: build_cell("lstm"), num_layers=2, bidirectional=True)
    assert {key: tuple(vars(place).values()) for key, place in places([one]).items()} == {"0.0": ("", "")}
    assert [(place.name, place.words) for place in places([deep]).values()] == [
        ("", ", layer 1"),
        ("_layer_1_backward", ", layer 1 backward"),
        ("_layer_2", ", layer 2"),
        ("_layer_2_backward", ", layer 2 backward"),
    ]
    assert [place.name for place in places([one, deep]).values()][:2] == ["", "_part_2_layer_1"]
