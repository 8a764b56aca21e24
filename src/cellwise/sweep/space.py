"""What a search may choose: a range or a list of values for each key of the configuration.

A point of a space is a number from [0, 1) for each key; `at` says which setting it means. So a scale is a matter of the
range alone, and the same point is the same settings for every cell.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from cellwise.errors import CellwiseError, unknown
from cellwise.records.tuning import Choice, Setting

_FORMS = "{low: 1e-4, high: 1e-1, log: true}, or a list of values"


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Attributes:
        low: the least.
        high: the greatest.
        log: log-uniform: each factor is as likely as any other.
        log_of_one_minus: 1 - value is log-uniform; for momentum, of which the distance to 1 matters.
        whole: whole numbers alone; each is as likely as its share of the range, from half below to half above it.
    """

    low: float
    high: float
    log: bool = False
    log_of_one_minus: bool = False
    whole: bool = False

    def at(self, u: float) -> float | int:
        """Return the value at a place, 0 at the low end and 1 at the high end; of a number six digits."""
        left, right = self._ends()
        place = left + u * (right - left)
        value = math.exp(place) if self.log else 1 - math.exp(-place) if self.log_of_one_minus else place
        if self.whole:
            return min(max(round(value), int(self.low)), int(self.high))
        return self.near(value)

    def near(self, value: float) -> float:
        """Return a number of the range with six digits.

        Machines disagree about the last digit of a logarithm, and another digit would be another run.
        """
        return min(max(float(f"{value:.6g}"), self.low), self.high)

    def place(self, setting: Setting) -> float:
        """Return where a value lies: the inverse of `at`."""
        value = float(setting or 0)
        left, right = self._ends()
        scaled = math.log(value) if self.log else -math.log1p(-value) if self.log_of_one_minus else value
        return min(max((scaled - left) / (right - left), 0.0), 1.0)

    def corners(self) -> tuple[float | int, ...]:
        """Return the values that are tried before anything runs."""
        return self.at(0.0), self.at(1.0)

    def record(self) -> Choice:
        """Return it as records hold it."""
        return Choice(self.low, self.high, self.log, self.log_of_one_minus, self.whole)

    def _ends(self) -> tuple[float, float]:
        half = 0.5 if self.whole else 0.0
        if self.log:
            return math.log(self.low - half), math.log(self.high + half)
        if self.log_of_one_minus:
            return -math.log1p(-self.low), -math.log1p(-self.high)
        return self.low - half, self.high + half


@dataclass(frozen=True)
class Values:
    """Some values, each as likely as any other."""

    values: tuple[Setting, ...]

    def at(self, u: float) -> Setting:
        """Return the value at a place, 0 at the first and 1 at the last."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    def place(self, value: Setting) -> float:
        """Return where a value lies: the middle of its part."""
        return (self.values.index(value) + 0.5) / len(self.values)

    def corners(self) -> tuple[Setting, ...]:
        """Return the values that are tried before anything runs: all."""
        return self.values

    def record(self) -> Choice:
        """Return them as records hold them."""
        return Choice(values=self.values)


Dimension: TypeAlias = Range | Values
Space: TypeAlias = Mapping[str, Dimension]


def draw(space: Space, seed: int, number: int) -> dict[str, Setting]:
    """Return the settings of a trial of random search: the same for every cell, whoever asks, in any order.

    Args:
        space: what may be chosen.
        seed: of the search.
        number: of the trial, 0 or more; that of a key does not change when others join the space.
    """
    import numpy as np  # here: reading a study needs none

    return {
        key: dimension.at(np.random.default_rng([seed, number, zlib.crc32(key.encode())]).random())
        for key, dimension in space.items()
    }


def parse_space(plain: Any, where: str) -> dict[str, Dimension]:
    """Return a space as a study writes it.

    Args:
        plain: key to a range or a list.
        where: what to call it in an error.

    Raises:
        CellwiseError: a range that is none, or one that has no logarithm.
    """
    if not isinstance(plain, dict) or not plain:
        raise CellwiseError(f"{where} must map keys to what may be chosen: {_FORMS}")
    return {str(key): _dimension(value, f"{where}.{key}") for key, value in plain.items()}


def _dimension(plain: Any, where: str) -> Dimension:
    if isinstance(plain, list):
        return _values(plain, where)
    if not isinstance(plain, dict):
        raise CellwiseError(f"{where}={plain!r} is no choice; give {_FORMS}")
    allowed = ("low", "high", "log", "log_of_one_minus", "whole")
    for key in plain:
        if key not in allowed:
            raise unknown(f"key in {where}", str(key), allowed)
    low, high = (_number(plain.get(end), f"{where}.{end}") for end in ("low", "high"))
    flags = {key: plain[key] for key in allowed[2:] if key in plain}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise CellwiseError(f"{where}.{key}={value!r} must be true or false")
    range_ = Range(low, high, **flags)
    _check(range_, where)
    return range_


def _check(range_: Range, where: str) -> None:
    low, high = range_.low, range_.high
    if low >= high:
        raise CellwiseError(f"{where}: low={low:g} must be less than high={high:g}")
    if range_.log and range_.log_of_one_minus:
        raise CellwiseError(f"{where}: log and log_of_one_minus contradict each other; give one of them")
    if range_.whole and (low != int(low) or high != int(high)):
        raise CellwiseError(f"{where}: low={low:g} and high={high:g} must be whole numbers, as whole is true")
    if range_.whole and range_.log_of_one_minus:
        raise CellwiseError(f"{where}: log_of_one_minus is for numbers below 1, and whole numbers are none")
    if range_.log and low <= 0:
        raise CellwiseError(f"{where}: low={low:g} has no logarithm; give a low above 0, or leave log out")
    if range_.log_of_one_minus and high >= 1:
        raise CellwiseError(f"{where}: 1 - high has no logarithm with high={high:g}; give a high below 1, such as 0.99")


def _values(values: Sequence[Any], where: str) -> Values:
    if len(values) < 2:
        raise CellwiseError(f"{where} needs two values or more; a single one belongs into overrides")
    for value in values:
        if value is not None and not isinstance(value, bool | int | float | str):
            raise CellwiseError(f"{where}: {value!r} is no value to choose; give numbers, texts, true, false or null")
    if len({(type(value), value) for value in values}) < len(values):
        raise CellwiseError(f"{where} has a value twice; give each value once")
    return Values(tuple(values))


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CellwiseError(f"{where}={value!r} must be a number")
    return float(value)
