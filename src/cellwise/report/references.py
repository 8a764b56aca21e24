"""Floors and optimum in a figure, which of them it has room for, and how each configuration looks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cellwise.compare.groups import Group
from cellwise.compare.table import Comparison
from cellwise.records.axes import Scale
from cellwise.report.theme import Style, styles

_WIDE = 8


def look(group: Group) -> dict[str, Style]:
    """Return the style of each configuration of a group."""
    return styles({label: cell for (cell, _), label in group.labels.items()})


def references(comparison: Comparison) -> dict[str, float]:
    """Return floors and optimum, by the name in the legend."""
    lines = {f"floor: {name}": value for name, value in comparison.floors.items() if math.isfinite(value)}
    if comparison.optimum is not None and math.isfinite(comparison.optimum):
        lines["optimum"] = comparison.optimum
    return lines


def span(values: Sequence[float]) -> float:
    """Return how far values reach; of values that are all the same a tenth of their size, 1 where they are 0."""
    return (max(values) - min(values)) or abs(values[0]) * 0.1 or 1.0


def is_wide(values: Sequence[float]) -> bool:
    """Return whether values span so much that on a linear axis the small ones would be one point."""
    return bool(values) and min(values) > 0 and max(values) > _WIDE * min(values)


def scale(values: Sequence[float]) -> Scale:
    """Return the scale of an axis for values: logarithmic where they span much."""
    return "log" if is_wide(values) else "linear"


def least_of_log(values: Sequence[float], lows: Sequence[float] = ()) -> float:
    """Return where a logarithmic axis ends: intervals that reach to 0, or nearly, end there.

    Args:
        values: positive ones.
        lows: lower bounds of their intervals.
    """
    least = min(values)
    return max(least / 10, min([low for low in lows if low > 0], default=least / 2))


def near(values: Sequence[float], lines: dict[str, float]) -> dict[str, float]:
    """Return the lines that a picture of these values has room for: at most as far outside as the values reach."""
    if not values:
        return lines
    reach = span(values)
    return {name: value for name, value in lines.items() if min(values) - reach <= value <= max(values) + reach}
