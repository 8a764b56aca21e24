"""Intervals over events against statsmodels' clustered errors and by what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwise.compare.blocks import consecutive, difference_over_events, interval_over_events
from cellwise.compare.statistics import mean_interval, t_interval
from cellwise.errors import CellwiseError

VALUES = [1.0, 1.2, 0.9, 2.0, 2.3, 0.5, 0.4, 0.6, 0.55, 1.1, 1.6]
EVENTS = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3]
examples = st.lists(st.tuples(st.integers(-20, 20).map(lambda v: v / 4), st.integers(0, 5)), min_size=1, max_size=30)


def test_the_interval_of_few_events_is_statsmodels_clustered_one() -> None:
    # statsmodels 0.15.0, OLS(values, 1).fit(cov_type="cluster", groups=EVENTS, use_t=True).conf_int()
    expected = (1.1045454545454545, 0.03412179, 2.17496912)
    assert interval_over_events(VALUES, EVENTS) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("n", [4, 12])
def test_events_of_one_example_are_single_values(n: int) -> None:
    x = np.random.default_rng(n).lognormal(size=n)
    assert interval_over_events(x, range(n)) == pytest.approx(mean_interval(x), rel=1e-9)


def test_frames_that_repeat_each_other_make_nothing_surer() -> None:
    x = np.random.default_rng(1).normal(size=12)
    thirty_times = np.repeat(x, 30)
    of_events = interval_over_events(thirty_times, np.repeat(np.arange(12), 30))
    assert of_events == pytest.approx(mean_interval(x), rel=1e-6)
    as_if_independent = t_interval(thirty_times)
    assert of_events.high - of_events.low > 4 * (as_if_independent.high - as_if_independent.low)


@settings(max_examples=30)
@given(examples, st.randoms(use_true_random=False), st.floats(-9, 9), st.sampled_from([0.5, 1.0, -2.0]))
def test_order_names_shift_scale_and_sign_do_not_matter(
    pairs: list[tuple[float, int]], random: object, shift: float, scale: float
) -> None:
    values, events = (list(column) for column in zip(*pairs, strict=True))
    found = interval_over_events(values, events)
    assert found.value == pytest.approx(np.mean(values))
    mixed = list(pairs)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    turned = interval_over_events([scale * v + shift for v, _ in mixed], [f"storm {9 - e}" for _, e in mixed])
    bounds = sorted(scale * v + shift for v in found[1:])
    assert turned == pytest.approx((scale * found.value + shift, *bounds), rel=1e-6, abs=1e-6, nan_ok=True)


def test_the_difference_of_two_cells_is_taken_example_by_example() -> None:
    other = [v - 0.1 for v in VALUES]
    assert difference_over_events(VALUES, other, EVENTS) == pytest.approx((0.1, 0.1, 0.1))
    turned = difference_over_events(np.zeros(11), VALUES, EVENTS)
    assert turned == pytest.approx(tuple(-v for v in np.array(interval_over_events(VALUES, EVENTS))[[0, 2, 1]]))


def test_one_event_has_no_bounds_and_no_example_no_mean() -> None:
    assert interval_over_events([1.0, 3.0], ["storm", "storm"]) == pytest.approx((2.0, math.nan, math.nan), nan_ok=True)
    assert all(math.isnan(v) for v in interval_over_events([], []))


def test_a_series_is_cut_into_consecutive_events() -> None:
    assert consecutive(7, 3).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert consecutive(0, 3).tolist() == []
    with pytest.raises(CellwiseError, match="length=0 must be 1 or more examples"):
        consecutive(7, 0)


def test_events_that_do_not_fit_are_refused() -> None:
    with pytest.raises(CellwiseError, match="each example needs one event, got 2 examples and 1 events"):
        interval_over_events([1.0, 2.0], [0])
