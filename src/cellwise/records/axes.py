"""What views are made of: axes with units, and arrays that hold what they should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Scale: TypeAlias = Literal["linear", "log", "category"]
About: TypeAlias = Literal["task", "cell"]
Array: TypeAlias = npt.NDArray[Any]
_NUMBERS, _WORDS = "biuf", "USO"  # as numpy names the kinds of arrays


@dataclass(frozen=True)
class Axis:
    """What an axis measures: the quantity's name, its unit ("" if it has none) and how it is laid out.

    ``least`` and ``most`` say where the quantity ends, as a probability does, so that no interval is drawn beyond.
    """

    name: str
    unit: str = ""
    scale: Scale = "linear"
    least: float | None = None
    most: float | None = None


def as_array(view: object, field: str, dimensions: int, *, words: bool = False) -> None:
    """Replace a field by its array of numbers, or of words where these may stand for places; lists are welcome.

    Raises:
        ValueError: other dimensions, or neither numbers nor words.
    """
    value = getattr(view, field)
    if value is None:
        return
    array = of_numbers(np.asarray(value), field, words=words)
    if array.ndim != dimensions:
        raise ValueError(f"{field} has {array.ndim} dimensions, expected {dimensions}")
    object.__setattr__(view, field, array)


def of_numbers(array: Array, name: str, *, words: bool = False) -> Array:
    """Return an array that holds numbers, or words where these are allowed.

    Raises:
        ValueError: it holds anything else.
    """
    allowed = _NUMBERS + _WORDS if words else _NUMBERS
    if array.dtype.kind not in allowed:
        raise ValueError(f"{name} holds {array.dtype}, expected numbers{' or words' if words else ''}")
    return array
