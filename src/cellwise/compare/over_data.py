"""Several data sets of one task, each a comparison of its own: differences with an interval over the data sets.

Where the runs of a study differ in their data (each leaves another event out, for example), the means of a cell differ
from one to the next by what was forecast, not by what forecasts. So a cell is held against each floor, and against the
best cell, on each data set, and the mean of these differences has a t interval over data sets. Each data set is one
number, the mean over its seeds: runs on the same test examples are no independent evidence.

The interval is that of data sets like these: it takes them for independent draws of one kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cellwise.compare.comparable import facts_of, partition
from cellwise.compare.numbers import decimals
from cellwise.compare.statistics import Difference, paired_difference
from cellwise.compare.table import Comparison


@dataclass(frozen=True)
class Against:
    """A cell minus something else over data sets; ``better`` counts those on which the cell is the better one."""

    difference: Difference
    better: int

    @property
    def said(self) -> str:
        """In numbers: ``-0.17 [-0.29, -0.05], better on 0 of 6``."""
        d = self.difference
        places = decimals(d.high - d.low) if d.high > d.low else 4
        bounds = f" [{d.low:,.{places}f}, {d.high:,.{places}f}]"
        return f"{d.mean:,.{places}f}{bounds}, better on {self.better} of {d.n}"


@dataclass(frozen=True)
class OverData:
    """What cells have in common over data sets.

    Attributes:
        comparisons: one a data set.
        means: by label its mean on each data set, best first by the mean of these.
        floors: by name its value on each data set, best first by the mean of these.
        against_floors: by label, then by floor.
        against_best: by label, of all cells but the best.
    """

    comparisons: tuple[Comparison, ...]
    means: Mapping[str, tuple[float, ...]]
    floors: Mapping[str, tuple[float, ...]]
    against_floors: Mapping[str, Mapping[str, Against]]
    against_best: Mapping[str, Against]

    @property
    def best(self) -> str:
        """The cell with the best mean over data sets."""
        return next(iter(self.means))


def over_data(comparisons: Sequence[Comparison]) -> tuple[OverData, ...]:
    """Return what can be said over data sets, for each objective, budget and code with two data sets or more.

    Args:
        comparisons: of one study; those of one objective differ in data, budget or code.
    """
    found = (_over(members) for members in _alike_but_for_data(comparisons))
    return tuple(one for one in found if one is not None)


def _alike_but_for_data(comparisons: Sequence[Comparison]) -> list[list[Comparison]]:
    """Comparisons of one objective whose runs agree in budget and code, so that they differ in data alone."""
    by_objective: dict[tuple[str, str, str, str], list[Comparison]] = {}
    for one in comparisons:
        by_objective.setdefault((one.task, one.objective, one.direction, one.unit), []).append(one)
    classes = []
    for members in by_objective.values():
        facts = [facts_of(one.group.runs) for one in members]
        for alike in partition([each for of_one in facts for each in of_one], across=["data"]):
            whole = [one for one, of_one in zip(members, facts, strict=True) if of_one and of_one[0] in alike]
            classes.append(whole)
    return classes


def _over(comparisons: Sequence[Comparison]) -> OverData | None:
    """None of fewer than two data sets, or where no cell has a score in each."""
    scored = [{row.label: row.mean for row in one.rows if row.n} for one in comparisons]
    labels = set.intersection(*map(set, scored)) if len(scored) > 1 else set()
    if not labels:
        return None
    sign = _sign(comparisons)
    means = {label: tuple(of_one[label] for of_one in scored) for label in labels}
    ranked = dict(sorted(means.items(), key=lambda item: (sign * sum(item[1]), item[0])))
    named = set.intersection(*(set(one.floors) for one in comparisons))
    known = {name: tuple(one.floors[name] for one in comparisons) for name in named}
    known = {name: values for name, values in known.items() if all(map(math.isfinite, values))}
    floors = dict(sorted(known.items(), key=lambda item: (sign * sum(item[1]), item[0])))
    best, *others = ranked
    return OverData(
        tuple(comparisons),
        ranked,
        floors,
        {
            label: {name: _against(values, floor, sign) for name, floor in floors.items()}
            for label, values in ranked.items()
        },
        {label: _against(ranked[label], ranked[best], sign) for label in others},
    )


def _against(values: Sequence[float], others: Sequence[float], sign: int) -> Against:
    better = sum(sign * value < sign * other for value, other in zip(values, others, strict=True))
    return Against(paired_difference(values, others), better)


def _sign(comparisons: Sequence[Comparison]) -> int:
    return 1 if comparisons[0].direction == "min" else -1


def sentences(over: OverData) -> list[str]:
    """Return what is said of data sets together: how it was counted, then a line for each cell, best first."""
    count = len(over.comparisons)
    lines = [
        f"Over {count} data sets, each one number (the mean over its seeds), with t intervals over data sets: "
        f"{over.best} is best by its mean."
    ]
    for label, by_floor in over.against_floors.items():
        said = [f"minus floor {name} {against.said}" for name, against in by_floor.items()]
        if label in over.against_best:
            said.append(f"minus {over.best} {over.against_best[label].said}")
        if said:
            lines.append(f"{label}: {'; '.join(said)}.")
    return lines
