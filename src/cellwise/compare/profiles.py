"""One cell over several tasks: its interquartile mean and its performance profile (Agarwal et al. 2021, 2108.13264).

Scores of several tasks are put on one scale first: 0 is the best trivial answer, 1 the best possible one. Each task has
the same weight in a profile; in the interquartile mean each run has.

Differences: the interval of the interquartile mean is wider than theirs (`cellwise.compare.bootstrap`); the band of a
profile is Wilson's (1927, JASA 22, 209-212), with the runs that the mean of several shares is worth, instead of
resampled: where all runs are above a threshold every resample says so too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cellwise.compare.bootstrap import Indices, bootstrap_bounds
from cellwise.compare.statistics import Interval, trimmed
from cellwise.compare.values import Floats, Values, finite, share
from cellwise.errors import CellwiseError


@dataclass(frozen=True)
class Profile:
    """The share of runs whose score is above each of ``thresholds`` ``(t,)``, and its band, all ``(t,)``."""

    thresholds: Floats
    share: Floats
    low: Floats
    high: Floats


def on_one_scale(x: Values, zero: float, one: float) -> Floats:
    """Return scores ``(n,)`` as shares of the way from ``zero`` to ``one``, whichever is the higher.

    Raises:
        CellwiseError: a value that is not finite, or the two ends are the same.
    """
    finite([zero, one], "end of a scale")
    if zero == one:
        raise CellwiseError(f"no scale goes from {zero:g} to {one:g}: the two ends must differ")
    return (finite(x) - zero) / (one - zero)


def interquartile_mean_over_tasks(scores: Mapping[str, Values], level: float = 0.95) -> Interval:
    """Return the interquartile mean over all runs of all tasks, and its interval: runs resampled within each task.

    Args:
        scores: of one cell, on one scale, by task; each task has 1 value or more. Bounds take 2 or more of each.
        level: confidence.

    Raises:
        CellwiseError: no task, a task without a score, or a value that is not finite.
    """
    tasks = _tasks(scores)
    level = share(level, "level")

    def statistic(drawn: Sequence[Indices]) -> Floats:
        taken = [one[indices] for one, indices in zip(tasks, drawn, strict=True)]
        return trimmed(np.sort(np.concatenate(taken, axis=1), axis=1))

    sizes = [one.size for one in tasks]
    value = float(trimmed(np.sort(np.concatenate(tasks))[None, :])[0])
    if min(sizes) < 2:
        return Interval(value, math.nan, math.nan)
    return Interval(value, *bootstrap_bounds(sizes, statistic, level))


def performance_profile(scores: Mapping[str, Values], thresholds: Values, level: float = 0.95) -> Profile:
    """Return the share of runs above each threshold, averaged over tasks, with a pointwise band.

    Args:
        scores: as `interquartile_mean_over_tasks`.
        thresholds: on the same scale, ``(t,)``.
        level: confidence at each threshold.

    Raises:
        CellwiseError: as `interquartile_mean_over_tasks`.
    """
    tasks = _tasks(scores)
    at = finite(thresholds, "threshold")
    z = float(stats.norm.isf((1 - share(level, "level")) / 2))
    above = np.mean([(one[:, None] > at).mean(axis=0) for one in tasks], axis=0)
    # The variance of a mean of shares is at most that of one share of so many runs.
    worth = len(tasks) ** 2 / sum(1 / one.size for one in tasks)
    middle = (above + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * np.sqrt(above * (1 - above) / worth + z**2 / (4 * worth**2))
    return Profile(at, above, np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1))


def _tasks(scores: Mapping[str, Values]) -> list[Floats]:
    """The sorted scores of each task, in the order of the tasks' names, so that no bound depends on an order."""
    found = [np.sort(finite(scores[task], f"score of {task}")) for task in sorted(scores)]
    empty = next((task for task in sorted(scores) if not len(scores[task])), None)
    if not found or empty:
        raise CellwiseError(f"task {empty!r} has no score" if found else "no task has a score")
    return found
