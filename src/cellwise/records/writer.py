"""Writes one run's folder: started, measured line by line, then finished or failed.

`summary.json` comes last and whole, so a folder that has one is finished, whenever the process was killed.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cellwise.files import cant_write, naming, now, write_atomically, write_without_room
from cellwise.records.finished import is_finished
from cellwise.records.lease import Lease, take_lease
from cellwise.records.mirrors.contract import Mirror, Mirrors
from cellwise.records.schema import RunInfo, Summary, View, save_view
from cellwise.records.store import read_metrics, read_views


class RunWriter:
    """The record of one run while it is made.

    Args:
        folder: the run's folder; what an earlier, unfinished start left there is removed, a finished record is kept
            beside it as `seed-<n>.replaced-<k>`.
        info: what `run.json` says at the start.
        config: resolved and plain; becomes `config.yaml`.
        rows: of `metrics.jsonl`, when the run goes on: how many bytes of the folder's own stay, or what it begins with
            (of the shorter run that this one extends); None: begin anew.
        lease: of the folder, closed with the record; None: it is taken here.

    Raises:
        CellwiseError: the folder can't be written, or another process is making this run.
    """

    def __init__(
        self,
        folder: Path,
        info: RunInfo,
        config: Mapping[str, Any],
        rows: int | bytes | None = None,
        lease: Lease | None = None,
    ):
        self.folder, self.info = folder, info
        self._mirrors = Mirrors(self.note)
        self._lease = lease or take_lease(folder)
        try:
            self._begin(config, rows)
        except OSError as error:
            self._lease.close()
            raise cant_write(f"the run's folder {folder}", error) from error

    def _begin(self, config: Mapping[str, Any], rows: int | bytes | None) -> None:
        if not isinstance(rows, int):
            _make_room(self.folder)
        for half in self.folder.rglob(".*.tmp"):  # of a process that was killed while it wrote
            half.unlink()
        for part in ("views", "checkpoints"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))
        self._write_info()
        self._metrics = open(self.folder / "metrics.jsonl", "ab")  # noqa: SIM115 (open for the run)
        self._metrics.truncate(rows if isinstance(rows, int) else 0)
        self._metrics.write(rows if isinstance(rows, bytes) else b"")
        self._log = open(self.folder / "log.txt", "a", encoding="utf-8")  # noqa: SIM115

    def mirror(self, mirror: Mirror) -> None:
        """Let a mirror hear everything: what the record holds already, then what comes."""
        self._mirrors.add(mirror, read_metrics(self.folder), read_views(self.folder)[0].values())

    def capture_output(self) -> None:
        """Send what this process prints from now on, C libraries included, to `log.txt`."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(self._log.fileno(), stream.fileno())

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to `metrics.jsonl`, on disk before this returns.

        Raises:
            CellwiseError: the run has become another process's.
        """
        self._lease.require()
        finite = _finite(row)
        with naming(self.folder / "metrics.jsonl"):
            self._metrics.write((json.dumps(finite) + "\n").encode())
            self._metrics.flush()
        self._mirrors.log(finite)

    def logged(self) -> int:
        """Return how many bytes of rows are written."""
        return self._metrics.tell()

    def note(self, text: str) -> None:
        """Append a line with the time to `log.txt`."""
        with naming(self.folder / "log.txt"):
            self._log.write(f"{now()} {text}\n")
            self._log.flush()

    def view(self, view: View) -> None:
        """Store a view."""
        save_view(view, self.folder / "views")
        self._mirrors.view(view)

    def update(self, **changes: Any) -> None:
        """Change what `run.json` says."""
        self.info = replace(self.info, **changes)
        self._write_info()

    def finish(self, summary: Summary) -> None:
        """End the run well: `run.json` first, `summary.json` last.

        Raises:
            CellwiseError: the run has become another process's.
        """
        self._lease.require()
        self.update(status="finished", ended=now())
        write_atomically(self.folder / "summary.json", json.dumps(_finite(summary.to_dict()), indent=2) + "\n")
        self._close(summary)

    def fail(self, error: str) -> None:
        """End the run with its error, in one line; of a run that has become another's, only this end of it.

        What can't be written, on a full disk for example, is left out: the error itself is what the caller must hear.
        """
        with suppress(OSError):
            self.note(error)
        if not self._lease.lost:
            self.info = replace(self.info, status="failed", ended=now(), error=error)
            with suppress(OSError):
                write_without_room(self.folder / "run.json", self._said())
        self._mirrors.close(None)
        for closing in (self._metrics.close, self._log.close, self._lease.close):
            with suppress(OSError):  # what a full disk did not take is tried again here
                closing()

    def _close(self, summary: Summary) -> None:
        self._mirrors.close(summary)
        self._metrics.close()
        self._log.close()
        self._lease.close()

    def _write_info(self) -> None:
        write_atomically(self.folder / "run.json", self._said())

    def _said(self) -> str:
        return json.dumps(self.info.to_dict(), indent=2) + "\n"


def _make_room(folder: Path) -> None:
    """Set a finished record aside; remove what an unfinished one left."""
    if is_finished(folder):
        number = 1
        while (aside := folder.with_name(f"{folder.name}.replaced-{number}")).exists():
            number += 1
        folder.rename(aside)
    for name in (
        "summary.json",
        "config.yaml",
        "run.json",
        "metrics.jsonl",
        "metrics.csv",
    ):  # log.txt goes on, with the earlier start in it
        (folder / name).unlink(missing_ok=True)
    for part in ("views", "checkpoints", "tensorboard"):
        for path in (folder / part).glob("*"):
            path.unlink()
        if (folder / part).exists():
            (folder / part).rmdir()


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return value
