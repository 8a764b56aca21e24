"""Counts of gates against a direct count, and the views made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cellwise.cells.registry import build_cell
from cellwise.probes.gates import EDGES, count, saturation, views
from cellwise.probes.insides import Insides, Place
from cellwise.records.schema import Curves, Heatmap
from cellwise.testing.layers import INPUT, dense, images, numbers
from tests.probes.test_insides import LENGTHS, TIME, seen

NAMES = {"0.0": Place("", "")}


def made_up(**gates: list[float]) -> Insides:
    """One row, one unit, these values a step."""
    steps = {name: [torch.tensor([[value]], dtype=torch.float64) for value in values] for name, values in gates.items()}
    time = len(next(iter(steps.values())))
    return Insides("0.0", build_cell("rnn"), False, steps, {"h": steps[next(iter(steps))]}, torch.ones(time, 1).bool())


def views_of(*moments: Insides) -> dict[str, Heatmap | Curves]:
    counted = {step: count(one) for step, one in enumerate(moments)}
    found = views(counted, {**counted[len(moments) - 1], **saturation(moments[-1])}, NAMES)
    return {view.name: view for view in found if isinstance(view, Heatmap | Curves)}


@pytest.mark.parametrize("cell", ["peephole_lstm", "ligru"])  # ligru has a gate without an upper end
@pytest.mark.parametrize("size", [0.3, 40.0])
def test_every_bin_and_every_share_is_that_of_a_direct_count(cell: str, size: float) -> None:
    layer = dense(lambda: build_cell(cell))
    x = size * numbers(TIME, 3, INPUT)
    (one,) = seen(layer, x, LENGTHS)
    trace = layer.trace(x, lengths=LENGTHS)
    counted, saturated = count(one), saturation(one)
    for gate, values in trace.gates.items():
        valid = np.concatenate([values[0, :length, row].detach().numpy() for row, length in enumerate(LENGTHS)])
        bins, _ = np.histogram(valid, EDGES)
        assert counted[f"0.0/{gate}/bins"][1:-1].tolist() == bins.tolist()
        assert counted[f"0.0/{gate}/bins"].sum() == valid.size
        assert counted[f"0.0/{gate}/ends"].tolist() == [valid.min(), valid.max()]
        expected = [[(unit < -0.9).mean(), (unit < 0.1).mean(), (unit > 0.9).mean()] for unit in valid.T]
        np.testing.assert_allclose(saturated[f"0.0/{gate}/saturated"].numpy().T, expected, rtol=1e-12)


def test_on_images_every_pixel_counts() -> None:
    (one,) = seen(images(lambda: build_cell("lstm"), 3), numbers(TIME, 2, INPUT, 4, 3))
    assert count(one)["0.0/forget/bins"].sum() == TIME * 2 * 4 * 3 * 4


def test_a_heat_map_has_the_share_of_values_in_each_bin_and_a_column_for_each_moment() -> None:
    found = views_of(made_up(forget=[0.5, 0.52, 0.51, 0.97]), made_up(forget=[0.0, 1.0, 0.06, 0.07]))
    view = found["gate_forget_over_training"]
    assert isinstance(view, Heatmap)
    assert (view.about, view.x.scale, view.x_values.tolist()) == ("cell", "category", ["0", "1"])
    assert (view.y.least, view.y.most, len(view.y_values)) == (0.0, 1.0, 20)
    assert view.values[10, 0] == 0.75  # from 0.5 to 0.55
    assert view.values[[0, 1, 19], 1].tolist() == [0.25, 0.5, 0.25]  # both ends lie in a bin
    np.testing.assert_allclose(view.values.sum(0), 1)


def test_a_gate_with_negative_values_has_its_ends_at_minus_one_and_one() -> None:
    found = views_of(made_up(candidate=[0.95, -0.95, -0.99, 1.0]))
    view, dots = found["gate_candidate_over_training"], found["gate_candidate_at_its_ends"]
    assert isinstance(view, Heatmap) and isinstance(dots, Curves)
    assert (view.y.least, view.y.most) == (-1.0, 1.0)
    assert view.values[[0, 19], 0].tolist() == [0.5, 0.5]
    assert (dots.series[0].x.tolist(), dots.series[0].y.tolist()) == ([0.5], [0.5])
    assert dots.x.name.endswith("below -0.9")


def test_shut_and_open_are_below_a_tenth_and_above_nine() -> None:
    dots = views_of(made_up(output=[0.05, 0.09, 0.1, 0.5, 0.91]))["gate_output_shut_and_open"]
    assert isinstance(dots, Curves)
    assert (dots.marks, dots.series[0].x.tolist(), dots.series[0].y.tolist()) == ("dots", [0.4], [0.2])


def test_a_gate_without_ends_has_wider_bins_outside_and_no_saturation() -> None:
    found = views_of(made_up(candidate=[0.0, 0.5, 3.0, 3000.0]))
    assert list(found) == ["gate_candidate_over_training"]
    view = found["gate_candidate_over_training"]
    assert isinstance(view, Heatmap)
    assert view.y.most is None
    assert view.y_values[-1] > 1000
    assert (view.values > 0).sum() == 4


def test_what_ends_a_gate_has_is_decided_by_all_that_was_seen_of_it() -> None:
    found = views_of(made_up(candidate=[0.5, 2.0]), made_up(candidate=[0.5, 0.6]))
    assert "gate_candidate_shut_and_open" not in found


def test_a_network_that_has_diverged_has_views_all_the_same() -> None:
    nan = float("nan")
    for view in views_of(made_up(forget=[nan, nan]), made_up(forget=[nan, 0.5])).values():
        if isinstance(view, Heatmap):
            assert view.values.sum(0).tolist() == [0, 1]
