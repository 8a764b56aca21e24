"""Bootstrapped bounds against scipy's BCa and by what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellwise.compare.bootstrap import bootstrap_bounds
from cellwise.compare.statistics import mean_interval, t_interval

Floats = npt.NDArray[np.float64]
# Twelve scores, one of them far off.
SCORES = [0.31, 0.42, 0.55, 0.61, 0.78, 0.95, 1.2, 1.31, 2.4, 5.7, 0.5, 0.66]
rows = arrays(np.float64, st.integers(10, 16), elements=st.integers(-500, 500).map(lambda v: v / 8))


def bounds(x: Floats) -> Floats:
    return np.array(mean_interval(x)[1:])


def test_the_bounds_are_scipys_bca_at_the_widened_level() -> None:
    # scipy 1.17.1, stats.bootstrap(method="BCa", n_resamples=400_000) at confidence 1 - 2 Phi(-t_11 sqrt(12 / 11)), two
    # seeds: [0.71333, 3.13512] and [0.71333, 3.13667]
    _, low, high = mean_interval(SCORES)
    assert (low, high) == pytest.approx((0.7133, 3.136), abs=0.025)


def test_of_skewed_scores_the_interval_leans_to_where_they_are_skewed() -> None:
    value, low, high = mean_interval(SCORES)
    assert high - value > 2 * (value - low)
    assert value - t_interval(SCORES).low == pytest.approx(t_interval(SCORES).high - value)


@settings(max_examples=25)
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_scores_does_not_matter(x: Floats, random: object) -> None:
    shuffled = x.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert bounds(shuffled).tolist() == bounds(x).tolist()


@settings(max_examples=25)
@given(rows, st.floats(-1000, 1000), st.sampled_from([0.01, 1.0, 300.0, -1.0, -7.0]))
def test_shift_scale_and_sign_of_scores_are_those_of_the_bounds(x: Floats, shift: float, scale: float) -> None:
    expected = np.sort(bounds(x) * scale + shift)
    assert bounds(x * scale + shift) == pytest.approx(expected, rel=1e-6, abs=1e-6 * (1 + abs(shift)))


@settings(max_examples=25)
@given(rows)
def test_bounds_hold_the_mean_between_them_and_lie_among_the_scores(x: Floats) -> None:
    value, low, high = mean_interval(x)
    rounding = 1e-9 * (1 + np.abs(x).max())
    assert x.min() - rounding <= low <= value + rounding
    assert value - rounding <= high <= x.max() + rounding


def test_the_same_scores_have_the_same_bounds_whatever_random_numbers_were_drawn_before() -> None:
    before = bounds(np.array(SCORES))
    np.random.default_rng(0).normal(size=1000)
    assert bounds(np.array(SCORES)).tolist() == before.tolist()


@pytest.mark.parametrize("level", [0.5, 0.8, 0.99])
def test_a_higher_level_is_a_wider_interval(level: float) -> None:
    narrow, wide = mean_interval(SCORES, level), mean_interval(SCORES, level + 0.009)
    assert wide.low < narrow.low
    assert narrow.high < wide.high


def test_scores_of_one_value_have_an_interval_without_width() -> None:
    assert mean_interval([0.1] * 12) == pytest.approx((0.1, 0.1, 0.1))


def test_one_score_that_differs_makes_an_interval_of_tied_scores() -> None:
    value, low, high = mean_interval([0.0] * 9 + [1.0])
    assert (value, low) == (0.1, 0.0)
    assert 0.3 < high <= 1.0


def test_each_stratum_is_resampled_by_itself() -> None:
    # Two strata far apart: a resample that mixed them would move the mean by tens.
    low, high = bootstrap_bounds(
        [10, 10],
        lambda drawn: np.mean(
            [np.arange(10)[drawn[0]].mean(axis=1), 1000 + np.arange(10)[drawn[1]].mean(axis=1)], axis=0
        ),
    )
    assert 502 < low < 504.5 < high < 507
    # Half the mean of two independent means: t of 18 at 0.975, widened by sqrt(10 / 9)
    se = math.sqrt(2 * np.var(np.arange(10)) / 10) / 2
    assert (high - low) / 2 == pytest.approx(2.1009 * math.sqrt(10 / 9) * se, rel=0.05)
