"""A folder of runs read back: ``runs/<study>/<cell>-<8 hex>/seed-<n>/`` to a list of records.

Reading is tolerant, because runs are killed and folders are shared: half-written lines are skipped, runs
that are unfinished or failed are records too, and what is no run is named in ``Study.ignored``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from cellwise.errors import CellwiseError
from cellwise.records.plain import read_json
from cellwise.records.schema import RunInfo, Status, Summary, View, load_view

_CONFIGURATION = re.compile(r"(?P<cell>.+)-(?P<identity>[0-9a-f]{8})")
_SEED = re.compile(r"seed-(?P<seed>\d+)")
_REPLACED = re.compile(r"seed-\d+\.replaced-\d+")


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
            read = yaml.safe_load((self.path / "config.yaml").read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return read if isinstance(read, dict) else {}

    def metrics(self) -> list[dict[str, Any]]:
        """Return the rows of ``metrics.jsonl`` in order, without those that are not whole."""
        return read_metrics(self.path)

    def views(self) -> dict[str, View]:
        """Return the views that can be read, by name."""
        return self.read_views()[0]

    def read_views(self) -> tuple[dict[str, View], tuple[str, ...]]:
        """Return the views by name, and one line for each view that cannot be read."""
        return read_views(self.path)


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


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's ``metrics.jsonl`` in order, without those that are not whole."""
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:  # a killed run leaves half a line
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def read_views(folder: Path) -> tuple[dict[str, View], tuple[str, ...]]:
    """Return the views that a run's folder holds, by name, and one line for each that cannot be read."""
    views: dict[str, View] = {}
    unreadable = []
    for path in sorted((folder / "views").glob("[!.]*.json")):
        try:
            views[path.stem] = load_view(path)
        except CellwiseError as error:
            unreadable.append(str(error))
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
    runs: list[RunRecord] = []
    ignored: list[str] = []
    for configuration in sorted(folder.iterdir()):
        named = _CONFIGURATION.fullmatch(configuration.name)
        if not named or not configuration.is_dir():
            if configuration.is_dir() and any(configuration.glob("seed-*")):
                ignored.append(f"{configuration.name}: not named <cell>-<8 hex digits>")
            continue
        for path in sorted(configuration.iterdir()):
            seed = _SEED.fullmatch(path.name)
            if seed and path.is_dir():
                runs.append(_read_run(path, named["cell"], named["identity"], int(seed["seed"])))
            elif path.is_dir() and not _REPLACED.fullmatch(path.name):
                ignored.append(f"{configuration.name}/{path.name}: not named seed-<number>")
    if not runs:
        raise _nothing(folder, "nothing in it is a run")
    runs.sort(key=lambda run: (run.cell, run.identity, run.seed))
    return Study(folder, tuple(runs), tuple(ignored))


def _read_run(path: Path, cell: str, identity: str, seed: int) -> RunRecord:
    """Read one run; what is wrong with its record becomes its error, never an exception."""
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
