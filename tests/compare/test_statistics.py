"""The statistics against scipy's own tests, published tables and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cellwise.compare.statistics import (
    holm,
    interquartile_mean,
    mean_interval,
    paired_difference,
    paired_power,
    seeds_needed,
    smallest_detectable_difference,
    unpaired_difference,
)

scores = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=12, unique=True)


@given(scores, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_is_scipys_t_interval(x: list[float], level: float) -> None:
    expected = stats.t.interval(level, len(x) - 1, np.mean(x), stats.sem(x))
    assert mean_interval(x, level) == pytest.approx((np.mean(x), *expected), rel=1e-9, abs=1e-9)


def test_one_value_has_a_mean_and_no_bounds() -> None:
    assert mean_interval([3.0]) == pytest.approx((3.0, math.nan, math.nan), nan_ok=True)
    assert all(math.isnan(v) for v in mean_interval([]))


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_covers_the_truth_as_often_as_it_says(n: int) -> None:
    draws = np.random.default_rng(7).normal(5.0, 2.0, (4000, n))
    covered = np.mean([low <= 5.0 <= high for _, low, high in map(mean_interval, draws)])
    # 4000 trials: standard error 0.0034
    assert covered == pytest.approx(0.95, abs=0.014)


@given(scores)
def test_the_interquartile_mean_is_scipys_trimmed_mean(x: list[float]) -> None:
    assert interquartile_mean(x) == pytest.approx(float(stats.trim_mean(x, 0.25)), abs=1e-9)


def test_the_interquartile_mean_forgets_an_outlier() -> None:
    assert interquartile_mean([1.0, 2.0, 3.0, 1e9]) == 2.5


@given(st.integers(2, 12), st.integers(0, 1000))
def test_the_paired_difference_is_scipys_paired_t_test(n: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, n))
    expected = stats.ttest_rel(a, b)
    low, high = expected.confidence_interval(0.95)
    found = paired_difference(a, b)
    assert found[:4] == pytest.approx(((a - b).mean(), low, high, expected.pvalue), rel=1e-9)
    assert found.n == n
    assert found.sd == pytest.approx(np.std(a - b, ddof=1))


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 1000))
def test_the_unpaired_difference_is_scipys_welch_test(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, n), rng.normal(1, 3, m)
    expected = stats.ttest_ind(a, b, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert unpaired_difference(a, b)[:4] == pytest.approx((a.mean() - b.mean(), low, high, expected.pvalue))


def test_differences_without_spread_or_pairs_need_no_special_case() -> None:
    assert paired_difference([1.0, 2.0], [1.0, 2.0]).p == 1.0
    assert paired_difference([2.0, 3.0], [1.0, 2.0])[:4] == (1.0, 1.0, 1.0, 0.0)
    assert math.isnan(paired_difference([1.0], [2.0]).p)
    assert math.isnan(unpaired_difference([1.0], [2.0, 3.0]).p)
    assert unpaired_difference([1.0, 1.0], [2.0, 2.0])[:4] == (-1.0, -1.0, -1.0, 0.0)
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("effect", "power", "pairs"),
    # G*Power 3.1 and Cohen (1988), two-sided paired t-test at alpha 0.05
    [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.9, 44), (1.0, 0.8, 10)],
)
def test_the_seeds_needed_are_those_of_published_tables(effect: float, power: float, pairs: int) -> None:
    assert seeds_needed(effect, 1.0, power) == pairs
    assert seeds_needed(-3 * effect, 3.0, power) == pairs


@pytest.mark.parametrize("n", [3, 5])
def test_the_smallest_detectable_difference_is_detected_four_times_in_five(n: int) -> None:
    smallest = smallest_detectable_difference(2.0, n)
    draws = np.random.default_rng(3).normal(smallest, 2.0, (20_000, n))
    rejected = np.mean(stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05)
    assert rejected == pytest.approx(0.8, abs=0.012)


@given(st.integers(2, 60), st.sampled_from([0.05, 0.005, 0.0005]), st.floats(0.5, 0.95))
def test_seeds_and_difference_are_inverse_to_each_other(n: int, alpha: float, power: float) -> None:
    smallest = smallest_detectable_difference(1.5, n, power, alpha)
    assert paired_power(smallest, 1.5, n, alpha) == pytest.approx(power, abs=1e-6)
    assert seeds_needed(smallest * 1.0001, 1.5, power, alpha) == n


def test_a_vanishing_difference_takes_no_number_of_seeds() -> None:
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(1.0, 0.0) == 2
    assert smallest_detectable_difference(1.0, 1) == math.inf
    # the normal approximation takes over where t is the same to the last digit
    assert seeds_needed(0.001, 1.0) == math.ceil(((1.959964 + 0.8416212) / 0.001) ** 2)


def test_holm_is_the_textbook_example() -> None:
    # Holm (1979): sorted p times (k, k - 1, ...), never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02, math.nan, 0.01]) == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)
    assert holm([]).shape == (0,)


def test_holm_keeps_the_chance_of_any_false_claim_below_five_percent() -> None:
    p = np.random.default_rng(1).uniform(size=(4000, 6))
    assert np.mean([holm(row).min() < 0.05 for row in p]) < 0.06


def test_without_a_difference_the_power_is_the_chance_of_a_false_claim() -> None:
    assert paired_power(0.0, 1.0, 5) == pytest.approx(0.05)
    draws = np.random.default_rng(5).normal(0.3, 1.0, (40_000, 4))
    rejected = np.mean(stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05)
    assert paired_power(0.3, 1.0, 4) == pytest.approx(rejected, abs=0.005)
