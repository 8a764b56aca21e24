"""A text with a part that a generator writes, between two markers."""

from __future__ import annotations


def rewritten(text: str, start: str, end: str, content: str, name: str = "README.md") -> str:
    """Return a text with what stands between the markers replaced.

    Raises:
        ValueError: the markers are not there, once each and in order.
    """
    before, first, rest = text.partition(start)
    _, last, after = rest.partition(end)
    if not first or not last or start in rest or end in after:
        raise ValueError(f"{name} must hold {start} and, after it, {end}, once each")
    return f"{before}{start}\n{content}\n{end}{after}"
