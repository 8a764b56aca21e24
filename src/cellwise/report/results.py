"""The runs of a study as a table to keep: one row a run, plain CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from cellwise.files import write_atomically
from cellwise.records.schema import RunInfo
from cellwise.records.store import RunRecord, Study

_COLUMNS = (
    "cell",
    "identity",
    "seed",
    "status",
    "objective",
    "test",
    "validation",
    "optimum",
    "floors",
    "data",
    "parameters",
    "recurrent_parameters",
    "selected_step",
    "train_seconds",
    "throughput",
    "throughput_unit",
    "engine",
    "error",
)


def write_results(study: Study, path: Path) -> Path:
    """Write the CSV and return its path; runs in the order of cell, identity and seed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for run in sorted(study.runs, key=lambda r: (r.cell, r.identity, r.seed)):
        writer.writerow(_row(run))
    write_atomically(path, text.getvalue())
    return path


def _row(run: RunRecord) -> list[object]:
    head = [run.cell, run.identity, run.seed, run.status]
    engine = run.info.engine if run.info else ""
    data = _data(run.info) if run.info else ""
    s = run.summary
    if s is None:
        return [*head, *[""] * (len(_COLUMNS) - len(head) - 2), engine, run.error or ""]
    return [
        *head,
        s.objective,
        f"{s.value:.6g}",
        f"{s.validation:.6g}",
        "" if s.optimum is None else f"{s.optimum:.6g}",
        " ".join(f"{name}={value:.6g}" for name, value in s.floors.items()),
        data,
        s.parameters.total,
        s.parameters.recurrent,
        s.selected_step,
        f"{s.train_seconds:.1f}",
        f"{s.throughput.value:.0f}",
        s.throughput.unit,
        engine,
        "",
    ]


def _data(info: RunInfo) -> str:
    """The first source of data with its checksum, which tells one fold of a study from another."""
    names = sorted(info.data)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]} {info.data[names[0]][:8]}{more}" if names else ""
