"""Numbers as they are shown to people: few digits, never more than the spread supports."""

from __future__ import annotations

import math


def short(value: float | int | None, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits, ``–`` where there is none.

    Whole numbers keep all their digits; thousands are separated.
    """
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4:
        return f"{value:.{digits - 1}g}"
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def to_spread(value: float, spread: float) -> str:
    """Return ``value`` with as many decimals as two significant digits of ``spread`` have."""
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(spread) or spread <= 0:
        return short(value)
    return f"{value:,.{decimals(spread)}f}"


def decimals(spread: float) -> int:
    """Return the decimals that show two significant digits of ``spread`` (0 to 8)."""
    return min(8, max(0, 1 - math.floor(math.log10(spread))))


def percent(part: float, whole: float) -> str:
    """Return ``part`` of ``whole`` in percent with two significant digits."""
    return f"{short(100 * abs(part / whole), 2)} %" if whole else "–"
