"""Time to a target against lifelines, Clopper and Pearson, a published data set and counting every labelling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cellwise.compare.survival import Waiting, log_rank, log_rank_scores, median_time, survival_curve, waiting
from cellwise.errors import CellwiseError

# Weeks in remission (Freireich et al. 1963): 6-MP, of which 12 are censored, and placebo.
TREATED = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
CENSORED = [0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
runs = st.lists(st.tuples(st.integers(1, 6).map(float), st.booleans()), min_size=1, max_size=9)


def taken(pairs: list[tuple[float, bool]]) -> Waiting:
    return waiting([time for time, _ in pairs], [censored for _, censored in pairs])


def test_the_curve_is_that_of_lifelines() -> None:
    # lifelines 0.30.3, KaplanMeierFitter on the treated: at weeks 6, 7, 10, 13, 16, 22, 23
    curve = survival_curve(waiting(TREATED, CENSORED))
    expected = {6: 0.85714286, 7: 0.80672269, 10: 0.75294118, 13: 0.69019608, 16: 0.62745098, 22: 0.53781513}
    shares = dict(zip(curve.times.tolist(), curve.share.tolist(), strict=True))
    assert {week: shares[week] for week in expected} == pytest.approx(expected, abs=1e-8)
    assert (shares[9], shares[23], shares[35]) == pytest.approx((shares[7], 0.44817927, 0.44817927), abs=1e-8)


def test_the_median_is_that_of_lifelines() -> None:
    assert median_time(waiting(TREATED, CENSORED)).value == 23
    assert median_time(waiting(PLACEBO)).value == 8


@settings(max_examples=40)
@given(runs)
def test_the_curve_is_scipys(pairs: list[tuple[float, bool]]) -> None:
    times, censored = (np.array(column) for column in zip(*pairs, strict=True))
    curve = survival_curve(taken(pairs))
    sample = stats.CensoredData.right_censored(times, censored.astype(bool))
    expected = stats.ecdf(sample).sf.evaluate(curve.times)
    assert curve.share == pytest.approx(expected)


@pytest.mark.parametrize("n", [3, 8, 20])
def test_with_one_budget_for_all_the_bounds_are_clopper_and_pearsons(n: int) -> None:
    reached = n - 2
    curve = survival_curve(waiting(np.arange(1.0, n + 1), [False] * reached + [True] * 2))
    for place in range(reached):
        exact = stats.binomtest(n - 1 - place, n).proportion_ci(method="exact")
        assert (curve.low[place], curve.high[place]) == pytest.approx((exact.low, exact.high), abs=1e-6)
    assert curve.low_at_start == pytest.approx(stats.binomtest(n, n).proportion_ci(method="exact").low)


def test_with_censoring_on_the_way_the_bounds_are_those_of_a_drawn_beta_product() -> None:
    curve = survival_curve(waiting(TREATED, CENSORED))
    rng = np.random.default_rng(0)
    # at risk at each event up to week 22, one after the other
    product = np.prod([rng.beta(risk, 1, 200_000) for risk in (21, 20, 19, 17, 15, 12, 11, 7)], axis=0)
    place = curve.times.tolist().index(22)
    assert curve.high[place] == pytest.approx(np.quantile(product, 0.975), abs=0.006)
    assert curve.low[place] == pytest.approx(np.quantile(product * rng.beta(6, 1, 200_000), 0.025), abs=0.006)
    # who is lost from sight takes certainty away: before week 20 8 were left to be next, after it 7
    before, after = (curve.low[curve.times.tolist().index(week)] for week in (19, 20))
    product = np.prod([rng.beta(risk, 1, 200_000) for risk in (21, 20, 19, 17, 15, 12, 11)], axis=0)
    assert before == pytest.approx(np.quantile(product * rng.beta(8, 1, 200_000), 0.025), abs=0.006)
    assert after == pytest.approx(np.quantile(product * rng.beta(7, 1, 200_000), 0.025), abs=0.006)


@settings(max_examples=40)
@given(runs)
def test_a_curve_falls_inside_its_bounds(pairs: list[tuple[float, bool]]) -> None:
    curve = survival_curve(taken(pairs))
    for one in (curve.share, curve.low, curve.high):
        assert (np.diff(one) <= 1e-12).all()
    for one in (curve.low, curve.share - curve.low, curve.high - curve.share, 1 - curve.high):
        assert (one >= -1e-12).all()
    value, low, high = median_time(taken(pairs))
    assert low <= value <= high


@pytest.mark.parametrize("n", [1, 2, 5])
def test_five_runs_bound_no_median(n: int) -> None:
    assert median_time(waiting(np.arange(1.0, n + 1)))[1:] == (0.0, math.inf)
    # the order statistics whose binomial coverage is at least 95 %: 1 and 6 of 6 (97 %), 2 and 8 of 9 (96 %)
    assert median_time(waiting(np.arange(1.0, 7.0)))[1:] == (1.0, 6.0)
    assert median_time(waiting(np.arange(1.0, 10.0)))[1:] == (2.0, 8.0)


def test_a_target_that_half_of_the_runs_never_reach_has_no_median() -> None:
    assert median_time(waiting([1.0, 2.0, 9.0, 9.0, 9.0], [0, 0, 1, 1, 1])).value == math.inf
    assert median_time(waiting([1.0, 2.0, 9.0, 9.0], [0, 0, 1, 1])).value == 2.0
    assert median_time(waiting([9.0, 9.0], [1, 1])) == (math.inf, 0.0, math.inf)
    # of six that were all lost at 9 it is sure that half needed 9 at least
    assert median_time(waiting([9.0] * 6, [1] * 6)) == (math.inf, 9.0, math.inf)
    assert all(math.isnan(v) for v in median_time(waiting([])))


def test_observed_less_expected_is_the_published_one() -> None:
    # Kleinbaum and Klein, Survival Analysis, table of chapter 2: 9 observed, 19.25 expected
    both = waiting([*TREATED, *PLACEBO], [*CENSORED, *[0] * 21])
    scores = log_rank_scores(both)
    assert scores[:21].sum() == pytest.approx(9 - 19.25, abs=0.01)
    assert scores.sum() == pytest.approx(0, abs=1e-9)
    assert log_rank(waiting(TREATED, CENSORED), waiting(PLACEBO)) < 0.0005


def textbook(times: list[float], censored: list[bool], first: set[int]) -> float:
    """Observed less expected of a group, event by event (Mantel 1966)."""
    total = 0.0
    for time in sorted({t for t, c in zip(times, censored, strict=True) if not c}):
        at_risk = {i for i, t in enumerate(times) if t >= time}
        dead = {i for i in at_risk if times[i] == time and not censored[i]}
        total += len(dead & first) - len(dead) * len(at_risk & first) / len(at_risk)
    return total


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 5).map(float), st.booleans()), min_size=2, max_size=7),
    st.integers(1, 3),
)
def test_the_p_value_counts_every_labelling(pairs: list[tuple[float, bool]], size: int) -> None:
    n = min(size, len(pairs) - 1)
    times, censored = [time for time, _ in pairs], [c for _, c in pairs]
    seen = textbook(times, censored, set(range(n)))
    every = [textbook(times, censored, set(some)) for some in itertools.combinations(range(len(pairs)), n)]
    expected = np.mean([abs(v) >= abs(seen) - 1e-9 for v in every])
    assert log_rank(taken(pairs[:n]), taken(pairs[n:])) == pytest.approx(expected)
    assert log_rank(taken(pairs[n:]), taken(pairs[:n])) == pytest.approx(expected)


def test_three_runs_against_three_never_make_a_verdict() -> None:
    assert log_rank(waiting([1, 2, 3]), waiting([7, 8, 9])) == pytest.approx(0.1)
    assert log_rank(waiting([1, 2, 3, 4]), waiting([6, 7, 8, 9])) == pytest.approx(2 / 70)


def test_equal_groups_and_empty_ones() -> None:
    assert log_rank(waiting([1.0, 2.0]), waiting([1.0, 2.0])) == 1.0
    assert log_rank(waiting([9.0, 9.0], [1, 1]), waiting([9.0], [1])) == 1.0
    assert math.isnan(log_rank(waiting([]), waiting([1.0])))


def test_more_labellings_than_can_be_counted_are_drawn_and_the_same_each_time() -> None:
    a, b = waiting(np.arange(20.0)), waiting(np.arange(20.0) + 4)
    assert log_rank(a, b) == log_rank(a, b)
    # chi-square is right for so many: scipy 1.17.1, stats.logrank, without censoring
    assert log_rank(a, b) == pytest.approx(float(stats.logrank(a.times, b.times).pvalue), rel=0.25)


def test_marks_that_do_not_fit_and_negative_times_are_refused() -> None:
    with pytest.raises(CellwiseError, match="one mark of censoring, got 2 times and 1 marks"):
        waiting([1.0, 2.0], [True])
    with pytest.raises(CellwiseError, match="a time must be 0 or more, got -1"):
        waiting([-1.0])
