"""The expected best of k trials is that of every draw of k, with and without replacement."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwise.compare.best_of_k import Direction, counted, plug_in, unbiased

VALUES = [3.0, 1.0, 4.0, 1.5, 9.0]


def test_the_plug_in_form_is_the_mean_over_all_draws_with_replacement() -> None:
    for k in range(1, 6):
        draws = [max(draw) for draw in itertools.product(VALUES, repeat=k)]
        assert plug_in(VALUES, "max")[k - 1] == pytest.approx(sum(draws) / len(draws), rel=1e-12)
        draws = [min(draw) for draw in itertools.product(VALUES, repeat=k)]
        assert plug_in(VALUES, "min")[k - 1] == pytest.approx(sum(draws) / len(draws), rel=1e-12)


def test_the_unbiased_form_is_the_mean_over_all_draws_without_replacement() -> None:
    for k in range(1, 6):
        draws = [max(draw) for draw in itertools.combinations(VALUES, k)]
        assert unbiased(VALUES, "max")[k - 1] == pytest.approx(sum(draws) / len(draws), rel=1e-12)
        draws = [min(draw) for draw in itertools.combinations(VALUES, k)]
        assert unbiased(VALUES, "min")[k - 1] == pytest.approx(sum(draws) / len(draws), rel=1e-12)


def test_the_published_sums_give_these_numbers() -> None:
    """In exact fractions; the decimals by hand (k = 2: weights (1, 3, 5, 7, 9) / 25 on 1, 1.5, 3, 4, 9)."""
    ordered = sorted(Fraction(str(value)) for value in VALUES)
    n = len(ordered)

    def dodge(k: int) -> Fraction:
        return sum((x * (Fraction(i, n) ** k - Fraction(i - 1, n) ** k) for i, x in enumerate(ordered, 1)), Fraction())

    def tang(k: int) -> Fraction:
        weights = (Fraction(math.comb(i - 1, k - 1), math.comb(n, k)) for i in range(1, n + 1))
        return sum((x * w for x, w in zip(ordered, weights, strict=True)), Fraction())

    np.testing.assert_allclose(plug_in(VALUES, "max"), [float(dodge(k)) for k in range(1, 6)], rtol=1e-13)
    np.testing.assert_allclose(unbiased(VALUES, "max"), [float(tang(k)) for k in range(1, 6)], rtol=1e-13)
    np.testing.assert_allclose(plug_in(VALUES, "max"), [3.7, 5.18, 6.124, 6.7832, 7.26832], rtol=1e-13)
    np.testing.assert_allclose(unbiased(VALUES, "max"), [3.7, 5.55, 6.9, 8.0, 9.0], rtol=1e-13)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.sampled_from(["min", "max"]))
def test_more_trials_are_never_expected_to_be_worse_and_all_of_them_give_the_best(
    values: list[float], direction: Direction
) -> None:
    sign = 1 if direction == "max" else -1
    slack = 1e-9 * max(1.0, max(map(abs, values)))
    best, mean = (max if direction == "max" else min)(values), float(np.mean(values))
    for curve in (plug_in(values, direction), unbiased(values, direction)):
        assert curve.shape == (len(values),)
        assert curve[0] == pytest.approx(mean, abs=slack)
        assert (sign * np.diff(curve) >= -slack).all()
        assert (sign * curve <= sign * best + slack).all()
    assert unbiased(values, direction)[-1] == best
    assert (sign * (unbiased(values, direction) - plug_in(values, direction)) >= -slack).all()


def test_a_value_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        unbiased([1.0, math.nan], "max")
    with pytest.raises(ValueError, match="finite"):
        plug_in([1.0, math.inf], "min")


def test_a_trial_without_a_result_was_spent_all_the_same() -> None:
    assert counted([2.0, 1.0], [5.0], 2, "min").tolist() == [2.0, 1.0, 5.0, 5.0, 5.0]
    assert counted([2.0, 1.0], [5.0], 1, "max").tolist() == [2.0, 1.0, 5.0, 1.0]
    assert counted([], [], 3, "min").size == 0
    assert unbiased(counted([], [], 3, "min"), "min").size == plug_in([], "max").size == 0
