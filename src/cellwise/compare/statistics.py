"""Statistics of a few seeds: intervals, paired differences, and what a number of seeds can tell apart.

Intervals and tests are Student's (t); power is that of the paired two-sided t-test, from the noncentral t
distribution (Cohen 1988, Statistical Power Analysis, chapter 2); the correction for many pairs is Holm's
(1979, Scandinavian Journal of Statistics 6, 65-70). The interquartile mean is that of Agarwal et al. 2021
(arXiv 2108.13264).

Differences: none. The t interval is kept for every n: at three to five seeds a percentile bootstrap covers
too little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

Values: TypeAlias = Sequence[float] | npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean with its confidence bounds, in the unit of the values; the bounds are NaN for one value."""

    mean: float
    low: float
    high: float


class Difference(NamedTuple):
    """The mean of ``a - b``, its bounds, the two-sided p-value, the number of pairs, the sd of ``a - b``."""

    mean: float
    low: float
    high: float
    p: float
    n: int
    sd: float


def mean_interval(x: Values, level: float = 0.95) -> Interval:
    """Return the mean of ``x`` ``(n,)`` and its t interval at ``level``."""
    values = np.asarray(x, dtype=np.float64)
    if values.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if values.size == 1:
        return Interval(mean, math.nan, math.nan)
    half = _half_width(_sd(values) / math.sqrt(values.size), values.size - 1, level)
    return Interval(mean, mean - half, mean + half)


def interquartile_mean(x: Values) -> float:
    """Return the mean of ``x`` ``(n,)`` without its lowest and highest ``floor(n / 4)`` values."""
    values = np.sort(np.asarray(x, dtype=np.float64))
    if values.size == 0:
        return math.nan
    cut = values.size // 4
    return float(values[cut : values.size - cut].mean())


def paired_difference(a: Values, b: Values, level: float = 0.95) -> Difference:
    """Return the mean of ``a - b`` over pairs, both ``(n,)``; bounds and p are NaN below two pairs.

    Raises:
        ValueError: ``a`` and ``b`` have different lengths.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"pairs need equal lengths, got shapes {first.shape} and {second.shape}")
    d = first - second
    if d.size < 2:
        mean = float(d.mean()) if d.size else math.nan
        return Difference(mean, math.nan, math.nan, math.nan, d.size, math.nan)
    sd = _sd(d)
    return _difference(float(d.mean()), sd / math.sqrt(d.size), d.size - 1, d.size, sd, level)


def unpaired_difference(a: Values, b: Values, level: float = 0.95) -> Difference:
    """Return Welch's difference of means of ``a`` ``(n,)`` and ``b`` ``(m,)``, for seeds that do not pair.

    ``n`` is the smaller of the two, and ``sd`` that of the difference of two single draws.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    smaller = min(first.size, second.size)
    mean = float(first.mean() - second.mean()) if smaller else math.nan
    if smaller < 2:
        return Difference(mean, math.nan, math.nan, math.nan, smaller, math.nan)
    va, vb = _sd(first) ** 2 / first.size, _sd(second) ** 2 / second.size
    error = math.sqrt(va + vb)
    # Welch and Satterthwaite; without any variance the degrees of freedom do not matter
    parts = va**2 / (first.size - 1) + vb**2 / (second.size - 1)
    freedom = (va + vb) ** 2 / parts if parts > 0 else float(smaller - 1)
    sd = math.hypot(_sd(first), _sd(second))
    return _difference(mean, error, freedom, smaller, sd, level)


def paired_power(difference: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Return the chance that a two-sided paired t-test with ``n`` pairs sees ``difference``."""
    if n < 2:
        return 0.0
    if sd == 0:
        return float(difference != 0)
    return _power(abs(difference) / sd * math.sqrt(n), n, alpha)


def smallest_detectable_difference(sd: float, n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest mean difference that ``n`` pairs show; infinite below two pairs.

    Args:
        sd: standard deviation of the paired differences.
        n: number of pairs.
        power: wanted chance of detection.
        alpha: two-sided level of the test.
    """
    if n < 2:
        return math.inf
    critical = float(stats.t.isf(alpha / 2, n - 1))
    upper = critical + 1.0
    while _power(upper, n, alpha) < power:
        upper *= 1.5
    shift = optimize.brentq(lambda delta: _power(float(delta), n, alpha) - power, 0.0, upper, xtol=1e-9)
    return float(shift) * sd / math.sqrt(n)


def seeds_needed(difference: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Return the least number of pairs that shows ``difference``; None where that is zero."""
    if difference == 0 or not math.isfinite(difference):
        return None
    if sd == 0:
        return 2
    effect = abs(difference) / sd
    normal = ((stats.norm.isf(alpha / 2) + stats.norm.ppf(power)) / effect) ** 2  # t needs more, never less
    n = max(2, math.floor(normal))
    if n > 100_000:  # here t and normal agree to the last digit shown
        return math.ceil(normal)
    while paired_power(difference, sd, n, alpha) < power:
        n += 1
    return n


def holm(p: Values) -> npt.NDArray[np.float64]:
    """Return Holm's adjusted p-values ``(tests,)``, in the order given; NaN is no test and stays NaN."""
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return adjusted


def _sd(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1))


def _half_width(error: float, freedom: float, level: float) -> float:
    return float(stats.t.isf((1 - level) / 2, freedom)) * error


def _difference(mean: float, error: float, freedom: float, n: int, sd: float, level: float) -> Difference:
    """Put a difference together from its mean and standard error."""
    half = _half_width(error, freedom, level)
    without_spread = 0.0 if mean else 1.0
    p = float(2 * stats.t.sf(abs(mean) / error, freedom)) if error > 0 else without_spread
    return Difference(mean, mean - half, mean + half, p, n, sd)


def _power(shift: float, n: int, alpha: float) -> float:
    """Power of the two-sided t-test with ``n - 1`` degrees of freedom at noncentrality ``shift``."""
    critical = stats.t.isf(alpha / 2, n - 1)
    upper = float(stats.nct.sf(critical, n - 1, shift))
    # Past 5 the far tail is below 1e-8, and scipy 1.17 returns NaN for it.
    return upper + (float(stats.nct.cdf(-critical, n - 1, shift)) if shift < 5 else 0.0)
