"""The one exception a user sees: a single line that says what was wrong, what is allowed, what to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CellwiseError(Exception):
    """Bad input or a failed run, told in one line; the command line prints it and exits non-zero."""


class RunFailedError(CellwiseError):
    """A run failed, or runs did; the input was good."""


def unknown(kind: str, name: str, allowed: Iterable[str], hint: str = "") -> CellwiseError:
    """Return the error for a name that is not in a list.

    Args:
        kind: what the name was meant to be, for example ``"cell"``.
        name: what was typed.
        allowed: every name that would have been right.
        hint: what else to type, appended as it is.
    """
    names = sorted(allowed)
    by_lower = {each.lower(): each for each in reversed(names)}  # LSTM is near lstm; of two spellings the first
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    meant = f"; did you mean {by_lower[near[0]]!r}?" if near else ""
    tail = f"; {hint}" if hint else ""
    return CellwiseError(f"unknown {kind} {name!r}{meant or ';'} allowed: {', '.join(names) or 'none'}{tail}")
