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
    t_interval,
    unpaired_difference,
)

scores = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=2, max_size=12, unique=True)
A = [0.62, 0.71, 0.58, 0.66, 0.75, 0.69, 0.64]
B = [0.55, 0.71, 0.49, 0.60, 0.66, 0.58, 0.61]
C = [0.9, 0.2, 0.4, 0.5, 0.7]


@given(scores, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_of_fewer_than_ten_is_scipys_t_interval(x: list[float], level: float) -> None:
    expected = stats.t.interval(level, len(x) - 1, np.mean(x), stats.sem(x))
    assert t_interval(x, level) == pytest.approx((np.mean(x), *expected), rel=1e-9, abs=1e-9)
    assert (mean_interval(x, level) == pytest.approx(t_interval(x, level), rel=1e-9, abs=1e-9)) == (len(x) < 10)


def test_the_interval_is_that_of_statsmodels() -> None:
    # statsmodels 0.15.0, DescrStatsW(A).tconfint_mean()
    assert mean_interval(A) == pytest.approx((0.6642857142857143, 0.6111957168661519, 0.7173757117052766), rel=1e-12)


def test_one_value_has_a_mean_and_no_bounds() -> None:
    assert mean_interval([3.0]) == pytest.approx((3.0, math.nan, math.nan), nan_ok=True)
    assert all(math.isnan(v) for v in mean_interval([]))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_curve_has_a_gap_where_a_run_diverged(wrong: float) -> None:
    assert all(math.isnan(v) for v in t_interval([1.0, wrong, 2.0]))
    assert all(math.isnan(v) for v in t_interval([]))


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


def test_the_differences_are_those_of_statsmodels() -> None:
    # statsmodels 0.15.0, DescrStatsW(A - B) and CompareMeans(A, C) with unequal variances
    assert paired_difference(A, B)[:4] == pytest.approx(
        (0.06428571428571428, 0.028924363642077892, 0.09964706492935066, 0.004336573965170408), rel=1e-9
    )
    found = unpaired_difference(A, C)
    assert found[1:4] == pytest.approx((-0.20853367774282194, 0.4571051063142504, 0.3653550856958403), rel=1e-9)


@given(scores, st.integers(0, 100), st.floats(-50, 50), st.sampled_from([0.1, 1.0, 20.0]))
def test_shift_scale_order_and_sign_of_scores_are_those_of_the_difference(
    a: list[float], seed: int, shift: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    first, second = np.array(a), rng.normal(size=len(a))
    order = rng.permutation(len(a))
    found = paired_difference(first, second)
    for other, sign in (
        (paired_difference(first[order], second[order]), 1),
        (paired_difference(scale * first + shift, scale * second + shift), scale),
    ):
        assert other[:3] == pytest.approx([sign * v for v in found[:3]], rel=1e-6, abs=1e-6)
        assert other.p == pytest.approx(found.p, rel=1e-4, abs=1e-9)
    turned = paired_difference(second, first)
    assert (turned.mean, turned.low, turned.high) == pytest.approx((-found.mean, -found.high, -found.low))
    assert turned.p == pytest.approx(found.p)


def test_equal_scores_do_not_differ() -> None:
    assert paired_difference([1.0, 2.0], [1.0, 2.0])[:4] == (0.0, 0.0, 0.0, 1.0)
    assert unpaired_difference([1.0, 1.0], [1.0, 1.0, 1.0])[:4] == (0.0, 0.0, 0.0, 1.0)


def test_one_pair_or_none_has_no_p_value() -> None:
    for found in (paired_difference([1.0], [2.0]), unpaired_difference([1.0], [2.0, 3.0])):
        assert found.mean < 0
        assert all(math.isnan(v) for v in (found.low, found.high, found.p, found.sd))
    assert math.isnan(paired_difference([], []).mean)
    assert math.isnan(unpaired_difference([], [1.0]).mean)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_differences_that_are_all_the_same_have_the_p_value_of_their_signs(n: int) -> None:
    first = np.arange(n) / 10
    found = paired_difference(first + 0.1, first)  # equal but for rounding
    assert found[:3] == pytest.approx((0.1, 0.1, 0.1))
    assert found.p == pytest.approx(stats.binomtest(n, n, 0.5).pvalue)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 3), (5, 2)])
def test_groups_without_scatter_have_the_p_value_of_all_labellings(n: int, m: int) -> None:
    exact = stats.permutation_test(([0.1] * n, [0.3] * m), lambda a, b: np.mean(a) - np.mean(b)).pvalue
    assert unpaired_difference([0.1] * n, [0.3] * m).p == pytest.approx(2 / math.comb(n + m, n))
    assert unpaired_difference([0.1] * n, [0.3] * m).p == pytest.approx(float(exact))


def test_tied_scores_of_equal_cells_are_rarely_told_apart() -> None:
    # Accuracies on 10 examples, 2 seeds: with p = 0 where no difference scatters, 12 % were told apart
    draws = np.random.default_rng(2).binomial(10, 0.9, size=(2000, 2, 2)) / 10
    p = np.array([paired_difference(a, b).p for a, b in draws])
    assert np.mean(p < 0.05) < 0.05


def test_holm_is_the_textbook_example() -> None:
    # Holm (1979): sorted p times (k, k - 1, ...), never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02, math.nan, 0.01]) == pytest.approx([0.02, math.nan, 0.02], nan_ok=True)
    assert holm([]).shape == (0,)


def test_holm_is_that_of_statsmodels() -> None:
    # statsmodels 0.15.0, multipletests(method="holm")
    adjusted = holm([0.011, 0.02, 0.3, 0.004, 0.012, 0.045])
    assert adjusted == pytest.approx([0.055, 0.06, 0.3, 0.024, 0.055, 0.09])


def test_holm_keeps_the_chance_of_any_false_claim_below_five_percent() -> None:
    p = np.random.default_rng(1).uniform(size=(4000, 6))
    assert np.mean([holm(row).min() < 0.05 for row in p]) < 0.06
