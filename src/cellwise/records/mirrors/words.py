"""What is said of a view beside its picture: axes with units, and a caption that holds all that the view says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cellwise.records.schema import Axis, Column, Curves, Filmstrip, Heatmap, Table, View


def with_unit(named: Axis | Column) -> str:
    """Return a name and its unit: `distance (words)`."""
    return f"{named.name} ({named.unit})" if named.unit else named.name


def axes(view: View) -> tuple[str, ...]:
    """Return what a view's axes or columns measure, with units."""
    if isinstance(view, Table):
        return tuple(with_unit(column) for column in view.columns)
    if isinstance(view, Curves):
        found: tuple[Axis, ...] = (view.x, view.y)
    elif isinstance(view, Heatmap):
        found = (view.x, view.y, view.value)
    elif isinstance(view, Filmstrip):
        found = (view.time, view.value)
    else:
        found = (view.value,)
    return tuple(with_unit(axis) for axis in found)


def caption(view: View) -> str:
    """Return a view's title, question and axes in one line."""
    return f"{view.title}. {view.question} Axes: {', '.join(axes(view))}."


def key_of(view: View) -> str:
    """Return the name that a view has in a mirror; the part before the slash is its section there."""
    return f"{view.about}/{view.name}"


def number(value: Any) -> str:
    """Return a tick or a cell as it is shown: four digits, or the word that it is."""
    try:
        return f"{float(value):.4g}"
    except (TypeError, ValueError):
        return str(value)


def valued(answers: Sequence[str], values: Iterable[float]) -> str:
    """Return answers with what each is worth, in one line: `red 0.91, blue 0.05`."""
    return ", ".join(f"{answer} {number(value)}" for answer, value in zip(answers, values, strict=True))
