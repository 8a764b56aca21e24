"""Which cell reaches a target first, in the terminal."""

from __future__ import annotations

import math
from collections.abc import Collection

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellwise.compare.comparable import Ground
from cellwise.compare.numbers import short
from cellwise.compare.table import compare
from cellwise.compare.target import Race, race
from cellwise.compare.verdict import ALPHA
from cellwise.records.store import Study

# With more pairs than this a list says less than the table.
_MOST_PAIRS = 10


def render_target(study: Study, target: float, console: Console | None = None, across: Collection[Ground] = ()) -> None:
    """Print how soon each cell's validation reached a target, and which cells did it sooner than others.

    Args:
        study: the runs.
        target: in the unit of the objective.
        console: where to print; standard output when None.
        across: what runs may differ in and be compared all the same.

    Raises:
        CellwiseError: a target that is not finite.
    """
    console = console or Console()
    for comparison in compare(study, across):
        found = race(comparison.group, target, comparison.direction)
        better = "at most" if comparison.direction == "min" else "at least"
        heading = f"{comparison.title}: training steps until validation was {better} {short(target)}"
        console.print()
        console.print(Text(heading, style="bold"))
        console.print(_table(found))
        for line in sentences(found):
            console.print(Text(line))


def sentences(found: Race) -> list[str]:
    """Return one sentence for each pair that is told apart, or that none is; of many pairs how many are."""
    medians = {row.label: row.median.value for row in found.rows}
    apart = {pair: p for pair, p in found.p.items() if p < ALPHA}
    if not found.p:
        return []
    if not apart:
        return ["No pair of cells is told apart by how soon it is there (log-rank, exact, Holm)."]
    if len(apart) > _MOST_PAIRS:
        return [
            f"{len(apart)} of {len(found.p)} pairs are told apart by how soon they are there (log-rank, exact, Holm)."
        ]
    return [
        f"- {first} is there sooner than {second}: {time_of(medians[first])} against {time_of(medians[second])} "
        f"(log-rank, exact, Holm: p {'< 0.001' if p < 0.001 else f'= {p:.2g}'})."
        for (first, second), p in apart.items()
    ]


def _table(found: Race) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("cell")
    for name in ("runs", "there", "median", "95 % interval"):
        table.add_column(name, justify="right")
    for row in found.rows:
        _, low, high = row.median
        between = "–" if low == 0 and math.isinf(high) else f"{time_of(low)} to {time_of(high)}"  # too few runs to say
        table.add_row(Text(row.label), str(row.n), str(row.reached), time_of(row.median.value), between)
    return table


def time_of(steps: float) -> str:
    """Return a number of steps as tables have it; ``never`` where it is infinite."""
    return "never" if math.isinf(steps) else short(round(steps))
