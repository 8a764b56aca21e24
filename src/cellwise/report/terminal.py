"""The comparison as a table in the terminal, with what the seeds can and cannot tell apart."""

from __future__ import annotations

import math

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellwise.compare.numbers import short, to_spread
from cellwise.compare.table import Comparison, Row, compare
from cellwise.records.store import Study

# With more pairs than this the page is the place to read them.
MOST_PAIRS = 10


def render_terminal(study: Study, console: Console | None = None) -> None:
    """Print the comparison of a study: a table per task and objective, verdicts, failures, the runs' place.

    Args:
        study: the runs.
        console: where to print; standard output when None.
    """
    console = console or Console()
    comparisons = compare(study)
    if len(comparisons) > 1:
        names = "; ".join(f"{c.task}, {c.objective}" for c in comparisons)
        console.print(Text(f"The runs are of several kinds and are compared within each: {names}."))
    for comparison in comparisons:
        console.print()
        console.print(Text(f"{study.name}: {comparison.task}, {comparison.scale}", style="bold"))
        console.print(_table(comparison))
        _print_verdict(comparison, console)
        _print_failures(comparison, console)
    for line in study.ignored:
        console.print(Text(f"ignored: {line}"))
    console.print(Text(f"Runs: {study.path}"), soft_wrap=True)


def _table(comparison: Comparison) -> Table:
    unit = next((row.throughput_unit for row in comparison.rows if row.throughput_unit), "examples/s")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("cell", overflow="fold", min_width=14)
    # A line of 80 has room for one count: where cells were sized to a budget, the one that was matched.
    counted = "recurrent\nparameters" if comparison.sized else "parameters"
    for name in ("n", "mean", "sd", "95 % interval", counted, unit):
        table.add_column(Text(name), justify="right", no_wrap=True)
    spread = comparison.spread
    for row in comparison.rows:
        parameters = row.parameters_recurrent if comparison.sized else row.parameters_total
        table.add_row(Text(row.label), str(row.n), *scores(row, spread), short(parameters), rate(row))
    beside = {f"floor: {name}": value for name, value in comparison.floors.items()}
    if comparison.optimum is not None:
        beside["optimum"] = comparison.optimum
    if comparison.rows and beside:
        table.add_section()
    for name, value in beside.items():
        table.add_row(Text(name), "", to_spread(value, spread))
    return table


def scores(row: Row, spread: float) -> tuple[str, str, str]:
    """Return mean, sd and interval of a row with the digits that the spread of the seeds supports."""
    if math.isnan(row.sd):
        return to_spread(row.mean, spread), "–", "–"
    interval = f"{to_spread(row.low, spread)} to {to_spread(row.high, spread)}"
    return to_spread(row.mean, spread), to_spread(row.sd, spread), interval


def rate(row: Row) -> str:
    """Return a row's throughput, whole numbers from 100 on."""
    return short(round(row.throughput)) if row.throughput >= 100 else short(row.throughput, 3)


def _print_verdict(comparison: Comparison, console: Console) -> None:
    verdict = comparison.verdict
    console.print(Text(verdict.separation, style="bold"))
    if len(verdict.pairs) <= MOST_PAIRS:
        for pair in verdict.pairs:
            console.print(Text(f"- {pair.sentence}"))
    else:
        apart = sum(pair.told_apart for pair in verdict.pairs)
        console.print(Text(f"{apart} of {len(verdict.pairs)} pairs are told apart; the page names them."))
    for caveat in verdict.caveats:
        console.print(Text(caveat))


def _print_failures(comparison: Comparison, console: Console) -> None:
    for failure in comparison.failures:
        line = f"failed: {failure.label}, seed {failure.seed}: {failure.error} ({failure.path})"
        console.print(Text(line, style="red"), soft_wrap=True)
    running = [f"{row.label} {row.running}" for row in comparison.rows if row.running]
    if running:
        console.print(Text(f"running or cut off: {', '.join(running)}"))
