"""The stated coverage is what the intervals have, everywhere where it is stated."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from cellwise.compare.coverage import INTERVALS, RUNS, Kind, said_of, simulate, stated, worth
from cellwise.compare.improvement import probability_of_improvement
from cellwise.compare.statistics import mean_interval
from tests.compare.coverage_table import PAGE, with_table

FEWER = {"interquartile mean over 4 tasks": 40}


@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("scores", ["normal", "lognormal"])
@pytest.mark.parametrize("interval", INTERVALS)
def test_a_short_simulation_agrees_with_what_is_stated(interval: str, scores: Kind, n: int) -> None:
    trials = FEWER.get(interval, 300)
    (full,) = [one for one in stated() if (one.interval, one.scores, one.n) == (interval, scores, n)]
    # The same seed, so it agrees or it does not: four standard errors.
    error = 100 * math.sqrt(full.percent / 100 * (1.001 - full.percent / 100) / trials)
    assert simulate(interval, scores, n, trials).percent == pytest.approx(full.percent, abs=4 * error)


def test_every_interval_is_stated_for_every_number_of_runs() -> None:
    known = {(one.interval, one.scores, one.n) for one in stated()}
    assert known == {
        (interval, scores, n) for interval in INTERVALS for scores in ("normal", "lognormal") for n in RUNS
    }
    assert len(stated()) == len(known)
    assert all(one.trials == INTERVALS[one.interval][1] for one in stated())


def test_of_normal_scores_every_interval_but_one_covers_93_percent() -> None:
    less = {(one.interval, one.n) for one in stated() if one.scores == "normal" and one.percent < 93}
    assert less == {("probability of improvement, truth 0.5", 3)}


def test_of_three_against_three_equal_runs_one_order_in_ten_excludes_a_half() -> None:
    ranks = set(range(6))
    found = [probability_of_improvement(some, list(ranks - set(some))) for some in itertools.combinations(ranks, 3)]
    assert np.mean([low > 0.5 or high < 0.5 for _, low, high in found]) == pytest.approx(0.1)


def test_the_table_of_the_documentation_is_fresh() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_table(text), "stale; type `make coverage`"


def test_the_docstring_says_what_is_stated() -> None:
    said = " ".join((mean_interval.__doc__ or "").split())
    normal, skewed = (said_of("mean of n runs", kind) for kind in ("normal", "lognormal"))
    assert f"{normal} of normal scores, {skewed} of lognormal ones" in said
    said = " ".join((probability_of_improvement.__doc__ or "").split())
    assert "holds 0.5 in 90 of 100 comparisons of equal cells with 3 seeds each, 95 from 5 on" in said
    first, *others = map(int, said_of("probability of improvement, truth 0.5", "normal").split(", "))
    assert first == pytest.approx(90, abs=1)
    assert others == pytest.approx([95] * 4, abs=1)


def test_what_an_interval_is_worth_is_a_sentence() -> None:
    assert worth(2) == ""
    assert worth(5) == worth(9)
    assert worth(5).startswith("An interval of 5 runs holds the true mean 95 times in 100 where scores are normal, ")
    assert "30 runs" in worth(100)


def test_a_percentile_bootstrap_covers_as_little_as_the_documentation_says() -> None:
    rng = np.random.default_rng(4)
    for n, percent in ((5, 83), (10, 91)):
        x = rng.normal(size=(1500, n))
        means = x @ rng.multinomial(n, np.full(n, 1 / n), size=800).T / n
        low, high = np.quantile(means, [0.025, 0.975], axis=1)
        assert 100 * np.mean((low <= 0) & (high >= 0)) == pytest.approx(percent, abs=3)


def test_of_a_mean_of_normal_scores_t_covers_what_it_says() -> None:
    # exact by theory: what the simulation says of fewer than ten runs is its own error
    for one in stated():
        if (one.interval, one.scores) == ("mean of n runs", "normal") and one.n < 10:
            held = round(one.percent / 100 * one.trials)
            assert stats.binomtest(held, one.trials, 0.95).pvalue > 0.01
