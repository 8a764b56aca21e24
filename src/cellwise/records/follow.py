"""A study read again and again while its runs write: what has not changed is not read twice.

Files are told apart by time, size and number, as the file system has them. Rows of metrics are read on from where the
last look ended. Nothing outside of the study's folder is read: a link that leads out is named, not followed.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from cellwise.errors import CellwiseError
from cellwise.records.plain import readable
from cellwise.records.schema import View, load_view
from cellwise.records.store import (
    LEADS_OUT,
    RunFolder,
    RunRecord,
    Study,
    find_runs,
    leads_out,
    parse_rows,
    read_run,
)
from cellwise.records.tuning import TUNING

Signs: TypeAlias = dict[str, tuple[int, int, int]]
"""Of each file its time of change in ns, its size and its number."""

_RECORD = ("run.json", "summary.json", "config.yaml")
_LOOKED_BACK_BYTES = 256


class Rows:
    """The rows of one ``metrics.jsonl``, which grows.

    Attributes:
        rows: those that are whole, in order.
        foreign: how many whole lines are no rows.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.foreign = 0
        self._read = 0
        self._last = b""

    def read_on(self, path: Path) -> None:
        """Read what came since the last look; all of it where what was read is no longer there.

        A run that goes on after a kill cuts its rows and writes the same ones anew, with other times: what was read
        last shows it.
        """
        with open(path, "rb") as file:
            file.seek(max(0, self._read - len(self._last)))
            if file.read(len(self._last)) != self._last:
                self.rows, self.foreign, self._read, self._last = [], 0, 0, b""
                file.seek(0)
            whole = file.read()
        whole = whole[: whole.rfind(b"\n") + 1]  # the last line may be only half written
        rows, foreign = parse_rows(whole)
        self.rows += rows
        self.foreign += foreign
        self._read += len(whole)
        self._last = (self._last + whole[-_LOOKED_BACK_BYTES:])[-_LOOKED_BACK_BYTES:]


@dataclass(frozen=True, eq=False)
class FollowedRun(RunRecord):
    """A run that is read once for as long as its files stay as they are.

    ``places`` are the views' files; ``refused`` has a line for each file that may not be read.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    places: tuple[Path, ...] = ()
    refused: tuple[str, ...] = ()

    def metrics(self) -> list[dict[str, Any]]:
        """Return the rows that are known."""
        return self.rows

    def read_views(self, passed_over: Collection[str] = ()) -> tuple[dict[str, View], tuple[str, ...]]:
        """Return the views by name, and one line for each that cannot be read; none is passed over, they are kept."""
        return self._views

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; empty where it is missing, unreadable or leads out of the folder."""
        return {} if any(line.startswith("config.yaml:") for line in self.refused) else super().config

    @cached_property
    def _views(self) -> tuple[dict[str, View], tuple[str, ...]]:
        views: dict[str, View] = {}
        lines = [f"{self.path / line}" for line in self.refused if line.startswith("views")]
        for path in self.places:
            try:
                views[readable(path.stem)] = load_view(path)
            except CellwiseError as error:
                lines.append(readable(str(error)))
        return views, tuple(lines)


@dataclass
class _Known:
    """What is known of a run: its files as they were, and its record."""

    signs: Signs
    record: FollowedRun
    rows: Rows


class Follower:
    """Reads one study again and again.

    Args:
        folder: ``runs/<study>``; it need not hold a run yet.

    Attributes:
        version: another number after each look that found something changed.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.version = 0
        self._runs: dict[Path, _Known] = {}
        self._seen: Any = None

    def read(self) -> Study:
        """Return the study as it is now.

        Raises:
            CellwiseError: its folder is gone or can't be listed, or what tuning found lies outside of it.
        """
        try:
            root = self.folder.resolve(strict=True)
            folders, ignored = find_runs(self.folder, root)
            tuning = self._signs_of_tuning(root)
        except OSError as error:
            raise CellwiseError(f"can't read {self.folder}: {error.strerror}") from error
        known = {one.path: self._look_at(one, root) for one in folders}
        ignored += [line for one in known.values() for line in _unread(one, self.folder)]
        seen = ({path: one.signs for path, one in known.items()}, ignored, tuning)
        if seen != self._seen:
            self.version += 1
        self._runs, self._seen = known, seen
        return Study(self.folder, tuple(one.record for one in known.values()), tuple(ignored))

    def _look_at(self, of: RunFolder, root: Path) -> _Known:
        signs, refused = _signs(of.path, root)
        before = self._runs.get(of.path)
        if before is not None and before.signs == signs and before.record.refused == refused:
            return before
        rows = before.rows if before is not None else Rows()
        grown = signs.get("metrics.jsonl")
        if grown is None:
            rows = Rows()
        elif before is None or before.signs.get("metrics.jsonl") != grown:
            try:
                rows.read_on(of.path / "metrics.jsonl")
            except OSError:  # removed since it was seen
                rows = Rows()
        if (
            before is not None
            and before.record.refused == refused
            and before.record.rows is rows.rows  # which have grown
            and _but_rows(before.signs) == _but_rows(signs)
        ):
            return _Known(signs, before.record, rows)
        return _Known(signs, _record(of, signs, refused, rows), rows)

    def _signs_of_tuning(self, root: Path) -> Signs:
        """Signs of what tuning wrote, which the comparison reads by itself."""
        folder = self.folder / TUNING
        if leads_out(folder, root):
            raise CellwiseError(f"{folder}: {LEADS_OUT}; remove it")
        signs, refused = _files(folder, root, "") if folder.is_dir() else ({}, [])
        if refused:
            raise CellwiseError(f"{folder / refused[0]}; remove it")
        return {name: sign for name, sign in signs.items() if name.endswith((".json", ".csv"))}


def _record(of: RunFolder, signs: Signs, refused: tuple[str, ...], rows: Rows) -> FollowedRun:
    places = tuple(of.path / name for name in sorted(signs) if name.startswith("views/") and name.endswith(".json"))
    more: dict[str, Any] = {"rows": rows.rows, "places": places, "refused": refused}
    bad = [line for line in refused if line.startswith(("run.json:", "summary.json:"))]
    if bad:
        return FollowedRun(of.path, of.cell, of.identity, of.seed, "failed", f"{of.path / bad[0]}", **more)
    read = read_run(of)
    return FollowedRun(**{f.name: getattr(read, f.name) for f in dataclasses.fields(RunRecord)}, **more)


def _unread(known: _Known, study: Path) -> Iterator[str]:
    """A line for each file of a run that is passed over; what is wrong with its record is told as its error."""
    run = known.record.path.relative_to(study)
    if known.rows.foreign:
        yield f"{run}/metrics.jsonl: {known.rows.foreign} lines that are no rows of metrics"
    for line in known.record.refused:
        if line.startswith(("metrics.jsonl", "config.yaml")):
            yield f"{run}/{line}"


def _but_rows(signs: Signs) -> Signs:
    return {name: sign for name, sign in signs.items() if name != "metrics.jsonl"}


def _signs(run: Path, root: Path) -> tuple[Signs, tuple[str, ...]]:
    """The signs of a run's files, views by ``views/<name>``; and a line for each that may not be read."""
    signs, refused = _files(run, root, "", (*_RECORD, "metrics.jsonl"))
    views = run / "views"
    if leads_out(views, root):
        refused.append(f"views: {LEADS_OUT}")
    else:
        found, bad = _files(views, root, "views/")
        signs |= found
        refused += bad
        led_out = {line.split(":")[0] for line in bad}
        for name in [name for name in found if f"{name.rpartition('.')[0]}.npz" in led_out]:
            del signs[name]  # a view reads its arrays itself
    return signs, tuple(sorted(refused))


def _files(folder: Path, root: Path, prefix: str, names: tuple[str, ...] | None = None) -> tuple[Signs, list[str]]:
    """The signs of a folder's files (of these names alone), and a line for each that is no file or leads out."""
    signs: Signs = {}
    refused: list[str] = []
    try:
        entries = list(os.scandir(folder))
    except OSError:  # no views, or removed since it was listed
        return {}, []
    for entry in entries:
        if entry.name.startswith(".") or (names is not None and entry.name not in names):
            continue
        try:
            if entry.is_symlink() and leads_out(Path(entry.path), root):
                refused.append(f"{prefix}{readable(entry.name)}: {LEADS_OUT}")
                continue
            found = entry.stat()
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            signs[prefix + entry.name] = (found.st_mtime_ns, found.st_size, found.st_ino)
        elif not stat.S_ISDIR(found.st_mode):
            refused.append(f"{prefix}{readable(entry.name)}: no file, not read")  # a pipe would be waited for
    return signs, refused
