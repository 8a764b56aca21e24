"""Views: the named pieces of evidence that a run stores to be looked at; seven kinds, one dataclass each.

The report and the loggers draw any view of any task from its kind alone; how it lies on disk says
``cellwise.records.view_files``. ``about`` says whether it shows what was learnt of the task or the inside of the cell.
``redistributable`` is false where it shows samples (images, words) of data whose owner may not allow them to be passed
on: W&B gets no such view, and ``cellwise report --public`` leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from cellwise.records.axes import About, Array, Axis, as_array, of_numbers
from cellwise.records.gallery import Gallery

Role: TypeAlias = Literal["measured", "optimum", "floor"]
Marks: TypeAlias = Literal["lines", "dots"]
FilmRole: TypeAlias = Literal["given", "measured", "difference"]


@dataclass(frozen=True, eq=False)
class Series:
    """One line: ``y`` over ``x``, both ``(points,)``, with an optional band from ``low`` to ``high``.

    ``role`` says whether the run measured it, or it is the best possible value or a trivial answer, which
    are the same for every cell and drawn once. ``x`` holds words where the view's axis is a category.
    """

    name: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    role: Role = "measured"

    def __post_init__(self) -> None:
        for field in ("x", "y", "low", "high"):
            as_array(self, field, 1, words=field == "x")
        for field in ("y", "low", "high"):
            found = getattr(self, field)
            if found is not None and found.shape != self.x.shape:
                raise ValueError(f"series {self.name!r}: {field} has {found.shape}, x has {self.x.shape}")
        if (self.low is None) != (self.high is None):
            raise ValueError(f"series {self.name!r}: a band needs both low and high")


@dataclass(frozen=True, eq=False)
class Curves:
    """Lines over a shared pair of axes; or ``marks="dots"``, each a thing of its own, so that none are averaged."""

    name: str
    title: str
    question: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    about: About = "task"
    marks: Marks = "lines"
    redistributable: bool = True


@dataclass(frozen=True, eq=False)
class Distribution:
    """Samples of one quantity by group: group name to values ``(samples,)``."""

    name: str
    title: str
    question: str
    value: Axis
    samples: Mapping[str, Array]
    about: About = "task"
    redistributable: bool = True

    def __post_init__(self) -> None:
        samples = {g: of_numbers(np.asarray(values), f"samples of {g!r}") for g, values in self.samples.items()}
        for group, values in samples.items():
            if values.ndim != 1:
                raise ValueError(f"samples of {group!r} have {values.ndim} dimensions, expected 1")
        object.__setattr__(self, "samples", samples)


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A field ``values`` of shape ``(y, x)`` over ``x_values`` ``(x,)`` and ``y_values`` ``(y,)``.

    ``words`` stand below the columns in place of ``x_values``, one each, and may repeat; none where it is empty.
    """

    name: str
    title: str
    question: str
    x: Axis
    y: Axis
    value: Axis
    x_values: Array
    y_values: Array
    values: Array
    about: About = "task"
    words: tuple[str, ...] = ()
    redistributable: bool = True

    def __post_init__(self) -> None:
        for field, dimensions in (("x_values", 1), ("y_values", 1), ("values", 2)):
            as_array(self, field, dimensions, words=dimensions == 1)
        expected = (len(self.y_values), len(self.x_values))
        if self.values.shape != expected:
            raise ValueError(f"values have shape {self.values.shape}, the axes say {expected}")
        if self.words and len(self.words) != len(self.x_values):
            raise ValueError(f"{len(self.words)} words for {len(self.x_values)} columns")


@dataclass(frozen=True, eq=False)
class Filmstrip:
    """Images over time: ``frames`` ``(rows, times, height, width)``, for example observed and forecast.

    ``roles`` says of each row whether it is the same for every cell (``given``, drawn once), what the run made of it,
    or a ``difference``, which has a colour scale of its own around 0; empty: all are measured. ``levels``, ascending,
    are where colours change, as on a radar map; below the first nothing is drawn. Empty: a continuous scale.
    """

    name: str
    title: str
    question: str
    time: Axis
    value: Axis
    times: Array
    rows: tuple[str, ...]
    frames: Array
    about: About = "task"
    roles: tuple[FilmRole, ...] = ()
    levels: tuple[float, ...] = ()
    redistributable: bool = True

    def __post_init__(self) -> None:
        as_array(self, "times", 1, words=True)
        as_array(self, "frames", 4)
        expected = (len(self.rows), len(self.times))
        if self.frames.shape[:2] != expected:
            raise ValueError(f"frames have shape {self.frames.shape}, rows and times say {expected}")
        if self.roles and len(self.roles) != len(self.rows):
            raise ValueError(f"{len(self.roles)} roles for {len(self.rows)} rows")
        if any(low >= high for low, high in zip(self.levels, self.levels[1:], strict=False)):
            raise ValueError(f"levels {self.levels} must rise")

    def role(self, row: int) -> FilmRole:
        """Return the role of a row."""
        return self.roles[row] if self.roles else "measured"


@dataclass(frozen=True)
class Column:
    """One column of a table: what it holds and its unit."""

    name: str
    unit: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers; words name a row, numbers are measured (averaged over seeds in a report)."""

    name: str
    title: str
    question: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
    about: About = "task"
    redistributable: bool = True

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} has {len(row)} cells, the table has {len(self.columns)} columns")


@dataclass(frozen=True, eq=False)
class Text:
    """Tokens, each with a weight ``(tokens,)`` that is shown as the strength of its background."""

    name: str
    title: str
    question: str
    value: Axis
    tokens: tuple[str, ...]
    weights: Array
    about: About = "task"
    redistributable: bool = True

    def __post_init__(self) -> None:
        as_array(self, "weights", 1)
        if len(self.weights) != len(self.tokens):
            raise ValueError(f"{len(self.weights)} weights for {len(self.tokens)} tokens")


View: TypeAlias = Curves | Distribution | Heatmap | Filmstrip | Gallery | Table | Text
KINDS: dict[str, type[View]] = {
    "curves": Curves,
    "distribution": Distribution,
    "heatmap": Heatmap,
    "filmstrip": Filmstrip,
    "gallery": Gallery,
    "table": Table,
    "text": Text,
}


def kind_of(view: View) -> str:
    """Return the name of a view's kind: ``"curves"``, ``"table"``, ..."""
    return type(view).__name__.lower()
