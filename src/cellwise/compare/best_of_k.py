"""What the best of k trials of a search is expected to be: tuning effort as an axis, not as a footnote.

Of B trials with values sorted from worst to best, x_(1) ... x_(B):

    plug-in   V_k = sum_i x_(i) [(i/B)^k - ((i-1)/B)^k]        Dodge et al. 2019 (arXiv 1909.03004), equation 2
    unbiased  V_k = sum_i x_(i) C(i-1, k-1) / C(B, k)          Tang et al. 2020 (arXiv 2004.13705)

The first draws k trials out of the B with replacement, so it is pessimistic: it may draw one trial several times. The
second draws without. Neither says anything of more than B trials, so k ends there.

How far a single draw of k may lie from that is exact too: of the C(B, k) draws without replacement, C(i, k) have
nothing better than x_(i), so a share of C(i, k) / C(B, k) has a best of x_(i) or worse. At k = B one draw is left, and
no spread: that is no certainty of what B other trials would have found.

Differences: where less is better, values are negated before and after; both papers maximise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = Sequence[float] | npt.NDArray[np.float64]
Curve: TypeAlias = npt.NDArray[np.float64]
Direction: TypeAlias = Literal["min", "max"]

_ROUNDING = 1e-9  # a share of exactly a tenth is one, whatever the last digits of its sum


def plug_in(values: Values, direction: Direction) -> npt.NDArray[np.float64]:
    """Return Dodge's expected best of k = 1 ... B trials, ``(B,)``, in the unit of the values.

    Args:
        values: of B trials, ``(B,)``.
        direction: whether less or more is better.

    Raises:
        ValueError: a value that is not finite.
    """
    x = _worst_to_best(values, direction)
    trials = x.size
    k = np.arange(1, trials + 1)[:, None]
    cumulative = (np.arange(trials + 1) / max(trials, 1))[None, :] ** k
    return _sign(direction) * (np.diff(cumulative, axis=1) @ x)


def unbiased(values: Values, direction: Direction) -> npt.NDArray[np.float64]:
    """Return Tang's expected best of k = 1 ... B trials; as `plug_in`."""
    x = _worst_to_best(values, direction)
    trials = x.size
    # C(i-1, k-1) / C(B, k), from i = B downwards: its first term is k/B, each next one the former times (i-k)/(i-1).
    curve = np.array([_shares(k, trials) @ x[::-1] for k in range(1, trials + 1)], dtype=np.float64)
    return _sign(direction) * curve


def spread(values: Values, direction: Direction, level: float) -> tuple[Curve, Curve]:
    """Return between what the best of k = 1 ... B trials lies in the middle `level` of all draws without replacement.

    Args:
        values: of B trials, ``(B,)``.
        direction: whether less or more is better.
        level: 0.8 leaves the worst tenth and the best tenth of draws out.

    Returns:
        the worse and the better end, ``(B,)`` each; each is one of the values.

    Raises:
        ValueError: a value that is not finite.
    """
    x = _worst_to_best(values, direction)
    trials, tail = x.size, (1 - level) / 2
    worse, better = np.empty(trials), np.empty(trials)
    for k in range(1, trials + 1):
        # Of draws, those with a best of x_(i) or worse: one minus those with a better one.
        reached = np.concatenate([[0.0], np.cumsum(_shares(k, trials))])[:-1]
        below = 1 - reached[::-1]
        for end, at in ((worse, tail), (better, 1 - tail)):
            end[k - 1] = x[min(int(np.searchsorted(below, at - _ROUNDING)), trials - 1)]
    return _sign(direction) * worse, _sign(direction) * better


def _shares(k: int, trials: int) -> Curve:
    """Of all draws of k, the share of which x_(i) is the best, from i = B downwards."""
    i = np.arange(trials, 1, -1)
    return np.asarray(k / trials * np.concatenate([[1.0], np.cumprod(np.maximum(i - k, 0) / (i - 1))]))


def counted(finished: Values, pruned: Values, failed: int, direction: Direction) -> npt.NDArray[np.float64]:
    """Return the value that each trial counts with: a trial without a result was spent all the same.

    A pruned trial counts with the best that it had reached, a failed one with the worst of all; both are kinder than
    the truth may be. Without any value there is no curve.

    Args:
        finished: values of finished trials.
        pruned: the best values that pruned trials had reached.
        failed: how many trials failed.
        direction: whether less or more is better.
    """
    known = np.asarray([*finished, *pruned], dtype=np.float64)
    if known.size == 0:
        return known
    worst = known.max() if direction == "min" else known.min()
    return np.concatenate([known, np.full(failed, worst)])


def _worst_to_best(values: Values, direction: Direction) -> npt.NDArray[np.float64]:
    x = _sign(direction) * np.asarray(values, dtype=np.float64)
    if not np.isfinite(x).all():
        raise ValueError("each value must be finite")
    return np.sort(x)


def _sign(direction: Direction) -> float:
    return 1.0 if direction == "max" else -1.0
