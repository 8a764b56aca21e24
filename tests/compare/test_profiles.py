"""Means and profiles over tasks against rliable and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cellwise.compare.profiles import interquartile_mean_over_tasks, on_one_scale, performance_profile
from cellwise.errors import CellwiseError

TASKS = {
    "adding": [0.62, 0.71, 0.58, 0.66, 0.75, 0.69, 0.64],
    "language": [0.55, 0.71, 0.49, 0.60, 0.66, 0.58, 0.61],
}
scores = st.dictionaries(
    st.sampled_from(["adding", "copying", "language"]),
    st.lists(st.integers(-4, 12).map(lambda v: v / 8), min_size=2, max_size=6),
    min_size=1,
)


def test_the_interquartile_mean_is_that_of_rliable() -> None:
    # rliable 1.2.0, metrics.aggregate_iqm of runs x tasks
    assert interquartile_mean_over_tasks(TASKS).value == pytest.approx(0.6325, rel=1e-12)


def test_its_bounds_are_those_of_an_independent_bootstrap() -> None:
    # NumPy and scipy.stats.trim_mean, 400,000 resamples of each task by itself, BCa at +-t_12(0.975) sqrt(7 / 6)
    _, low, high = interquartile_mean_over_tasks(TASKS)
    assert (low, high) == pytest.approx((0.5925, 0.6800), abs=0.002)


def test_the_profile_is_that_of_rliable() -> None:
    # rliable 1.2.0, library.run_score_deviation at each threshold
    found = performance_profile(TASKS, [0.5, 0.6, 0.65, 0.7])
    assert found.share.tolist() == pytest.approx([13 / 14, 9 / 14, 6 / 14, 3 / 14])


def test_the_band_of_one_task_is_wilsons() -> None:
    x = TASKS["adding"]
    found = performance_profile({"adding": x}, [0.5, 0.65, 0.75])
    for place, above in enumerate((7, 4, 0)):
        wilson = stats.binomtest(above, len(x)).proportion_ci(method="wilson")
        assert (found.low[place], found.high[place]) == pytest.approx((wilson.low, wilson.high))


def test_where_every_run_is_above_a_threshold_the_band_says_how_sure_that_is() -> None:
    few, many = (performance_profile({"adding": [0.9] * n}, [0.5]) for n in (3, 30))
    assert few.share[0] == many.share[0] == few.high[0] == 1.0
    assert few.low[0] < 0.5 < 0.85 < many.low[0]


def test_each_task_has_the_same_weight_however_many_runs_it_has() -> None:
    found = performance_profile({"adding": [1.0] * 30, "copying": [0.0] * 3}, [0.5])
    assert found.share[0] == 0.5
    # as sure as 4 / (1/30 + 1/3) = 10.9 runs
    wide = performance_profile({"adding": [1.0] * 5 + [0.0] * 5}, [0.5])
    assert found.high[0] - found.low[0] == pytest.approx(wide.high[0] - wide.low[0], rel=0.05)


@settings(max_examples=30)
@given(scores, st.lists(st.integers(-8, 16).map(lambda v: v / 8), min_size=1, max_size=5))
def test_a_profile_falls_from_1_to_0_inside_its_band(tasks: dict[str, list[float]], thresholds: list[float]) -> None:
    found = performance_profile(tasks, sorted([-9.0, *thresholds, 9.0]))
    assert (found.share[0], found.share[-1]) == (1.0, 0.0)
    assert (np.diff(found.share) <= 1e-12).all()
    for one in (found.low, found.share - found.low, found.high - found.share, 1 - found.high):
        assert (one >= -1e-12).all()


@settings(max_examples=20)
@given(scores, st.sampled_from([0.5, 3.0]), st.floats(-5, 5))
def test_order_shift_and_scale_of_scores_are_those_of_the_mean(
    tasks: dict[str, list[float]], scale: float, shift: float
) -> None:
    found = interquartile_mean_over_tasks(tasks)
    turned = {task: [scale * v + shift for v in reversed(x)] for task, x in reversed(list(tasks.items()))}
    expected = [scale * v + shift for v in found]
    assert interquartile_mean_over_tasks(turned) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9


def test_a_scale_goes_from_floor_to_optimum_whichever_is_higher() -> None:
    assert on_one_scale([50.0, 100.0, 75.0, 110.0], 100.0, 50.0).tolist() == [1.0, 0.0, 0.5, -0.2]
    assert on_one_scale([0.5, 0.75], 0.5, 1.0).tolist() == [0.0, 0.5]
    with pytest.raises(CellwiseError, match="no scale goes from 1 to 1: the two ends must differ"):
        on_one_scale([0.5], 1.0, 1.0)


def test_a_task_with_one_run_takes_the_bounds_away_and_one_with_none_is_refused() -> None:
    assert interquartile_mean_over_tasks({"adding": [0.5], "copying": [0.7]}) == pytest.approx(
        (0.6, math.nan, math.nan), nan_ok=True
    )
    with pytest.raises(CellwiseError, match="task 'copying' has no score"):
        interquartile_mean_over_tasks({"adding": [0.5], "copying": []})
    with pytest.raises(CellwiseError, match="no task has a score"):
        performance_profile({}, [0.5])
    with pytest.raises(CellwiseError, match="threshold 1 of 1 is nan"):
        performance_profile(TASKS, [math.nan])
