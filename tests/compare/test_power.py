"""Seeds and differences against published tables and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from cellwise.compare.power import (
    paired_power,
    seeds_needed,
    seeds_needed_for_probability,
    smallest_detectable_difference,
)
from cellwise.errors import CellwiseError


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
@example(52, 0.0005, 0.890625)  # scipy 1.17 has no far tail here
def test_seeds_and_difference_are_inverse_to_each_other(n: int, alpha: float, power: float) -> None:
    smallest = smallest_detectable_difference(1.5, n, power, alpha)
    assert paired_power(smallest, 1.5, n, alpha) == pytest.approx(power, abs=1e-6)
    assert seeds_needed(smallest * 1.0001, 1.5, power, alpha) == n


def test_a_vanishing_difference_takes_no_number_of_seeds() -> None:
    assert seeds_needed(0.0, 1.0) is None
    assert smallest_detectable_difference(1.0, 1) == math.inf
    # the normal approximation takes over where t is the same to the last digit
    assert seeds_needed(0.001, 1.0) == math.ceil(((1.959964 + 0.8416212) / 0.001) ** 2)


def test_without_a_difference_the_power_is_the_chance_of_a_false_claim() -> None:
    assert paired_power(0.0, 1.0, 5) == pytest.approx(0.05)
    draws = np.random.default_rng(5).normal(0.3, 1.0, (40_000, 4))
    rejected = np.mean(stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05)
    assert paired_power(0.3, 1.0, 4) == pytest.approx(rejected, abs=0.005)


@pytest.mark.parametrize(
    ("effect", "alpha", "pairs"),
    # statsmodels 0.15.0, TTestPower().solve_power at power 0.8: 237.33, 403.21, 89.15, 151.87, 15.98, 13.22, 7.21
    [
        *[(0.1826, 0.05, 238), (0.1826, 0.005, 404), (0.3, 0.05, 90), (0.3, 0.005, 152)],
        *[(0.75, 0.05, 16), (1.2, 0.005, 14), (2.0, 0.005, 8)],
    ],
)
def test_the_seeds_needed_are_those_of_statsmodels(effect: float, alpha: float, pairs: int) -> None:
    assert seeds_needed(effect, 1.0, alpha=alpha) == pairs


@pytest.mark.parametrize(("n", "effect"), [(3, 3.264043553), (5, 1.681997083), (10, 0.996001911), (20, 0.660441654)])
def test_the_smallest_detectable_difference_is_that_of_statsmodels(n: int, effect: float) -> None:
    # statsmodels 0.15.0, TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
    assert smallest_detectable_difference(1.0, n) == pytest.approx(effect, rel=1e-6)


def test_where_all_differences_are_the_same_the_signs_decide() -> None:
    assert seeds_needed(1.0, 0.0) == 6  # 2^-5 is the first below 0.05
    assert seeds_needed(1.0, 0.0, alpha=0.05 / 10) == 9


def test_a_probability_of_improvement_takes_the_seeds_that_bouthillier_says() -> None:
    assert seeds_needed_for_probability() == 29
    assert seeds_needed_for_probability(0.25) == 29
    assert seeds_needed_for_probability(0.5) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1.0, -1.0), "sd=-1.0 must be 0 or more"),
        ((1.0, 1.0, 80), "power=80 must be between 0 and 1"),
        ((1.0, 1.0, 0.8, 0.0), "alpha=0.0 must be between"),
        ((1.0, 1.0, 0.05, 0.1), "power=0.05 must be more than alpha=0.1"),
    ],
)
def test_a_wish_that_no_number_of_seeds_meets_is_refused(arguments: tuple[float, ...], said: str) -> None:
    with pytest.raises(CellwiseError, match=said):
        seeds_needed(*arguments)
