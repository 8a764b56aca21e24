"""Whether what tuning chose lies at an end of what it could choose: then something better may lie beyond.

A place is 0 at the low end and 1 at the high end, on the scale on which a setting was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from cellwise.records.store import RunRecord
from cellwise.records.tuning import Choice, Setting, TuningRecord
from cellwise.settings import typed

EDGE = 0.05
"""The outer twentieth of a range, at either end."""

_FEW_FOR_AN_END = 3  # of listed numbers, below which each is an end

End = Literal["low", "high", ""]


def place_of(choice: Choice, setting: Setting) -> float | None:
    """Return where a setting lies, 0 to 1; None where it is none of what could be chosen."""
    if choice.values:
        words = [typed(value) for value in choice.values]
        return (words.index(typed(setting)) + 0.5) / len(words) if typed(setting) in words else None
    if isinstance(setting, bool) or not isinstance(setting, int | float):
        return None
    at, low, high = (_scaled(choice, float(value or 0.0)) for value in (setting, choice.low, choice.high))
    return None if at is None or low is None or high is None else (at - low) / ((high - low) or 1.0)


def end_of(choice: Choice, setting: Setting) -> End:
    """Return at which end of what could be chosen a setting lies; "" where at none, or at one with nothing beyond.

    Below 0, and below 1 of whole numbers, there is mostly nothing to choose.
    """
    if isinstance(setting, bool) or not isinstance(setting, int | float):
        return ""
    nothing_below = (0, 1) if isinstance(setting, int) else (0,)
    if choice.values:
        listed = sorted({v for v in choice.values if isinstance(v, int | float) and not isinstance(v, bool)})
        if len(listed) < max(_FEW_FOR_AN_END, len(choice.values)):
            return ""
        low, high = setting == listed[0] and listed[0] not in nothing_below, setting == listed[-1]
    else:
        place = place_of(choice, setting)
        if place is None:
            return ""
        low = place <= EDGE and (choice.low or 0.0) not in nothing_below
        high = place >= 1 - EDGE
    return "high" if high else "low" if low else ""


def said_of_ends(record: TuningRecord, runs: Iterable[RunRecord]) -> str:
    """Say for which of the cells shown a chosen setting lies at an end of its range; "" where for none."""
    shown = {(run.cell, run.identity) for run in runs}
    found: dict[str, list[str]] = {}
    for tuned in record.tuned:
        if tuned.best is None or (tuned.cell, tuned.best.identity) not in shown:
            continue
        for key, choice in tuned.how.space.items():
            end = end_of(choice, tuned.best.settings[key]) if key in tuned.best.settings else ""
            if end:
                found.setdefault(key, []).append(f"{tuned.label} ({end})")
    each = "; ".join(f"{key} for {', '.join(labels)}" for key, labels in found.items())
    return (
        f"The best setting lies at an end of what could be chosen, so a better one may lie beyond: {each}."
        if found
        else ""
    )


def _scaled(choice: Choice, value: float) -> float | None:
    if choice.log:
        return math.log(value) if value > 0 else None
    if choice.log_of_one_minus:
        return -math.log1p(-value) if value < 1 else None
    return value
