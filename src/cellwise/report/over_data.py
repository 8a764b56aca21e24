"""Several data sets of one task: each cell against the floors and the best cell, over data sets and on each."""

from __future__ import annotations

from collections.abc import Sequence

from cellwise.compare.numbers import short
from cellwise.compare.over_data import OverData, over_data
from cellwise.compare.table import Comparison
from cellwise.report.overlay import Panel


def data_panels(comparisons: Sequence[Comparison]) -> tuple[tuple[str, Panel], ...]:
    """Return the tables over data sets, by name; none where no objective has two."""
    found: list[tuple[str, Panel]] = []
    for over in over_data(comparisons):
        found += [("differences", _differences(over)), ("each", _each(over))]
    return tuple(found)


def _differences(over: OverData) -> Panel:
    against = [f"minus floor {name}" for name in over.floors]
    rows = []
    for label, values in over.means.items():
        best = over.against_best.get(label)
        floors = [over.against_floors[label][name].said for name in over.floors]
        rows.append((label, short(sum(values) / len(values), 3), *floors, best.said if best else "–"))
    return Panel(
        f"Over {len(over.comparisons)} data sets: {_objective(over)}",
        "Does a cell beat the floors, and the best cell the others, on data like these?",
        heading=("cell", "mean over data sets", *against, f"minus {over.best}"),
        rows=tuple(rows),
        note="Each data set is one number, the mean over its seeds: runs on the same test examples are no independent "
        "evidence. Differences with t intervals at 95 % over data sets, which are taken for independent draws of one "
        "kind; not corrected for their number.",
    )


def _each(over: OverData) -> Panel:
    names = [one.group.apart or one.title for one in over.comparisons]
    rows = tuple(
        (
            name,
            *(short(values[place], 3) for values in over.means.values()),
            *(short(values[place], 3) for values in over.floors.values()),
        )
        for place, name in enumerate(names)
    )
    return Panel(
        f"On each data set: {_objective(over)}",
        "Is it the same cell, or the same floor, that is best on each?",
        heading=("data set", *over.means, *(f"floor: {name}" for name in over.floors)),
        rows=rows,
        note="Means over seeds.",
    )


def _objective(over: OverData) -> str:
    first = over.comparisons[0]
    return f"{first.task}, {first.objective.replace('_', ' ')}"
