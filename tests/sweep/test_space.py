"""A space says what a search may choose, on which scale, and refuses what means nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cellwise.errors import CellwiseError
from cellwise.records.tuning import Choice
from cellwise.sweep.space import Range, Space, Values, draw, parse_space

SPACE: Space = {
    "optim.learning_rate": Range(1e-6, 1e-2, log=True),
    "network.hidden_size": Range(20, 200, log=True, whole=True),
    "optim.momentum": Range(0.0, 0.99, log_of_one_minus=True),
    "network.dropout": Range(0.0, 0.5),
    "network.num_layers": Range(1, 3, whole=True),
    "cell.forget_bias": Values((0.0, 1.0, None)),
}


def draws(key: str, number: int = 2000) -> list[Any]:
    return [draw(SPACE, 0, trial)[key] for trial in range(number)]


def test_draws_follow_the_scale_of_their_range() -> None:
    """Kolmogorov and Smirnov's test against the distribution that the study names; seeds are fixed."""
    rate = np.log(draws("optim.learning_rate"))
    assert stats.kstest(rate, stats.uniform(math.log(1e-6), math.log(1e4)).cdf).pvalue > 0.01
    distance = np.log1p(-np.array(draws("optim.momentum")))  # Greff et al.: momentum is 1 - log-U[0.01, 1]
    assert stats.kstest(distance, stats.uniform(math.log(0.01), math.log(100)).cdf).pvalue > 0.01
    assert stats.kstest(draws("network.dropout"), stats.uniform(0, 0.5).cdf).pvalue > 0.01


def test_whole_numbers_are_as_likely_as_their_share_of_the_range() -> None:
    units = draws("network.hidden_size")
    assert all(isinstance(value, int) for value in units)
    assert min(units) == 20
    assert max(units) == 200
    below = math.log(63.5 / 19.5) / math.log(200.5 / 19.5)  # 20 to 63 units
    assert np.mean(np.array(units) <= 63) == pytest.approx(below, abs=0.03)
    counts = np.bincount(draws("network.num_layers"), minlength=4)
    assert counts.sum() == 2000
    assert counts[0] == 0
    assert stats.chisquare(counts[1:]).pvalue > 0.01


def test_each_value_of_a_list_is_drawn_as_often() -> None:
    biases = draws("cell.forget_bias")
    assert stats.chisquare([biases.count(value) for value in (0.0, 1.0, None)]).pvalue > 0.01


def test_a_trial_has_the_same_settings_whoever_asks_and_whatever_else_is_tuned() -> None:
    alone: Space = {"optim.learning_rate": SPACE["optim.learning_rate"]}
    assert draw(alone, 3, 17)["optim.learning_rate"] == draw(SPACE, 3, 17)["optim.learning_rate"]
    assert draw(SPACE, 3, 17) == draw(dict(sorted(SPACE.items())), 3, 17)
    rates = {draw(alone, seed, trial)["optim.learning_rate"] for seed in (0, 1) for trial in range(100)}
    assert len(rates) == 200
    # A change of the draw would give every search other settings, and no trial that is on disk would be found again.
    assert draw(alone, 0, 0)["optim.learning_rate"] == 0.00330968


@pytest.mark.parametrize("key", [key for key in SPACE if key != "cell.forget_bias"])
def test_a_place_is_the_inverse_of_the_value_at_it_and_the_ends_are_reached(key: str) -> None:
    dimension = SPACE[key]
    assert isinstance(dimension, Range)
    assert dimension.at(0.0) == pytest.approx(dimension.low, rel=1e-12)
    assert dimension.at(1.0) == pytest.approx(dimension.high, rel=1e-12)
    for u in np.linspace(0, 1, 29):
        value = dimension.at(u)
        assert dimension.low <= value <= dimension.high
        if dimension.whole:
            assert dimension.at(dimension.place(value)) == value
        else:
            assert dimension.place(value) == pytest.approx(u, abs=1e-5)


def test_the_place_of_a_listed_value_is_inside_its_part() -> None:
    dimension = SPACE["cell.forget_bias"]
    assert [dimension.place(value) for value in (0.0, 1.0, None)] == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    assert [dimension.at(dimension.place(value)) for value in (0.0, 1.0, None)] == [0.0, 1.0, None]


def test_a_space_is_read_as_it_is_written() -> None:
    written = {
        "optim.learning_rate": {"low": 1e-6, "high": 1e-2, "log": True},
        "network.hidden_size": {"low": 20, "high": 200, "log": True, "whole": True},
        "optim.momentum": {"low": 0, "high": 0.99, "log_of_one_minus": True},
        "network.dropout": {"low": 0, "high": 0.5},
        "network.num_layers": {"low": 1, "high": 3, "whole": True},
        "cell.forget_bias": [0.0, 1.0, None],
    }
    assert parse_space(written, "tune.space") == SPACE
    assert SPACE["network.dropout"].record() == Choice(low=0.0, high=0.5)
    assert SPACE["cell.forget_bias"].record() == Choice(values=(0.0, 1.0, None))


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        (None, "must map keys to what may be chosen: {low: 1e-4, high: 1e-1, log: true}, or a list of values"),
        ({}, "must map keys"),
        ({"a": 3}, "s.a=3 is no choice; give {low: "),
        ({"a": {"low": 1, "hihg": 2}}, "unknown key in s.a 'hihg'; did you mean 'high'?"),
        ({"a": {"low": 1}}, "s.a.high=None must be a number"),
        ({"a": {"low": "x", "high": 2}}, "s.a.low='x' must be a number"),
        ({"a": {"low": 1, "high": math.inf}}, "s.a.high=inf must be a number"),
        ({"a": {"low": 2, "high": 2}}, "s.a: low=2 must be less than high=2"),
        ({"a": {"low": 0, "high": 1, "log": True}}, "s.a: low=0 has no logarithm; give a low above 0"),
        ({"a": {"low": 0, "high": 1, "log_of_one_minus": True}}, "1 - high has no logarithm with high=1"),
        ({"a": {"low": 0.1, "high": 0.9, "log": True, "log_of_one_minus": True}}, "contradict each other"),
        ({"a": {"low": 0.5, "high": 3, "whole": True}}, "must be whole numbers"),
        ({"a": {"low": -3, "high": 0, "whole": True, "log_of_one_minus": True}}, "for numbers below 1"),
        ({"a": {"low": 1, "high": 3, "whole": "yes"}}, "s.a.whole='yes' must be true or false"),
        ({"a": [1]}, "s.a needs two values or more"),
        ({"a": [1, [2]]}, "s.a: [2] is no value to choose"),
        ({"a": [1, 2, 1]}, "s.a has a value twice"),
    ],
)
def test_what_means_nothing_is_refused_in_a_line(plain: Any, said: str) -> None:
    with pytest.raises(CellwiseError) as refused:
        parse_space(plain, "s")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
