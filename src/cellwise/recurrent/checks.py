"""What layers and the modules around them check alike: sizes and rates; imports no torch."""

from __future__ import annotations

from cellwise.errors import CellwiseError


def check_sizes(*, least: int = 1, **sizes: int) -> None:
    """Refuse a size that is not a whole number of 1, or `least`, or more.

    Raises:
        CellwiseError: naming the size.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < least:
            raise CellwiseError(f"{name}={size!r} must be a whole number, {least} or more")


def check_rate(name: str, rate: float) -> None:
    """Refuse a probability outside [0, 1).

    Raises:
        CellwiseError: naming it.
    """
    if not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise CellwiseError(f"{name}={rate!r} must be at least 0 and less than 1")
