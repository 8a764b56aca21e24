"""How soon a target is reached, when some runs never reach it: the mean of those that did would flatter.

The share still on the way is Kaplan and Meier's (1958, JASA 53, 457-481), its bounds are the beta product's by moments
of Fay, Brittain and Proschan (2013, Biostatistics 14, 723-736, section 3): of runs that all had the same budget those
of Clopper and Pearson, right at any n. Two groups are compared by log-rank scores (Mantel 1966; Peto and Peto 1972),
and the p-value is exact: the share of ways to label the runs that part the groups as much.

Differences: chi-square, which the log-rank test usually takes its p-value from, calls 3 against 3 runs different that
chance parts as much one time in ten.

A run that diverged never reaches a target: enter it with the whole budget, not with the time at which it failed.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from cellwise.compare.statistics import Interval
from cellwise.compare.values import Floats, Values, finite, share
from cellwise.errors import CellwiseError

# All ways to label up to 8 against 8 runs are counted; of more, this many are drawn.
_MOST_LABELLINGS = 20_000
_ROUNDING = 1e-9  # of sums of scores that are equal


class Waiting(NamedTuple):
    """How long runs took, ``(n,)``, in steps, examples or seconds, and which ended without reaching the target."""

    times: Floats
    censored: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Survival:
    """The share of runs that have not reached the target after each of ``times`` ``(t,)``, and its bounds.

    Times are those at which a run got there or was lost from sight. Before the first the share is 1 and its lower bound
    ``low_at_start``; after the last the lower bound is 0.
    """

    times: Floats
    share: Floats
    low: Floats
    high: Floats
    low_at_start: float


def waiting(times: Values, censored: npt.ArrayLike = ()) -> Waiting:
    """Return how long runs took; ``censored`` ``(n,)`` marks those that never got there, none when left out.

    Raises:
        CellwiseError: a time that is negative or not finite, or not one mark for each time.
    """
    read = finite(times, "time")
    marks = np.asarray(censored, dtype=bool) if np.size(censored) else np.zeros(read.size, dtype=bool)
    if marks.shape != read.shape:
        raise CellwiseError(f"each time needs one mark of censoring, got {read.size} times and {marks.size} marks")
    if (read < 0).any():
        raise CellwiseError(f"a time must be 0 or more, got {read.min():g}")
    return Waiting(read, marks)


def survival_curve(runs: Waiting, level: float = 0.95) -> Survival:
    """Return Kaplan and Meier's curve at each time at which something happened."""
    alpha = 1 - share(level, "level")
    times = np.unique(runs.times)
    left, shares, low, high = 1.0, [], [], []
    # Moments of the product of one beta variable a run that reached the target; equal times follow each other.
    upper = _Product()
    for time in times:
        at_risk = int((runs.times >= time).sum())
        reached = int(((runs.times == time) & ~runs.censored).sum())
        for still in range(at_risk, at_risk - reached, -1):
            upper = upper.times(still)
        after = int((runs.times > time).sum())
        left *= 1 - reached / at_risk
        shares.append(left)
        low.append(upper.times(after).quantile(alpha / 2) if after else 0.0)
        high.append(upper.quantile(1 - alpha / 2))
    everyone = runs.times.size
    start = _Product().times(everyone).quantile(alpha / 2) if everyone else 0.0
    return Survival(times, np.array(shares), np.array(low), np.array(high), start)


def median_time(runs: Waiting, level: float = 0.95) -> Interval:
    """Return the time by which half of the runs reached the target, and its interval.

    Infinite where half never did. The bounds are 0 and infinite where there are too few runs to say: at 95 % below 6.
    All NaN without a run.
    """
    if not runs.times.size:
        return Interval(math.nan, math.nan, math.nan)
    curve = survival_curve(runs, level)
    half = 0.5 + 1e-12  # a product of shares that is a half but for rounding
    low = 0.0 if curve.low_at_start <= half else _first(curve.times, curve.low <= half)
    return Interval(_first(curve.times, curve.share <= half), low, _first(curve.times, curve.high < half))


def log_rank(a: Waiting, b: Waiting) -> float:
    """Return the p-value that two groups of runs reach the target equally soon, two-sided and exact.

    NaN where a group has no run. It assumes that runs were censored for the same reason in both groups: give them the
    same budget.
    """
    if not a.times.size or not b.times.size:
        return math.nan
    scores = log_rank_scores(Waiting(np.concatenate([a.times, b.times]), np.concatenate([a.censored, b.censored])))
    labelled = _labellings(scores.size, a.times.size)
    parted = np.abs(scores[labelled].sum(axis=1)) >= abs(scores[: a.times.size].sum()) - _ROUNDING
    if len(labelled) < _MOST_LABELLINGS:
        return float(parted.mean())
    return float((parted.sum() + 1) / (len(parted) + 1))  # the one that was seen is a labelling too


def _labellings(runs: int, first: int) -> npt.NDArray[np.int64]:
    """Return which runs are in the first group, ``(labellings, first)``: all ways, or as many as there is room for."""
    if math.comb(runs, first) < _MOST_LABELLINGS:
        return np.array(list(itertools.combinations(range(runs), first)))
    rng = np.random.default_rng(20211206)
    return rng.permuted(np.tile(np.arange(runs), (_MOST_LABELLINGS, 1)), axis=1)[:, :first]


def log_rank_scores(runs: Waiting) -> Floats:
    """Return observed less expected events of each run ``(n,)``; over a group they sum to log-rank's numerator."""
    events, reached = np.unique(runs.times[~runs.censored], return_counts=True)
    at_risk = np.array([(runs.times >= time).sum() for time in events], dtype=np.float64)
    hazard = np.concatenate([[0.0], np.cumsum(reached / at_risk)])
    expected = hazard[np.searchsorted(events, runs.times, side="right")]
    scores: Floats = (~runs.censored) - expected
    return scores


def _first(times: Floats, there: npt.NDArray[np.bool_]) -> float:
    return float(times[there][0]) if there.any() else math.inf


class _Product(NamedTuple):
    """A product of independent beta variables by its first two moments."""

    mean: float = 1.0
    square: float = 1.0

    def times(self, at_risk: int) -> _Product:
        """Multiply by Beta(at_risk, 1): what the next run to get there leaves of the share."""
        return _Product(self.mean * at_risk / (at_risk + 1), self.square * at_risk / (at_risk + 2))

    def quantile(self, q: float) -> float:
        """Return the quantile of the beta distribution with these moments; 1 of no variable at all."""
        if self.mean == 1:
            return 1.0
        variance = self.square - self.mean**2
        concentration = (self.mean - self.square) / variance
        return float(stats.beta.ppf(q, self.mean * concentration, (1 - self.mean) * concentration))
