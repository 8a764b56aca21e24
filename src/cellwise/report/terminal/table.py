"""The comparison as a table in the terminal, with what the seeds can and cannot tell apart.

Names break at spaces only and no number is cut off: where a line is too short, an interval takes two, and where that
does not do, the table is wider than the terminal and the terminal breaks its lines.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cellwise.compare.comparable import Ground
from cellwise.compare.numbers import short, to_spread
from cellwise.compare.over_data import over_data, sentences
from cellwise.compare.profiles import interquartile_mean_over_tasks
from cellwise.compare.statistics import Interval
from cellwise.compare.table import Comparison, Row, compare, not_compared
from cellwise.compare.tasks import scores_over_tasks
from cellwise.errors import CellwiseError
from cellwise.records.store import Study

# With more pairs than this the page is the place to read them.
MOST_PAIRS = 10


def render_terminal(study: Study, console: Console | None = None, across: Collection[Ground] = ()) -> None:
    """Print the comparison of a study: a table per kind of runs, verdicts, failures, the runs' place.

    Args:
        study: the runs.
        console: where to print; standard output when None.
        across: what runs may differ in and be compared all the same.
    """
    console = console or Console()
    comparisons = compare(study, across)
    if len(comparisons) > 1:
        names = "; ".join(comparison.title for comparison in comparisons)
        console.print(Text(f"The runs are of several kinds and are compared within each: {names}."))
    for line in not_compared(study, across):
        console.print(Text(line), soft_wrap=True)
    for comparison in comparisons:
        console.print()
        console.print(Text(f"{study.name}: {comparison.task}, {comparison.scale}", style="bold"))
        console.print(_fitted(comparison, console), crop=False)
        console.print()
        for label, said in comparison.group.explained.items():
            console.print(Text(f"{label}: {said}"), soft_wrap=True)
        _print_verdict(comparison, console)
        _print_failures(comparison, console)
    _print_over_data(comparisons, console)
    _print_over_tasks(comparisons, console)
    for line in study.ignored:
        console.print(Text(f"ignored: {line}"))
    console.print(Text(f"Runs: {study.path}"), soft_wrap=True)


def _fitted(comparison: Comparison, console: Console) -> Table:
    """The table in a form that fits the console, or in its narrowest one."""
    beside = _beside(comparison)
    names = [*(row.label for row in comparison.rows), *beside]
    widest = max(map(len, names), default=1)
    narrowest = max((len(word) for name in names for word in name.split()), default=1)
    for stacked in (False, True):
        table = _table(comparison, beside, stacked=stacked)
        natural = Measurement.get(console, console.options.update(max_width=1000), table).maximum
        width = widest - max(0, natural - console.width)
        if width >= narrowest:
            table.columns[0].width = width
            return table
    table.columns[0].width = narrowest
    table.width = natural - widest + narrowest
    return table


def _beside(comparison: Comparison) -> dict[str, float]:
    """What stands below the cells: floors and optimum."""
    found = {f"floor: {name}": value for name, value in comparison.floors.items()}
    return found if comparison.optimum is None else {**found, "optimum": comparison.optimum}


def _table(comparison: Comparison, beside: dict[str, float], *, stacked: bool) -> Table:
    unit = next((row.throughput_unit for row in comparison.rows if row.throughput_unit), "examples/s")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("cell")
    # A line of 80 has room for one count: where cells were sized to a budget, the one that was matched.
    word = "params" if stacked else "parameters"
    counted = f"recurrent\n{word}" if comparison.sized else word
    interval = "95 %\ninterval" if stacked else "95 % interval"
    cut = f"\n({comparison.cut})" if comparison.cut else ""
    for name in ("n", "mean", "sd", interval + cut, counted, unit.replace("/", "\n/") if stacked else unit):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for row in comparison.rows:
        parameters = row.parameters_recurrent if comparison.sized else row.parameters_total
        mean, sd, between = scores(row, comparison)
        between = between.replace(" to ", " to\n") if stacked else between
        table.add_row(Text(row.label), str(row.n), mean, sd, between, short(parameters), rate(row))
    if comparison.rows and beside:
        table.add_section()
    for name, value in beside.items():
        table.add_row(Text(name), "", to_spread(value, comparison.spread))
    return table


def scores(row: Row, comparison: Comparison) -> tuple[str, str, str]:
    """Return mean, sd and interval of a row with the digits that the scatter of its own seeds supports.

    A row without any scatter (one seed, or equal scores) has the digits of the others. The interval is cut where no
    score can be.
    """
    spread = row.sd if row.sd > 0 else comparison.spread
    mean = to_spread(row.mean, spread)
    if math.isnan(row.sd):
        return mean, "–", "–"
    low, high = (to_spread(bound, spread) for bound in comparison.shown_interval(row))
    return mean, to_spread(row.sd, spread), f"{low} to {high}"


def middles(row: Row, comparison: Comparison) -> tuple[str, str]:
    """Return median and interquartile mean of a row, with the digits that its mean has."""
    spread = row.sd if row.sd > 0 else comparison.spread
    return to_spread(row.median, spread), to_spread(row.interquartile_mean, spread)


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


def _print_over_data(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print each cell's difference to the floors and to the best cell over data sets, where there are several."""
    for over in over_data(comparisons):
        said, *each = sentences(over)
        console.print()
        console.print(Text(said, style="bold"))
        for line in each:
            console.print(Text(f"- {line}"))


def _print_over_tasks(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print the interquartile mean of each cell over tasks, best first; nothing where there is one task."""
    if len({(comparison.task, comparison.objective) for comparison in comparisons}) < 2:
        return
    try:
        scores = scores_over_tasks(comparisons)
    except CellwiseError as error:
        console.print(Text(f"Not compared over tasks: {error}."), soft_wrap=True)
        return
    means = {label: interquartile_mean_over_tasks(by_task) for label, by_task in scores.items()}
    ranked = sorted(means.items(), key=lambda item: -item[1].value)
    listed = ", ".join(f"{label} {over_tasks(mean)}" for label, mean in ranked)
    said = "0 the best floor, 1 the best possible; interquartile means"
    console.print(Text(f"Over {len(comparisons)} tasks ({said}): {listed}."))


def over_tasks(mean: Interval) -> str:
    """Return a mean over tasks with its interval, two decimals; the scale is 0 to 1."""
    bounds = "" if math.isnan(mean.low) else f" [{mean.low:.2f}, {mean.high:.2f}]"
    return f"{mean.value:.2f}{bounds}"
