"""The evidence of a network that answers with a number: how its error grows with distance, and how it hedges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cellwise.records.schema import Axis, Curves, Series

Floats = npt.NDArray[np.float64]

_MOST_POINTS = 20
_FEWEST = 5  # sequences of one point: below, a mean says little


def error_by_distance(
    answers: Floats, sums: Floats, kept_steps: npt.NDArray[np.int64], floors: Mapping[str, float]
) -> Curves:
    """Return the mean squared error against how long the first number has to be kept.

    Args:
        answers: of the network, (sequences,).
        sums: the targets, (sequences,).
        kept_steps: from the first number to the answer, (sequences,).
        floors: expected squared error of trivial answers, the same at every distance.
    """
    width = -(-int(np.ptp(kept_steps) + 1) // _MOST_POINTS)
    at, of = _grouped((kept_steps - kept_steps.min()) // width)
    x = kept_steps.min() + at * width + (width - 1) / 2
    with np.errstate(over="ignore"):  # a run that has diverged has views all the same
        squared = np.square(answers - sums)
        measured = Series("model", x, np.array([squared[rows].mean() for rows in of]))
    flat = [Series(name, x, np.full(len(x), value), role="floor") for name, value in floors.items()]
    return Curves(
        name="error_by_distance",
        title="Squared error against how long the first number is kept",
        question="How far back does each cell remember a number?",
        x=Axis("from the first number to the answer", "steps"),
        y=Axis("mean squared error", "", "log"),
        series=(measured, *flat),
    )


def answer_by_sum(answers: Floats, sums: Floats) -> Curves:
    """Return the mean answer against the true sum, with the band that holds 8 of 10 answers.

    Sums are taken together by tenths: what is drawn is the middle of a tenth plus the mean error in it, so that right
    answers lie on the diagonal exactly.

    Args:
        answers: of the network, (sequences,).
        sums: the targets, (sequences,), from 0 to 2.
    """
    at, of = _grouped(np.floor(sums * 10).astype(np.int64))
    middle = (at + 0.5) / 10
    errors = [answers[rows] - sums[rows] for rows in of]
    with np.errstate(invalid="ignore", over="ignore"):
        mean = middle + np.array([e.mean() for e in errors])
        low, high = (middle + np.array([np.quantile(e, q) for e in errors]) for q in (0.1, 0.9))
    return Curves(
        name="answer_by_sum",
        title="Mean answer against the true sum",
        question="Does each cell add both numbers, or does it keep to the mean?",
        x=Axis("true sum"),
        y=Axis("answer"),
        series=(
            Series("model", middle, mean, low, high),
            Series("right", middle, middle, role="optimum"),
            Series("always the mean", middle, np.ones(len(middle)), role="floor"),
        ),
    )


def _grouped(group: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], list[npt.NDArray[np.bool_]]]:
    """Return the groups with enough sequences, and which sequences each holds; all groups where none has enough."""
    at, counts = np.unique(group, return_counts=True)
    at = at[counts >= _FEWEST] if (counts >= _FEWEST).any() else at
    return at, [group == one for one in at]
