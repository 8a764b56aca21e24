"""What is refused before it becomes a mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cellwise.compare import (
    interquartile_mean,
    mean_interval,
    paired_difference,
    probability_of_improvement,
    seeds_needed,
    smallest_detectable_difference,
)
from cellwise.compare.blocks import interval_over_events
from cellwise.compare.pareto import pareto_front
from cellwise.compare.profiles import interquartile_mean_over_tasks, on_one_scale, performance_profile
from cellwise.compare.statistics import unpaired_difference
from cellwise.compare.survival import waiting
from cellwise.compare.values import finite, share
from cellwise.errors import CellwiseError

TAKES_SCORES: dict[str, Callable[[Any], Any]] = {
    "interquartile_mean": interquartile_mean,
    "mean_interval": mean_interval,
    "paired_difference": lambda x: paired_difference(x, [1.0] * len(x)),
    "unpaired_difference": lambda x: unpaired_difference([1.0, 2.0], x),
    "probability_of_improvement": lambda x: probability_of_improvement(x, [1.0]),
    "interval_over_events": lambda x: interval_over_events(x, range(len(x))),
    "interquartile_mean_over_tasks": lambda x: interquartile_mean_over_tasks({"adding": x}),
    "performance_profile": lambda x: performance_profile({"adding": x}, [0.5]),
    "on_one_scale": lambda x: on_one_scale(x, 0.0, 1.0),
    "waiting": waiting,
    "pareto_front": lambda x: pareto_front({"gru": x[1], "lstm": x[0]}, {"gru": 1.0, "lstm": 2.0}, "min"),
    "seeds_needed": lambda x: seeds_needed(x[1], 1.0),
    "smallest_detectable_difference": lambda x: smallest_detectable_difference(x[1], 3),
}


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", TAKES_SCORES)
def test_a_score_that_is_not_finite_is_refused_in_one_line_everywhere(name: str, wrong: float) -> None:
    with pytest.raises(CellwiseError, match=r"is (nan|-?inf): leave out what is not finite") as refused:
        TAKES_SCORES[name]([0.5, wrong, 0.7])
    assert "\n" not in str(refused.value)


def test_the_refusal_says_which_score_it_is() -> None:
    with pytest.raises(CellwiseError, match=r"score 2 of 3 is nan: leave out what is not finite, and say how many"):
        finite([1.0, math.nan, math.inf])


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ([[1.0, 2.0]], r"one row of numbers, got shape \(1, 2\)"),
        (3.0, r"one row of numbers, got shape \(\)"),
        (["a"], "each score must be a number, got"),
        ([None], r"score 1 of 1 is nan"),
    ],
)
def test_what_is_no_row_of_numbers_is_refused(x: Any, said: str) -> None:
    with pytest.raises(CellwiseError, match=said):
        finite(x)


def test_pairs_of_different_lengths_are_refused() -> None:
    with pytest.raises(CellwiseError, match="pairs need equal lengths, got 1 and 2 scores"):
        paired_difference([1.0], [1.0, 2.0])


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1, math.nan])
def test_a_level_that_is_no_share_is_refused(level: float) -> None:
    with pytest.raises(CellwiseError, match=r"level=.* must be between 0 and 1, for example level=0.95"):
        mean_interval([1.0, 2.0], level)
    with pytest.raises(CellwiseError, match="must be between 0 and 1"):
        share(level, "level")


def test_no_score_at_all_is_a_row_of_numbers() -> None:
    assert finite([]).shape == (0,)
    assert finite(np.array([1, 2])).dtype == np.float64
