"""The comparison as Markdown: verdict, table and caveats, fit for a README or a pull request."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from cellwise.compare.comparable import Ground
from cellwise.compare.numbers import short, to_spread
from cellwise.compare.over_data import over_data, sentences
from cellwise.compare.table import Comparison, compare, not_compared
from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records.store import Study
from cellwise.report.terminal.table import middles, rate, scores
from cellwise.report.verdict_panels import against_the_best, leader

# As in the terminal: of more pairs a list is not read.
MOST_PAIRS = 10
MOST_FAILURES = 10


def beside(page: Path) -> Path:
    """Return the Markdown file that belongs to a page: of the same name, in the same folder.

    Raises:
        CellwiseError: the page itself is called so, or has no name.
    """
    if not page.name:
        raise CellwiseError(f"cannot write {page}: it is not a file; give --out a name such as report.html")
    if page.suffix.lower() == ".md":
        raise CellwiseError(
            f"{page} is for the HTML page; give --out a name such as report.html, report.md goes beside it"
        )
    return page.with_suffix(".md")


def write_markdown(study: Study, path: Path, across: Collection[Ground] = ()) -> Path:
    """Write the comparison to ``path`` and return it.

    Raises:
        CellwiseError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, markdown(study, across))
    except OSError as error:
        raise CellwiseError(f"cannot write {path}: {error.strerror}; give a path that is writable") from error
    return path


def markdown(study: Study, across: Collection[Ground] = ()) -> str:
    """Return a study's comparison as Markdown (GitHub's tables), whatever runs are called."""
    finished = sum(run.status == "finished" for run in study.runs)
    asked = [f"*{escaped(study.question)}*", ""] if study.question else []
    lines = [f"# {escaped(study.name)}", "", *asked, f"{finished} finished runs of {len(study.runs)}.", ""]
    for line in not_compared(study, across):
        lines += [escaped(line), ""]
    comparisons = compare(study, across)
    for comparison in comparisons:
        lines += _comparison(comparison)
    for over in over_data(comparisons):
        said, *each = map(escaped, sentences(over))
        lines += ["## Over data sets", "", said, "", *(f"* {line}" for line in each), ""]
    return "\n".join(lines).rstrip() + "\n"


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line and within a cell of a table."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", " ".join(str(text).split()))


def _comparison(comparison: Comparison) -> list[str]:
    verdict = comparison.verdict
    lines = [f"## {escaped(f'{comparison.task}: {comparison.scale}')}", ""]
    lines += [f"**{escaped(line)}**" for line in [leader(comparison)] if line]
    lines += ["", escaped(verdict.separation), ""]
    if verdict.pairs and len(verdict.pairs) <= MOST_PAIRS:
        lines += [*(f"* {escaped(pair.sentence)}" for pair in verdict.pairs), ""]
    elif verdict.pairs:
        lines += [f"{len(verdict.apart)} of {len(verdict.pairs)} pairs are told apart.", ""]
    lines += _table(comparison)
    said = [f"{escaped(label)}: {escaped(what)}" for label, what in comparison.group.explained.items()]
    lines += ["", *(f"* {line}" for line in [*said, *map(escaped, verdict.caveats)])]
    if comparison.worth:
        lines.append(f"* {escaped(comparison.worth)}")
    lines += [f"* {line}" for line in _failures(comparison)]
    return [*lines, ""]


def _table(comparison: Comparison) -> list[str]:
    unit = next((row.throughput_unit for row in comparison.rows if row.throughput_unit), "examples/s")
    cut = f" ({comparison.cut})" if comparison.cut else ""
    names = [
        *("cell", "seeds", "mean", "sd", f"95 % interval{cut}", "median", "IQM", "against the best"),
        *("parameters", "recurrent", unit, "training (s)"),
    ]
    against = against_the_best(comparison)
    rows = []
    for row in comparison.rows:
        mean, sd, interval = scores(row, comparison)
        middle = middles(row, comparison)
        counts = [short(row.parameters_total), short(row.parameters_recurrent), rate(row), short(row.train_seconds, 3)]
        rows.append([row.label, str(row.n), mean, sd, interval, *middle, against.get(row.label, "–"), *counts])
    beside = {f"floor: {name}": value for name, value in comparison.floors.items()}
    if comparison.optimum is not None:
        beside["optimum"] = comparison.optimum
    rows += [[name, "", to_spread(value, comparison.spread), *[""] * 9] for name, value in beside.items()]
    right = ["---", "---:", "---:", "---:", "---:", "---:", "---:", "---", "---:", "---:", "---:", "---:"]
    return ["| " + " | ".join(map(escaped, row)) + " |" for row in [names]] + [
        "| " + " | ".join(right) + " |",
        *("| " + " | ".join(map(escaped, row)) + " |" for row in rows),
    ]


def _failures(comparison: Comparison) -> list[str]:
    shown = comparison.failures[:MOST_FAILURES]
    lines = [f"Without a score: {escaped(f'{f.label}, seed {f.seed}: {f.error}')}" for f in shown]
    more = len(comparison.failures) - len(shown)
    return [*lines, *([f"and {more} more without a score"] if more else [])]
