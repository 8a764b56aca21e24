"""What the best of k trials of a search is expected to be: tuning effort as an axis, not as a footnote.

Of B trials with values sorted from worst to best, x_(1) ... x_(B):

    plug-in   V_k = sum_i x_(i) [(i/B)^k - ((i-1)/B)^k]        Dodge et al. 2019 (arXiv 1909.03004), equation 2
    unbiased  V_k = sum_i x_(i) C(i-1, k-1) / C(B, k)          Tang et al. 2020 (arXiv 2004.13705)

The first draws k trials out of the B with replacement, so it is pessimistic: it may draw one trial several times. The
second draws without. Neither says anything of more than B trials, so k ends there.

Differences: where less is better, values are negated before and after; both papers maximise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = Sequence[float] | npt.NDArray[np.float64]
Direction: TypeAlias = Literal["min", "max"]


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
    curve = np.empty(trials)
    for k in range(1, trials + 1):
        i = np.arange(trials, 1, -1)
        weights = k / trials * np.concatenate([[1.0], np.cumprod(np.maximum(i - k, 0) / (i - 1))])
        curve[k - 1] = weights @ x[::-1]
    return _sign(direction) * curve


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
