"""Which cell reaches a target first, read from the validation rows of the runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from cellwise.compare.groups import Group
from cellwise.compare.statistics import Interval, holm
from cellwise.compare.survival import Waiting, log_rank, median_time, waiting
from cellwise.compare.values import finite
from cellwise.records.schema import Direction
from cellwise.records.store import RunRecord

Against: TypeAlias = Literal["step", "examples", "seconds"]


@dataclass(frozen=True)
class Reached:
    """How soon the runs of one configuration reached a target: ``reached`` of ``n``, and the median time."""

    label: str
    n: int
    reached: int
    median: Interval
    runs: Waiting


@dataclass(frozen=True)
class Race:
    """Configurations by how soon they reached a target, and Holm's p-value that two of them are equally soon."""

    target: float
    against: Against
    rows: tuple[Reached, ...]
    p: Mapping[tuple[str, str], float]


def race(group: Group, target: float, direction: Direction, against: Against = "step") -> Race:
    """Return how soon each configuration's validation objective was at ``target`` or better, soonest first.

    A run that ended without it, in whatever way, never reached it, and counts with the longest time of all; one that
    was cut off or is still running counts with its own time, so far. Times are those of validation: a run may have been
    there up to one validation earlier.

    Args:
        group: the runs.
        target: in the unit of the objective.
        direction: of the objective, ``min`` or ``max``.
        against: what time is counted in.

    Raises:
        CellwiseError: a target that is not finite.
    """
    finite([target], "target")
    key = f"validation_{group.objective}"
    read = [(group.label(run), run.status, *_first(run, key, target, direction, against)) for run in group.runs]
    longest = max((last for *_, last in read), default=0.0)
    by_label: dict[str, list[tuple[float, bool]]] = {}
    for label, status, reached, last in read:
        never = longest if status != "running" else last
        by_label.setdefault(label, []).append((never, True) if reached is None else (reached, False))
    rows = [_row(label, times) for label, times in by_label.items()]
    rows.sort(key=lambda row: (row.median.value, -row.reached / row.n, row.label))
    couples = list(itertools.combinations(rows, 2))
    p = holm([log_rank(first.runs, second.runs) for first, second in couples])
    by_pair = {(first.label, second.label): float(each) for (first, second), each in zip(couples, p, strict=True)}
    return Race(target, against, tuple(rows), by_pair)


def _row(label: str, times: list[tuple[float, bool]]) -> Reached:
    runs = waiting([time for time, _ in times], np.array([censored for _, censored in times]))
    return Reached(label, len(times), int((~runs.censored).sum()), median_time(runs), runs)


def _first(
    run: RunRecord, key: str, target: float, direction: Direction, against: Against
) -> tuple[float | None, float]:
    """When a run was first at the target, None where it never was, and its last time."""
    first, last = None, 0.0
    for row in run.metrics():
        time, value = _number(row, against), _number(row, key)
        if time is None:
            continue
        last = max(last, time)
        if first is None and value is not None and (value <= target if direction == "min" else value >= target):
            first = time
    return first, last


def _number(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
