"""Intervals over test examples that are not independent: whole events are drawn, not single examples.

Frames of one storm, words of one text, steps of one series resemble each other: a bootstrap over examples takes n
copies of one storm for n storms. What is resampled is the event, with all its examples (a block bootstrap of given
blocks; Davison and Hinkley 1997, section 3.8). The value is a sum over examples divided at the end, as every metric.

Differences: below 10 events the interval is Student's, with the linearised error of a ratio (Cochran 1977, equation
6.13) and one degree of freedom less than there are events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from cellwise.compare.bootstrap import Indices, bootstrap_bounds
from cellwise.compare.statistics import FEWEST_TO_RESAMPLE, Interval
from cellwise.compare.values import Floats, Values, finite, pairs, share
from cellwise.errors import CellwiseError


def interval_over_events(values: Values, events: Sequence[Any] | npt.NDArray[Any], level: float = 0.95) -> Interval:
    """Return the mean over examples and its interval over events; the bounds of one event are NaN.

    Args:
        values: of the examples, ``(examples,)``: an error, a hit, or the difference of two cells on the same example.
        events: which event each example belongs to, ``(examples,)``, any labels; see `consecutive` for a series.
        level: confidence.

    Raises:
        CellwiseError: a value that is not finite, or not one event for each example.
    """
    read = finite(values, "value of an example")
    named = np.asarray(events)
    level = share(level, "level")
    if named.shape != read.shape:
        raise CellwiseError(f"each example needs one event, got {read.size} examples and {named.size} events")
    if not read.size:
        return Interval(math.nan, math.nan, math.nan)
    _, at = np.unique(named, return_inverse=True)
    sums, counts = (np.asarray(np.bincount(at, weights=each), np.float64) for each in (read, np.ones(read.size)))
    order = np.lexsort((sums, counts))
    return _ratio(sums[order], counts[order], level)


def difference_over_events(
    a: Values, b: Values, events: Sequence[Any] | npt.NDArray[Any], level: float = 0.95
) -> Interval:
    """Return the mean of ``a - b`` over examples ``(examples,)`` that both cells saw; as `interval_over_events`."""
    first, second = pairs(a, b)
    return interval_over_events(first - second, events, level)


def consecutive(examples: int, length: int) -> npt.NDArray[np.int64]:
    """Return events ``(examples,)`` of ``length`` consecutive examples each, for a series without events of its own.

    Take a length that is several times as long as neighbours resemble each other. The last event may be shorter.

    Raises:
        CellwiseError: a length below 1.
    """
    if length < 1:
        raise CellwiseError(f"length={length!r} must be 1 or more examples")
    return np.arange(examples) // length


def _ratio(sums: Floats, counts: Floats, level: float) -> Interval:
    """The ratio of two sums over events ``(events,)``, and its interval."""
    n = sums.size
    value = float(sums.sum() / counts.sum())
    if n == 1:
        return Interval(value, math.nan, math.nan)
    if n < FEWEST_TO_RESAMPLE:
        residual = (sums - value * counts) / counts.mean()
        error = math.sqrt(float((residual**2).sum()) / (n - 1) / n)
        half = float(stats.t.isf((1 - level) / 2, n - 1)) * error
        return Interval(value, value - half, value + half)

    def statistic(drawn: Sequence[Indices]) -> Floats:
        ratio: Floats = sums[drawn[0]].sum(axis=1) / counts[drawn[0]].sum(axis=1)
        return ratio

    return Interval(value, *bootstrap_bounds([n], statistic, level))
