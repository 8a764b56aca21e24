"""The record of a bench: ``bench.json`` (on what, when, what was missing) and one CSV a part, in long form.

A row is one thing that was timed or weighed at one shape (`Measurement`). What is promised, and what follows from many
rows, is a `Finding`; all of them lie in ``findings.csv``.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records.plain import as_json, from_plain, read_json, to_plain
from cellwise.records.schema import Git

SCHEMA = 1
RECORD, FINDINGS = "bench.json", "findings.csv"
R = TypeVar("R", "Measurement", "Finding")


@dataclass(frozen=True)
class Measurement:
    """A training step (forward and all gradients, the input's too) of one layer; None is what was not measured.

    Attributes:
        part: of the bench.
        cell, engine: what ran; `torch.nn`, `jax`, `torchrecurrent` and `usual module` are not ours.
        shape: its name; `batch`, `steps`, `hidden` (units, or channels of input and state), `kernel` and `image`
            (height and width; both 0 where dense) are its sizes.
        dtype, rounds, ms, iqr_ms: of the timing; the median and the distance between its quartiles.
        baseline: what `ratio` is to: another thing in the same run, or what gates and states take.
        ratio: of medians; of memory: peak and output over what gates and states take.
        ratio_per_product: `ratio` divided by how many times nn.LSTM's products the cell's take.
        to_reference: time over that of the same cell on the reference engine in the same run.
        compile_cold_s, compile_warm_s: seconds of the first call beyond a later one, with torch's cache of compiled
            graphs empty, and in a second process.
        peak_bytes: of a fresh process during the step, beyond inputs and results.
        needed_bytes: what gates and states take.
        disagreement: the largest max |a - b| / max |b| against the reference, over output and every gradient.
        replicas: how many runs at once.
    """

    part: str
    cell: str
    engine: str
    shape: str
    batch: int
    steps: int
    hidden: int
    kernel: int = 0
    image: int = 0
    dtype: str = "float32"
    rounds: int = 0
    ms: float | None = None
    iqr_ms: float | None = None
    baseline: str = ""
    ratio: float | None = None
    ratio_per_product: float | None = None
    to_reference: float | None = None
    compile_cold_s: float | None = None
    compile_warm_s: float | None = None
    peak_bytes: int | None = None
    needed_bytes: int | None = None
    disagreement: float | None = None
    replicas: int = 1


@dataclass(frozen=True)
class Finding:
    """One number that is promised, or that says what many rows say; `goal` is the most it may be, None for no goal."""

    part: str
    what: str
    value: float
    unit: str = ""
    goal: float | None = None
    note: str = ""

    def told(self, value: float) -> str:
        """Return the value or the goal with the unit."""
        words = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        return f"{words}x" if self.unit == "x" else f"{words} {self.unit}".rstrip()

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None else self.value <= self.goal


@dataclass(frozen=True)
class BenchRecord:
    """``bench.json``.

    Attributes:
        started, ended: ISO 8601 in UTC.
        command: that repeats it.
        device, machine: of the timing; `machine` is the processor or GPU.
        cores, threads: at hand, and used.
        versions: of Python and packages.
        git: of the code.
        gflops: of one product on this machine by how it is called: what no engine can pass.
        load: mean number of running processes in the minute before the bench, and in its last minute.
        parts: that were measured.
        absent: a line for each thing that could not be measured here.
        wrong: a line for each thing that does not agree with the reference.
        disagreement: of each thing that was timed, by cell and engine, the largest of all parts and shapes.
    """

    started: str
    ended: str
    command: str
    device: str
    machine: str
    cores: int
    threads: int
    versions: Mapping[str, str]
    git: Git
    gflops: Mapping[str, float]
    load: tuple[float, ...] = ()
    parts: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    disagreement: Mapping[str, float] = field(default_factory=dict)
    quick: bool = False


@dataclass(frozen=True)
class Bench:
    """A folder that a bench has written."""

    path: Path
    record: BenchRecord
    rows: Sequence[Measurement] = ()
    findings: Sequence[Finding] = field(default=())


def write_bench(bench: Bench) -> None:
    """Write the record, a CSV for each part that has rows, and the findings."""
    folder = bench.path
    folder.mkdir(parents=True, exist_ok=True)
    for part in dict.fromkeys(row.part for row in bench.rows):
        write_atomically(folder / f"{part}.csv", to_csv([row for row in bench.rows if row.part == part]))
    write_atomically(folder / FINDINGS, to_csv(bench.findings, Finding))
    write_atomically(folder / RECORD, as_json({"schema": SCHEMA, **to_plain(bench.record)}))


def load_bench(folder: Path) -> Bench:
    """Read a folder that `write_bench` has written.

    Raises:
        CellwiseError: no bench, or a file that is damaged.
    """
    plain = read_json(folder / RECORD)
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        raise CellwiseError(f"{folder / RECORD}: not a bench of schema {SCHEMA}")
    record: BenchRecord = from_plain(BenchRecord, plain, str(folder / RECORD))
    rows = [row for part in record.parts for row in read_csv(folder / f"{part}.csv", Measurement)]
    return Bench(folder, record, rows, read_csv(folder / FINDINGS, Finding))


def is_bench(folder: Path) -> bool:
    """Whether a folder holds the record of a bench."""
    return (folder / RECORD).is_file()


def to_csv(rows: Iterable[Measurement] | Iterable[Finding], kind: type[Any] = Measurement) -> str:
    """Return a table with a heading; what is None is empty, numbers have 5 significant digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([each.name for each in dataclasses.fields(kind)])
    writer.writerows([_word(value) for value in dataclasses.astuple(row)] for row in rows)
    return text.getvalue()


def read_csv(path: Path, kind: type[R]) -> list[R]:
    """Read a table of rows of one kind; none where there is no file.

    Raises:
        CellwiseError: a column is missing or a value is not of its kind.
    """
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [_row(words, kind, f"{path}, line {number}") for number, words in enumerate(csv.DictReader(file), 2)]


def _row(words: Mapping[str, str | None], kind: type[R], where: str) -> R:
    values: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(kind).items():
        word = words.get(name)
        if word is None:
            raise CellwiseError(f"{where}: no column {name!r}; write it anew with `cellwise bench`")
        try:
            values[name] = _value(word, hint)
        except ValueError as error:
            raise CellwiseError(f"{where}: {name} is {word!r}, expected a number") from error
    return kind(**values)


def _value(word: str, hint: Any) -> Any:
    kinds = typing.get_args(hint) or (hint,)
    if not word and type(None) in kinds:
        return None
    value = kinds[0](word)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(word)
    return value


def _word(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
