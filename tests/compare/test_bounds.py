"""Where the values of an objective end."""

from __future__ import annotations

import math

import pytest

from cellwise.compare.bounds import least_value
from cellwise.tasks.language.settings import BITS, PERPLEXITY
from cellwise.tasks.memory.adding import Adding


@pytest.mark.parametrize("objective", [PERPLEXITY, BITS, Adding.objective], ids=lambda objective: objective.metric)
def test_the_end_of_every_objective_of_ours_is_known_without_its_optimum(objective: object) -> None:
    metric, direction = objective.metric, objective.direction  # type: ignore[attr-defined]
    assert least_value(metric, direction, None) == (1.0 if metric == "perplexity" else 0.0)
    assert least_value(metric, direction, 52.1) == least_value(metric, direction, None)


@pytest.mark.parametrize(
    ("direction", "optimum", "least"),
    [("min", 0.0, 0.0), ("min", 3.0, -math.inf), ("min", None, -math.inf), ("max", 0.0, -math.inf)],
)
def test_of_another_objective_only_an_optimum_of_0_is_an_end(
    direction: str, optimum: float | None, least: float
) -> None:
    assert least_value("their_error", direction, optimum) == least
