"""The probability of improvement against rliable, a scan of Newcombe's formula, and its symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cellwise.compare import probability_of_improvement
from cellwise.errors import CellwiseError

A = [0.62, 0.71, 0.58, 0.66, 0.75, 0.69, 0.64]
B = [0.55, 0.71, 0.49, 0.60, 0.66, 0.58, 0.61]
C = [0.9, 0.2, 0.4, 0.5, 0.7]
# Few different values, so that ties are many.
scores = st.lists(st.integers(-6, 6).map(lambda v: v / 4), min_size=1, max_size=12)


def test_the_estimate_is_that_of_rliable() -> None:
    # rliable 1.2.0, metrics.probability_of_improvement; A and B share a score
    assert probability_of_improvement(A, B).value == pytest.approx(0.7653061224489796, rel=1e-12)
    assert probability_of_improvement(A, C).value == pytest.approx(0.6571428571428571, rel=1e-12)


@pytest.mark.parametrize(
    ("wins", "n", "m", "low", "high"),
    # All p with |p - wins / (n m)| <= 1.959964 sqrt(V(p)), found by a scan of 40 million p
    [
        (4.5, 3, 3, 0.15277355, 0.84722645),
        (35.5, 7, 7, 0.41659840, 0.90023647),
        (25, 5, 5, 0.64270283, 1.0),
        (32, 10, 4, 0.45516665, 0.94511760),
    ],
)
def test_the_interval_is_newcombes(wins: float, n: int, m: int, low: float, high: float) -> None:
    first, second = with_wins(wins, n, m)
    found = probability_of_improvement(first, second)
    assert found == pytest.approx((wins / (n * m), low, high), abs=1e-7)


def with_wins(wins: float, n: int, m: int) -> tuple[list[float], list[float]]:
    """Scores of which the first beat the second so often, a half for a tie."""
    first: list[float] = []
    left = wins
    for _ in range(n):
        beaten = min(m, math.floor(left))
        left -= beaten
        tie = 0 < left < 1 and beaten < m
        first.append(beaten - 0.5 + (0.5 if tie else 0))
        left -= 0.5 if tie else 0
    return first, [float(rank) for rank in range(m)]


@given(scores, scores)
def test_it_is_mann_and_whitneys_u(a: list[float], b: list[float]) -> None:
    u = float(stats.mannwhitneyu(a, b, method="asymptotic").statistic) if len({*a, *b}) > 1 else len(a) * len(b) / 2
    assert probability_of_improvement(a, b).value == pytest.approx(u / (len(a) * len(b)))


@given(scores, scores)
def test_what_one_cell_wins_the_other_loses_bounds_included(a: list[float], b: list[float]) -> None:
    one, other = probability_of_improvement(a, b), probability_of_improvement(b, a)
    assert one == pytest.approx((1 - other.value, 1 - other.high, 1 - other.low), abs=1e-9)
    turned = probability_of_improvement(a, b, direction="min")
    assert turned == pytest.approx(other, abs=1e-9)


@given(scores, scores, st.sampled_from([0.5, 0.95, 0.999]))
def test_the_interval_lies_between_0_and_1_and_holds_the_estimate(a: list[float], b: list[float], level: float) -> None:
    value, low, high = probability_of_improvement(a, b, level)
    assert 0 <= low <= value <= high <= 1
    assert low < high


@given(scores, scores, st.floats(-3, 3), st.sampled_from([0.5, 4.0]), st.randoms(use_true_random=False))
def test_order_and_any_rising_map_of_scores_do_not_matter(
    a: list[float], b: list[float], shift: float, scale: float, random: object
) -> None:
    shuffled = list(a)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    mapped = probability_of_improvement(np.exp(scale * np.array(shuffled) + shift), np.exp(scale * np.array(b) + shift))
    assert mapped == pytest.approx(probability_of_improvement(a, b), abs=1e-9)


def test_a_cell_against_itself_wins_every_other_time() -> None:
    assert probability_of_improvement(A, A).value == 0.5
    assert probability_of_improvement([1.0] * 4, [1.0] * 4).value == 0.5


def test_single_runs_say_little_and_no_run_nothing() -> None:
    assert probability_of_improvement([2.0], [1.0]) == pytest.approx((1.0, 1 / (1 + 1.959964**2), 1.0), abs=1e-6)
    assert all(math.isnan(v) for v in probability_of_improvement([], [1.0]))


def test_another_direction_is_refused() -> None:
    with pytest.raises(CellwiseError, match="unknown direction 'up'; allowed: max, min"):
        probability_of_improvement(A, B, direction="up")  # type: ignore[arg-type]
