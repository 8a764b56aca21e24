"""The rows of the record as one wide table, `metrics.csv`: a row for each logged step, a column for each metric.

Columns come in the order in which the run first logged them; their names hold the units, as everywhere. What a step
did not log is empty, what was not finite is `nan`. The file is whole whenever it is there: written anew now and then
while the run trains, and at its end, so a run that was cut off and went on has the same file as one that was not.
"""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

from cellwise.files import write_atomically
from cellwise.records.mirrors.contract import Row
from cellwise.records.schema import Summary, View

_EVERY_SECONDS = 30.0  # for who looks while it trains; the whole file is written each time


class CsvMirror:
    """`metrics.csv` beside `metrics.jsonl`.

    Args:
        folder: the run's.
    """

    name = "CSV"
    passes_on = False

    def __init__(self, folder: Path):
        self._path = folder / "metrics.csv"
        self._steps: dict[int, dict[str, Any]] = {}
        self._columns: dict[str, None] = {}  # in order
        self._written = time.monotonic()

    def log(self, row: Row) -> None:
        """Take one row; those of one step are one line."""
        self._steps.setdefault(int(row["step"]), {}).update(row)
        self._columns.update(dict.fromkeys(row))
        if time.monotonic() - self._written > _EVERY_SECONDS:
            self._write()

    def view(self, view: View) -> None:
        """A table of numbers by step has no place for one."""

    def close(self, summary: Summary | None) -> None:
        """Write what there is, however the run ended."""
        self._write()

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self._columns), restval="", lineterminator="\n")
        writer.writeheader()
        for row in self._steps.values():
            writer.writerow({name: "nan" if value is None else value for name, value in row.items()})
        write_atomically(self._path, text.getvalue())
        self._written = time.monotonic()
