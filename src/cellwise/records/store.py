"""A folder of runs read back: ``runs/<study>/<cell>-<8 hex>/seed-<n>/`` to a list of records.

Reading is tolerant, because runs are killed and folders are shared: half-written lines are skipped, runs
that are unfinished or failed are records too, and what is no run is named in ``Study.ignored``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from cellwise.errors import CellwiseError
from cellwise.records.plain import read_json, readable
from cellwise.records.question import read_question
from cellwise.records.schema import RunInfo, Status, Summary, View, load_view

_CONFIGURATION = re.compile(r"(?P<cell>.+)-(?P<identity>[0-9a-f]{8})")
_SEED = re.compile(r"seed-(?P<seed>\d+)")
_SHORT = 300
_TOO_MANY_DIGITS = re.compile(rb"[0-9]{300}")  # of a whole number that no float can hold
_REPLACED = re.compile(r"seed-\d+\.replaced-\d+")
_MOST_UNNAMED = 3  # folders of one configuration that are named one by one


@dataclass(frozen=True)
class RunRecord:
    """One run as it lies on disk.

    ``status`` is ``finished`` where a readable summary is present; ``running`` is also what a killed run
    says; ``pruned`` is one that a search ended early. ``error`` says why a run failed or was pruned, or why its record
    cannot be read.
    """

    path: Path
    cell: str
    identity: str
    seed: int
    status: Status
    error: str | None = None
    info: RunInfo | None = None
    summary: Summary | None = None

    @property
    def task(self) -> str | None:
        """The task's name, None where no record tells."""
        known = self.summary or self.info
        return known.task if known else None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; empty where it is missing or unreadable."""
        try:
            # Not by the parser in C, which is faster and which endless brackets crash with the whole process.
            read = yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            return {}
        return read if isinstance(read, dict) else {}

    def metrics(self) -> list[dict[str, Any]]:
        """Return the rows of ``metrics.jsonl`` in order, without those that are not whole."""
        return read_metrics(self.path)

    def views(self) -> dict[str, View]:
        """Return the views that can be read, by name."""
        return self.read_views()[0]

    def read_views(self, passed_over: Collection[str] = ()) -> tuple[dict[str, View], tuple[str, ...]]:
        """Return the views by name, and one line for each view that cannot be read; see `read_views`."""
        return read_views(self.path, passed_over)


@dataclass(frozen=True)
class Study:
    """The runs of one folder, by cell, identity and seed; ``ignored`` names what was no run, and why."""

    path: Path
    runs: tuple[RunRecord, ...]
    ignored: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The study's name, which is its folder's."""
        return self.path.resolve().name

    @property
    def question(self) -> str | None:
        """What the study asks; None where its folder does not say."""
        return read_question(self.path)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's ``metrics.jsonl`` in order, without those that are not whole."""
    try:
        return parse_rows((folder / "metrics.jsonl").read_bytes())[0]
    except OSError:
        return []


def parse_rows(lines: bytes) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of lines in the manner of ``metrics.jsonl``, and how many whole lines are none.

    What follows the last line end is a row where it reads as one; a killed run leaves half a line there.
    """
    rows: list[dict[str, Any]] = []
    foreign = 0
    *whole, last = lines.split(b"\n")
    ascii_only = lines.isascii()
    for number, line in enumerate((*whole, last)):
        row = _parse_short_row(line) if ascii_only and len(line) < _SHORT else _parse_row(line)
        if row is not None:
            rows.append(row)
        elif number < len(whole) and line.strip():
            foreign += 1
    return rows, foreign


def _parse_row(line: bytes) -> dict[str, Any] | None:
    if _TOO_MANY_DIGITS.search(line):
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


_decode = json.JSONDecoder().raw_decode


def _parse_short_row(line: bytes) -> dict[str, Any] | None:
    """As `_parse_row`, three times as fast: of plain letters, and too short for a number of too many digits."""
    text = line.decode("ascii").strip(" \t\r")
    try:
        row, end = _decode(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and end == len(text) else None


@dataclass(frozen=True)
class RunFolder:
    """Where a run lies, and what its folder's name says of it."""

    path: Path
    cell: str
    identity: str
    seed: int


def read_views(folder: Path, passed_over: Collection[str] = ()) -> tuple[dict[str, View], tuple[str, ...]]:
    """Return the views that a run's folder holds, by name, and one line for each that cannot be read.

    Args:
        folder: of the run.
        passed_over: names of views that are not asked for; they may be missing.
    """
    views: dict[str, View] = {}
    unreadable = []
    for path in sorted((folder / "views").glob("[!.]*.json")):
        if path.stem in passed_over:
            continue
        try:
            views[readable(path.stem)] = load_view(path)
        except CellwiseError as error:
            unreadable.append(readable(str(error)))
    return views, tuple(unreadable)


def load_study(folder: Path) -> Study:
    """Read every run of a study.

    Args:
        folder: ``runs/<study>``.

    Raises:
        CellwiseError: the folder is missing or holds no run.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise _nothing(folder, "no such folder")
    found, ignored = find_runs(folder)
    if not found:
        raise _nothing(folder, "nothing in it is a run")
    return Study(folder, tuple(read_run(one) for one in found), tuple(ignored))


def find_runs(folder: Path, within: Path | None = None) -> tuple[list[RunFolder], list[str]]:
    """Return the runs' folders of a study by cell, identity and seed, and a line for each folder that is none.

    Args:
        folder: ``runs/<study>``.
        within: links that lead out of this folder, itself without links, are none; None: every link is followed.

    Raises:
        OSError: it is gone, or can't be listed.
    """
    runs: list[RunFolder] = []
    ignored: list[str] = []
    for configuration in sorted(folder.iterdir()):
        name, named = readable(configuration.name), _CONFIGURATION.fullmatch(configuration.name)
        if not configuration.is_dir():
            continue
        if leads_out(configuration, within):
            ignored += [f"{name}: {LEADS_OUT}"] if named else []
        elif not named:
            ignored += [f"{name}: not named <cell>-<8 hex digits>"] if any(configuration.glob("seed-*")) else []
        elif configuration.name != name:
            ignored.append(f"{name}: its name is not UTF-8")
        else:
            found, others = _find_seeds(configuration, named["cell"], named["identity"], within)
            runs += found
            ignored += others
    return sorted(runs, key=lambda run: (run.cell, run.identity, run.seed)), ignored


LEADS_OUT = "a link that leads out of the folder, not followed"


def leads_out(path: Path, within: Path | None) -> bool:
    """Whether a path is a link to what lies outside of a folder; never where there is no folder to stay within."""
    if within is None or not path.is_symlink():
        return False
    try:
        return not path.resolve().is_relative_to(within)
    except (OSError, RuntimeError):  # a link to itself
        return True


def _find_seeds(
    configuration: Path, cell: str, identity: str, within: Path | None
) -> tuple[list[RunFolder], list[str]]:
    try:
        paths = sorted(configuration.iterdir())
    except OSError as error:  # removed since it was listed, or somebody else's
        return [], [f"{configuration.name}: {error.strerror}"]
    runs, ignored, unnamed = [], [], []
    for path in paths:
        name, seed = f"{configuration.name}/{readable(path.name)}", _SEED.fullmatch(path.name)
        if not path.is_dir() or _REPLACED.fullmatch(path.name):
            continue
        if leads_out(path, within):
            ignored.append(f"{name}: {LEADS_OUT}")
        elif seed:
            runs.append(RunFolder(path, cell, identity, int(seed["seed"])))
        else:
            unnamed.append(name)
    if len(unnamed) > _MOST_UNNAMED:  # something else altogether, with a name like a configuration's
        more = f"{unnamed[0]} and {len(unnamed) - 1} more in {configuration.name}"
        return runs, [*ignored, f"{more}: not named seed-<number>"]
    return runs, [*ignored, *(f"{name}: not named seed-<number>" for name in unnamed)]


def read_run(of: RunFolder) -> RunRecord:
    """Read one run; what is wrong with its record becomes its error, never an exception."""
    path, cell, identity, seed = of.path, of.cell, of.identity, of.seed
    try:
        source = path / "run.json"
        info = RunInfo.from_dict(read_json(source), str(source)) if source.exists() else None
        source = path / "summary.json"
        summary = Summary.from_dict(read_json(source), str(source)) if source.exists() else None
    except CellwiseError as error:
        return RunRecord(path, cell, identity, seed, "failed", str(error))
    if summary is not None:
        return RunRecord(path, cell, identity, seed, "finished", None, info, summary)
    if info is None:
        return RunRecord(path, cell, identity, seed, "failed", f"{path / 'run.json'}: no such file")
    status: Status = "running" if info.status == "finished" else info.status
    return RunRecord(path, cell, identity, seed, status, info.error, info)


def _nothing(folder: Path, why: str) -> CellwiseError:
    """Return the error for a folder without runs, naming the studies that are near it."""
    studies = [
        str(place)
        for parent in (folder, *list(folder.parents)[:3], Path("runs"))
        if parent.is_dir()
        for place in sorted(parent.iterdir())
        if place.is_dir() and any(_SEED.fullmatch(p.name) for p in place.glob("*-????????/seed-*"))
    ]
    shown = list(dict.fromkeys(studies))[:8]
    allowed = f"studies here: {', '.join(shown)}" if shown else "allowed: a folder of <cell>-<8 hex>/seed-<n>/"
    hint = f"type `cellwise report {shown[0]}`" if shown else "type `cellwise study demo` to make one"
    return CellwiseError(f"no runs in {folder}: {why}; {allowed}; {hint}")
