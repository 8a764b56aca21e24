"""The axis of a tuned key: where a setting lies in what could be chosen, on the scale on which it was chosen.

A place is 0 at the low end and 1 at the high end; of whole numbers each end is itself a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cellwise.compare.edges import End, end_of, place_of
from cellwise.compare.numbers import short
from cellwise.records.tuning import Choice, Setting, Tuned
from cellwise.report.theme import literal
from cellwise.report.traces import numbers
from cellwise.settings import typed

_FEWEST_TICKS = 4
_MOST_TICKS = 8


@dataclass(frozen=True)
class TunedAxis:
    """What could be chosen for a key, over all cells.

    Attributes:
        key: of the configuration.
        name: how it is called here.
        choice: a range or a list of values.
    """

    key: str
    name: str
    choice: Choice

    def place(self, setting: Setting) -> float | None:
        """Return where a setting lies, 0 to 1; None where it is none of what could be chosen."""
        return place_of(self.choice, setting)

    def said(self, setting: Setting) -> str:
        """Return a setting with all the digits that a search gives it."""
        return f"{setting:.6g}" if isinstance(setting, float) and not self.choice.values else typed(setting)

    def ticks(self) -> list[tuple[float, str]]:
        """Return (place, text) of readable values, from the low end to the high one."""
        if self.choice.values:
            return [((i + 0.5) / len(self.choice.values), typed(v)) for i, v in enumerate(self.choice.values)]
        low, high = self.choice.low or 0.0, self.choice.high or 0.0
        if self.choice.log and low > 0:
            values = of_decades(low, high)
        elif self.choice.log_of_one_minus and high < 1:
            values = [round(1 - value, 12) for value in reversed(of_decades(1 - high, 1 - low))]
        else:
            values = even(low, high, whole=self.choice.whole)
        placed = [(self.place(value), plain_number(value)) for value in values]
        return [(place, text) for place, text in placed if place is not None]

    def drawn(self, setting: Setting) -> Any:
        """Return what stands for a setting on the horizontal axis of a figure, as `layout` lays it out."""
        if self.choice.values:
            return typed(setting)
        if isinstance(setting, bool) or not isinstance(setting, int | float):
            return None
        return 1 - setting if self.choice.log_of_one_minus else setting

    def layout(self) -> dict[str, Any]:
        """Return the horizontal axis of a figure."""
        found: dict[str, Any] = {"title": {"text": literal(self.key)}, "automargin": True, "zeroline": False}
        if self.choice.values:
            words = [literal(typed(value)) for value in self.choice.values]
            return {**found, "type": "category", "categoryorder": "array", "categoryarray": words}
        low, high = (self.drawn(end) for end in (self.choice.low or 0.0, self.choice.high or 0.0))
        log = (self.choice.log or self.choice.log_of_one_minus) and min(low, high) > 0
        ends = [math.log10(end) for end in (low, high)] if log else [low, high]
        margin = 0.03 * ((ends[1] - ends[0]) or 1.0)
        found |= {"range": numbers([ends[0] - margin, ends[1] + margin]), "type": "log" if log else "linear"}
        if log:
            texts = self.ticks()
            values = of_decades(low, high) if low < high else list(reversed(of_decades(high, low)))
            found |= {"tickvals": numbers(values), "ticktext": [text for _, text in texts]}
        return found

    def edge(self, setting: Setting) -> End:
        """Return at which end of what could be chosen a setting lies, see `cellwise.compare.edges`."""
        return end_of(self.choice, setting)

    def range_said(self) -> str:
        """Return what could be chosen in words: `0.0001 to 0.1`, or the values."""
        if self.choice.values:
            return ", ".join(typed(value) for value in self.choice.values)
        return f"{plain_number(self.choice.low or 0.0)} to {plain_number(self.choice.high or 0.0)}"


def tuned_axes(tuned: Sequence[Tuned]) -> tuple[TunedAxis, ...]:
    """Return an axis for each tuned key: the learning rate first, the others as they matter, then as they stand.

    Where cells chose from different ranges, the axis holds them all.
    """
    choices: dict[str, list[Choice]] = {}
    for each in tuned:
        for key, choice in each.how.space.items():
            choices.setdefault(key, []).append(choice)
    names = _names(list(choices))
    shares: dict[str, list[float]] = {}
    for each in tuned:
        for key, share in (each.importance.alone if each.importance else {}).items():
            shares.setdefault(key, []).append(share)
    mean = {key: sum(each) / len(each) for key, each in shares.items()}

    def rank(key: str) -> tuple[bool, float]:
        return key.split(".")[-1] != "learning_rate", -mean.get(key, 0.0)

    return tuple(TunedAxis(key, names[key], _joined(choices[key])) for key in sorted(choices, key=rank))


def plain_number(value: float) -> str:
    """Return a number as a person writes it on an axis: 0.0001, 0.25, 1,000."""
    return f"{value:,.4g}" if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


def setting_said(value: Setting) -> str:
    """Return a chosen value with few digits, words as they are typed."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return short(value, 3)
    return typed(value)


def _joined(choices: Sequence[Choice]) -> Choice:
    """One choice that holds all of them."""
    first = choices[0]
    if all(choice == first for choice in choices):
        return first
    ranges = [c for c in choices if not c.values]
    if len(ranges) < len(choices):
        values: dict[str, Setting] = {typed(v): v for c in choices for v in (c.values or (c.low, c.high))}
        return Choice(values=tuple(values.values()))
    low, high = min(c.low or 0.0 for c in ranges), max(c.high or 0.0 for c in ranges)
    log = all(c.log for c in ranges) and low > 0
    return Choice(low, high, log, all(c.log_of_one_minus for c in ranges), all(c.whole for c in ranges))


def _names(keys: Sequence[str]) -> Mapping[str, str]:
    """The last word of each key, or the whole key where that word is not its own."""
    last = [key.split(".")[-1] for key in keys]
    return {key: word if last.count(word) == 1 and word else key for key, word in zip(keys, last, strict=True)}


def of_decades(low: float, high: float) -> list[float]:
    """Round numbers from low to high on a logarithmic scale."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = max(1, math.ceil((last - first) / _MOST_TICKS))
    found: list[float] = []
    for parts in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5), (1, 2, 3, 4, 5, 6, 7, 8, 9)):
        every = [float(f"{m}e{k}") for k in range(first, last + 1, step) for m in parts]
        found = [value for value in every if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) >= _FEWEST_TICKS:
            break
    return found or [low, high]


def even(low: float, high: float, *, whole: bool) -> list[float]:
    """Round numbers from low to high, evenly apart."""
    width = high - low
    if width <= 0:
        return [low]
    size = 10.0 ** math.floor(math.log10(width / _FEWEST_TICKS))
    step = next(m * size for m in (1, 2, 5, 10) if width / (m * size) <= _MOST_TICKS)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [float(f"{i * step:.10g}") for i in range(first, math.floor(high / step + 1e-9) + 1)]
