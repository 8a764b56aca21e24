"""The evidence of a network that answers with a number, against numbers counted by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cellwise.records.schema import Curves, Series, load_view, save_view
from cellwise.tasks.memory.views import answer_by_sum, error_by_distance

GENERATOR = np.random.default_rng(0)
SUMS = GENERATOR.triangular(0, 1, 2, 4000)


def by_name(view: Curves) -> dict[str, Series]:
    return {series.name: series for series in view.series}


def test_the_error_is_the_mean_square_at_each_distance() -> None:
    """A made-up network that is off by a hundredth for each step it had to remember."""
    kept = GENERATOR.integers(10, 20, 4000)
    view = error_by_distance(SUMS + kept / 100, SUMS, kept, {"mean": 1 / 6})
    found = by_name(view)
    assert found["model"].x.tolist() == list(range(10, 20))
    np.testing.assert_allclose(found["model"].y, (np.arange(10, 20) / 100) ** 2)
    assert found["mean"].role == "floor"
    assert set(found["mean"].y) == {1 / 6}
    assert (view.x.unit, view.y.scale) == ("steps", "log")


@pytest.mark.parametrize(("longest", "points", "width"), [(19, 20, 1), (20, 11, 2), (374, 20, 19)])
def test_long_sequences_are_taken_together_in_twenty_points_or_fewer(longest: int, points: int, width: int) -> None:
    kept = np.tile(np.arange(longest + 1), 10)
    sums = np.ones(len(kept))
    measured = error_by_distance(sums + kept, sums, kept, {}).series[0]
    assert len(measured.x) == points
    first = np.arange(width)
    assert measured.x[0] == first.mean()
    assert measured.y[0] == pytest.approx(np.square(first).mean())


def test_right_answers_lie_on_the_diagonal() -> None:
    found = by_name(answer_by_sum(SUMS.copy(), SUMS))
    np.testing.assert_array_equal(found["model"].y, found["right"].y)
    np.testing.assert_array_equal(found["right"].x, found["right"].y)
    assert found["right"].role == "optimum"
    np.testing.assert_allclose(found["model"].x, np.arange(20) / 10 + 0.05, atol=1e-12)


def test_answers_that_keep_to_the_mean_lie_on_the_floor_but_for_the_width_of_a_tenth() -> None:
    found = by_name(answer_by_sum(np.ones(len(SUMS)), SUMS))
    assert found["always the mean"].role == "floor"
    np.testing.assert_allclose(found["model"].y, found["always the mean"].y, atol=0.05)


def test_the_band_holds_eight_of_ten_answers() -> None:
    answers = SUMS + GENERATOR.uniform(-0.5, 0.5, len(SUMS))
    model = by_name(answer_by_sum(answers, SUMS))["model"]
    assert model.low is not None and model.high is not None
    inside = slice(5, 15)  # tenths with many sums
    np.testing.assert_allclose(model.high[inside] - model.low[inside], 0.8, atol=0.1)
    np.testing.assert_allclose(model.y[inside], model.x[inside], atol=0.1)


def test_what_occurs_less_than_five_times_is_left_out_unless_everything_does() -> None:
    kept = np.array([3] * 5 + [4] * 4)
    sums = np.ones(9)
    assert error_by_distance(sums, sums, kept, {}).series[0].x.tolist() == [3]
    assert error_by_distance(sums[5:], sums[5:], kept[5:], {}).series[0].x.tolist() == [4]


@pytest.mark.parametrize("answer", [math.nan, math.inf, 1e300])
def test_a_run_that_has_diverged_has_views_all_the_same(answer: float, tmp_path: Path) -> None:
    answers, kept = np.full(len(SUMS), answer), np.arange(len(SUMS)) % 10
    for view in (error_by_distance(answers, SUMS, kept, {"mean": 1 / 6}), answer_by_sum(answers, SUMS)):
        load_view(save_view(view, tmp_path))
        assert not np.isclose(view.series[0].y, 0).any()
