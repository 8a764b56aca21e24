"""Several tasks at once: the scores of each cell on one scale, for profiles and means over tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cellwise.compare.profiles import on_one_scale
from cellwise.compare.table import Comparison
from cellwise.compare.values import Floats
from cellwise.errors import CellwiseError


def scores_over_tasks(comparisons: Sequence[Comparison]) -> dict[str, dict[str, Floats]]:
    """Return by label and task the scores of what has scores in every task: 0 is the best floor, 1 the optimum.

    Raises:
        CellwiseError: fewer than two tasks, one whose floor or optimum is not known, or nothing ran in each of them.
    """
    named = {comparison.title: comparison for comparison in comparisons}
    if len(named) < 2:
        raise CellwiseError("scores over tasks need two tasks or more; give their runs one study")
    ends = {title: _ends(comparison) for title, comparison in named.items()}
    labels = [{row.label for row in comparison.rows if row.n} for comparison in comparisons]
    everywhere = sorted(set.intersection(*labels))
    if not everywhere:
        raise CellwiseError(f"no cell has a score in each of: {'; '.join(named)}")
    by_task = {title: {row.label: list(row.values.values()) for row in c.rows} for title, c in named.items()}
    return {
        label: {title: on_one_scale(scores[label], *ends[title]) for title, scores in by_task.items()}
        for label in everywhere
    }


def _ends(comparison: Comparison) -> tuple[float, float]:
    """The best floor and the best possible value."""
    floors = [value for value in comparison.floors.values() if math.isfinite(value)]
    optimum = comparison.optimum
    if not floors or optimum is None or not math.isfinite(optimum):
        missing = "best possible value" if floors else "floor"
        raise CellwiseError(
            f"no {missing} is known for {comparison.title}: its scores have no scale in common with others"
        )
    return (min(floors) if comparison.direction == "min" else max(floors)), optimum
