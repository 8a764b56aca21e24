"""How often a run of one cell beats a run of another: what a reader wants to know who trains one network.

The estimate is Mann and Whitney's U / (n m), ties counted half: the probability of improvement of Agarwal et al. 2021
(arXiv 2108.13264, section 4.3). The interval is Newcombe's method 5 (2006, Statistics in Medicine 25, 559-573): all
probabilities whose standard error by Hanley and McNeil,

    V(p) = p (1 - p) / (n m) [1 + ((n + m) / 2 - 1) ((1 - p) / (2 - p) + p / (1 + p))],

puts the estimate within z of them.

Differences: Agarwal et al. resample the runs. Of 5 runs each that do not overlap every resample says 1, so that
interval has no width where least is known; this one reaches from 0.64 to 1.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, stats

from cellwise.compare.statistics import Interval
from cellwise.compare.values import Values, finite, share
from cellwise.errors import CellwiseError
from cellwise.records.schema import Direction


def probability_of_improvement(a: Values, b: Values, level: float = 0.95, *, direction: Direction = "max") -> Interval:
    """Return the chance that a run of ``a`` ``(n,)`` beats one of ``b`` ``(m,)``, and its interval.

    Seeds need not pair. Where they do and scores go together with them, the interval is too wide, never too narrow. It
    holds 0.5 in 90 of 100 comparisons of equal cells with 3 seeds each, 95 from 5 on; see `docs/statistics.md`.

    Args:
        a: scores of one cell; without any the answer is NaN.
        b: scores of another.
        level: confidence.
        direction: ``max`` where the higher score wins, ``min`` where the lower one does.

    Raises:
        CellwiseError: a value that is not finite, or another direction.
    """
    if direction not in ("min", "max"):
        raise CellwiseError(f"unknown direction {direction!r}; allowed: max, min")
    first, second = finite(a), finite(b)
    level = share(level, "level")
    if not first.size or not second.size:
        return Interval(math.nan, math.nan, math.nan)
    signs = np.sign(first[:, None] - second[None, :])
    won = float((1 + (signs if direction == "max" else -signs)).mean() / 2)
    z = float(stats.norm.isf((1 - level) / 2))
    # The upper bound of one cell is one minus the lower bound of the other.
    low = _lower_bound(won, first.size, second.size, z)
    return Interval(won, low, 1 - _lower_bound(1 - won, first.size, second.size, z))


def _lower_bound(won: float, n: int, m: int, z: float) -> float:
    """The least probability that is z standard errors, by its own, below the estimate."""
    if won == 0:
        return 0.0

    def error(p: float) -> float:
        more = ((n + m) / 2 - 1) * ((1 - p) / (2 - p) + p / (1 + p))
        return math.sqrt(p * (1 - p) / (n * m) * (1 + more))

    def beyond(p: float) -> float:
        return won - p - z * error(p)

    # At an estimate of 1 the estimate itself is a root too, and no bound: it has no error.
    return float(optimize.brentq(beyond, 0.0, won - 1e-12, xtol=1e-12))
