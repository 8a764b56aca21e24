"""Mean squared error and the share of close answers, against numpy and under every batching."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellwise.errors import CellwiseError
from cellwise.tasks.memory.metrics import SquaredError


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0, 2)), min_size=1, max_size=30), st.integers(1, 30))
def test_the_scores_are_those_of_numpy_under_any_batching(pairs: list[tuple[float, float]], batch: int) -> None:
    answers, targets = (torch.tensor(column, dtype=torch.float64)[:, None] for column in zip(*pairs, strict=True))
    scores = SquaredError()
    for start in range(0, len(pairs), batch):
        scores.add(answers[start : start + batch], targets[start : start + batch])
    error = (answers - targets).numpy()
    found = scores.compute()
    assert sorted(found) == ["mse", "share_within_0.04"]
    assert found["mse"] == pytest.approx(np.square(error).mean(), rel=1e-12, abs=1e-300)
    assert found["share_within_0.04"] == (np.abs(error) < 0.04).mean()


def test_the_sums_are_of_float64() -> None:
    """A million small errors after a large one, which float32 would lose."""
    scores = SquaredError()
    scores.add(torch.tensor([[4096.0]]), torch.tensor([[0.0]]))
    for _ in range(1000):
        scores.add(torch.full((1000, 1), 2.0**-10), torch.zeros(1000, 1))
    assert scores.compute()["mse"] == pytest.approx((2.0**24 + 1e6 * 2.0**-20) / 1_000_001, rel=1e-13)


def test_an_error_of_exactly_the_limit_is_not_close() -> None:
    scores = SquaredError()
    scores.add(torch.tensor([[0.04], [0.0399], [-0.0399], [-0.04]], dtype=torch.float64), torch.zeros(4, 1))
    assert scores.compute()["share_within_0.04"] == 0.5


def test_an_answer_that_is_no_number_is_not_close_and_has_no_error() -> None:
    scores = SquaredError()
    scores.add(torch.tensor([[math.nan], [0.0]]), torch.zeros(2, 1))
    found = scores.compute()
    assert math.isnan(found["mse"])
    assert found["share_within_0.04"] == 0.5


def test_no_answer_is_no_score() -> None:
    with pytest.raises(CellwiseError, match="no answer was scored"):
        SquaredError().compute()
