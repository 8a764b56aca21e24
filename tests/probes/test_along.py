"""Which units are shown along a sequence, and what stands beneath."""

from __future__ import annotations

import torch

from cellwise.cells.registry import build_cell
from cellwise.probes.along import STEPS, UNITS, along, views
from cellwise.probes.insides import Place
from cellwise.records.schema import Heatmap
from cellwise.tasks.contract import Probed
from cellwise.testing.layers import INPUT, dense, images, numbers
from tests.probes.test_insides import seen

NAMES = {"0.0": Place("", ""), "0.1": Place("_layer_1_backward", ", layer 1 backward")}
TIME = 6


def test_the_units_are_those_whose_output_varies_most_along_the_first_row() -> None:
    layer, x = dense(lambda: build_cell("lstm"), hidden_size=12), numbers(TIME, 2, INPUT)
    found = along(seen(layer, x)[0])
    trace = layer.trace(x)
    output = trace.states["h"][0, :, 0]
    expected = sorted(range(12), key=lambda unit: -output[:, unit].std().item())[:UNITS]
    assert found["0.0/units"].tolist() == expected
    for name, values in {"gate_forget": trace.gates["forget"], "state_h": trace.states["h"]}.items():
        assert torch.equal(found[f"0.0/{name}/along"], values[0, :, 0, expected].t())


def test_both_directions_are_in_the_order_of_the_input_up_to_the_rows_end() -> None:
    layer, x = dense(lambda: build_cell("gru"), bidirectional=True), numbers(TIME, 2, INPUT)
    trace = layer.trace(x, lengths=[4, TIME])
    for one in seen(layer, x, [4, TIME]):
        found, place = along(one), int(one.key[-1])
        units = found[f"{one.key}/units"]
        assert torch.equal(found[f"{one.key}/state_h/along"], trace.states["h"][place, :4, 0][:, units].t())


def test_on_images_a_unit_is_the_mean_over_the_image() -> None:
    layer, x = images(lambda: build_cell("gru"), 3), numbers(TIME, 2, INPUT, 4, 2)
    found = along(seen(layer, x)[0])
    expected = layer.trace(x).states["h"][0, :, 0].mean((-1, -2))[:, found["0.0/units"]].t()
    torch.testing.assert_close(found["0.0/state_h/along"], expected)


def test_words_stand_beneath_where_each_step_read_one() -> None:
    found = along(seen(dense(lambda: build_cell("gru")), numbers(TIME, 2, INPUT))[0])
    words = ("the", "cat", "saw", "the", "cat", ".")
    (view,) = [
        v for v in views(found, Probed(None, words, redistributable=False), NAMES) if v.name == "along_sequence_state_h"
    ]
    assert isinstance(view, Heatmap)
    assert (view.words, view.about, view.values.shape) == (words, "cell", (4, TIME))
    assert not view.redistributable  # as the words are not
    assert view.y_values.tolist() == [str(unit) for unit in reversed(found["0.0/units"].tolist())]
    assert view.values[-1].tolist() == found["0.0/state_h/along"][0].tolist()  # varies most, so on top
    for other in (words[:3], ()):  # a front that takes two words at a time; a task without words
        shown = views(found, Probed(None, other, redistributable=False), NAMES)
        assert all(v.words == () and v.redistributable for v in shown if isinstance(v, Heatmap))


def test_a_long_sequence_is_shown_from_its_beginning() -> None:
    found = along(seen(dense(lambda: build_cell("gru")), numbers(STEPS + 20, 1, INPUT))[0])
    words = tuple(str(n) for n in range(STEPS + 20))
    for view in views(found, Probed(None, words), NAMES):
        assert isinstance(view, Heatmap)
        assert view.words == words[:STEPS]
        assert view.values.shape[1] == STEPS
