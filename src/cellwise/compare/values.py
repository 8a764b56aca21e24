"""Scores as they come in: what is no number is refused in one line, before it becomes a mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cellwise.errors import CellwiseError

Floats: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = Sequence[float] | Floats


def finite(x: Values, what: str = "score") -> Floats:
    """Return one row of finite numbers ``(n,)`` as float64; none is a row too.

    Raises:
        CellwiseError: not one row of numbers, or one of them is NaN or infinite: a mean with it would be no number, and
            a mean without it would hide a run that diverged.
    """
    try:
        values = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError):
        raise CellwiseError(f"each {what} must be a number, got {x!r}") from None
    if values.ndim != 1:
        raise CellwiseError(f"{what}s must be one row of numbers, got shape {values.shape}")
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise CellwiseError(
            f"{what} {wrong[0] + 1} of {values.size} is {values[wrong[0]]}: leave out what is not finite, and say how "
            f"many that are"
        )
    return values


def pairs(a: Values, b: Values) -> tuple[Floats, Floats]:
    """Return two rows of finite numbers of one length, ``(n,)``.

    Raises:
        CellwiseError: as `finite`, or the lengths differ.
    """
    first, second = finite(a), finite(b)
    if first.size != second.size:
        raise CellwiseError(
            f"pairs need equal lengths, got {first.size} and {second.size} scores: give those of the same seeds"
        )
    return first, second


def share(value: float, name: str) -> float:
    """Return a number between 0 and 1, the ends excluded: a level of confidence, a power.

    Raises:
        CellwiseError: it is not one.
    """
    if not 0 < value < 1:
        raise CellwiseError(f"{name}={value!r} must be between 0 and 1, for example {name}=0.95")
    return float(value)
