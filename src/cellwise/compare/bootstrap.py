"""Confidence bounds from resampling: stratified, bias-corrected, accelerated, and wide enough for few runs.

Each stratum (a task, a cell) is resampled by itself. Levels are those of BCa (Efron 1987, JASA 82, 171-185, equations
2.3 and 6.6), with the normal quantile widened to t_{df} sqrt(n / (n - 1)) (Hesterberg 2015, The American Statistician
69, 371-386, section 4.3): a resample of n has a variance that is (n - 1) / n of the right one, and the quantile of few
runs is that of t.

Differences: the degrees of freedom of several strata are the sum of theirs, the n of the widening is that of the
smallest. Resamples are the same at each call, and mirrored, so that bounds depend on the values alone, and those of
``-x`` are those of ``x`` with the sign turned.

Coverage: see `cellwise.compare.coverage`. A percentile bootstrap of the mean of 5 normal scores covers 83 %, of 10
91 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from cellwise.compare.values import Floats

# At 95 % the quantile of 10,000 resamples moves the bound by about 1 % of the interval's width.
RESAMPLES = 10_000
# Sums in another order differ by rounding: what is nearer than this share of the statistic's range counts as equal.
_ROUNDING = 1e-9

Indices: TypeAlias = npt.NDArray[np.int64]
Statistic: TypeAlias = Callable[[Sequence[Indices]], Floats]


def bootstrap_bounds(sizes: Sequence[int], statistic: Statistic, level: float = 0.95) -> tuple[float, float]:
    """Return the lower and upper bound of a statistic of several strata at ``level``.

    Args:
        sizes: how many values each stratum has, 2 or more.
        statistic: of one index array ``(resamples, n)`` a stratum, which says which of its values were drawn, the
            statistic of each resample ``(resamples,)``. Sort values beforehand, or bounds depend on their order.
        level: confidence.
    """
    whole = [np.arange(size)[None, :] for size in sizes]
    estimate = float(statistic(whole)[0])
    drawn = np.sort(statistic(_resamples(tuple(sizes))))
    rounding = _ROUNDING * float(drawn[-1] - drawn[0])
    if rounding <= _ROUNDING * _ROUNDING * abs(estimate):
        return estimate, estimate  # no resample differs
    below = np.mean(drawn < estimate - rounding) + np.mean(np.abs(drawn - estimate) <= rounding) / 2
    bias = float(stats.norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES)))
    acceleration = _acceleration(sizes, statistic, whole)
    low, high = (_adjusted(z, bias, acceleration) for z in (-_widened(sizes, level), _widened(sizes, level)))
    bounds = np.quantile(drawn, [low, high])
    return float(bounds[0]), float(bounds[1])


@lru_cache(maxsize=8)
def _resamples(sizes: tuple[int, ...]) -> tuple[Indices, ...]:
    """Draw the indices of each stratum; the second half mirrors the first, so that the sign of values is no matter."""
    rng = np.random.default_rng(20211206)  # any number: the same resamples at each call
    half = [rng.integers(size, size=(RESAMPLES // 2, size)) for size in sizes]
    return tuple(np.concatenate([one, size - 1 - one]) for one, size in zip(half, sizes, strict=True))


def _widened(sizes: Sequence[int], level: float) -> float:
    freedom = sum(size - 1 for size in sizes)
    smallest = min(sizes)
    return float(stats.t.isf((1 - level) / 2, freedom)) * math.sqrt(smallest / (smallest - 1))


def _adjusted(z: float, bias: float, acceleration: float) -> float:
    """The share of resamples below a bound whose normal quantile is ``z``."""
    shifted = bias + z
    steepness = 1 - acceleration * shifted
    # Past its pole the formula turns round: the bound is then the farthest resample.
    return float(stats.norm.cdf(bias + shifted / steepness)) if steepness > 0 else float(shifted > 0)


def _acceleration(sizes: Sequence[int], statistic: Statistic, whole: list[Indices]) -> float:
    """Return the skewness of the statistic's jackknife values, within strata, over 6."""
    cubes = squares = 0.0
    for stratum, size in enumerate(sizes):
        without = np.array([[i for i in range(size) if i != left_out] for left_out in range(size)])
        rows = [np.repeat(one, size, axis=0) for one in whole]
        rows[stratum] = without
        values = statistic(rows)
        # A stratum's share of the statistic's error goes with the inverse of its size.
        influence = (values.mean() - values) * (size - 1) / size
        cubes += float((influence**3).sum())
        squares += float((influence**2).sum())
    return cubes / (6 * squares**1.5) if squares > 0 else 0.0
