"""The spread of the best of k trials is that of every draw of k without replacement."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwise.compare.best_of_k import Direction, spread, unbiased


def brute(values: list[float], k: int, direction: Direction, level: float) -> tuple[float, float]:
    """The quantiles of the best over every draw, counted one by one from the worst."""
    best = max if direction == "max" else min
    drawn = sorted((best(draw) for draw in itertools.combinations(values, k)), reverse=direction == "min")
    tail = (1 - Fraction(str(level))) / 2

    def at(share: Fraction) -> float:
        return next(x for i, x in enumerate(drawn, 1) if Fraction(i, len(drawn)) >= share)

    return at(tail), at(1 - tail)


@given(
    st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=9),
    st.sampled_from(["min", "max"]),
    st.sampled_from([0.5, 0.8, 0.9]),
)
def test_the_spread_is_that_of_every_draw_without_replacement(
    values: list[float], direction: Direction, level: float
) -> None:
    worse, better = spread(values, direction, level)
    for k in range(1, len(values) + 1):
        assert (worse[k - 1], better[k - 1]) == brute(values, k, direction, level)


def test_it_ends_in_the_best_of_all_and_holds_the_mean_of_many_trials() -> None:
    values = np.random.default_rng(0).normal(size=400)
    worse, better = spread(values, "min", 0.8)
    assert worse[-1] == better[-1] == values.min()
    curve = unbiased(values, "min")
    assert ((better <= curve) & (curve <= worse))[:300].all()
    assert (np.diff(worse) <= 0).all()
    assert (np.diff(better) <= 0).all()


def test_a_share_of_exactly_a_tenth_is_one() -> None:
    """Of ten values the worst is the best of one draw in ten."""
    worse, better = spread([float(i) for i in range(10)], "max", 0.8)
    assert (worse[0], better[0]) == (0.0, 8.0)
    with pytest.raises(ValueError, match="finite"):
        spread([float("nan")], "max", 0.8)
    assert spread([], "max", 0.8)[0].size == 0
