"""What the live page shows at a moment, made again when something has changed: once, however many look on.

A `Live` reads and draws in a thread of its own, asked by those who want to see; nobody asks, nothing is read. What is
drawn is kept until something better is there: where drawing fails, the page keeps what it had and says why.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cellwise.compare.comparable import Ground
from cellwise.errors import CellwiseError
from cellwise.files import now
from cellwise.records.follow import Follower
from cellwise.records.plain import readable
from cellwise.records.planned import read_plan
from cellwise.records.store import Study, find_runs, leads_out
from cellwise.records.tuning import TUNING
from cellwise.report.live.under_way import under_way
from cellwise.report.page import page_content, template

REST = 2.0
"""After each look, so many times as long as it took is rested: the runs need the machine more."""

LEAST_REST_SECONDS = 1.0


@dataclass(frozen=True)
class State:
    """What the browser gets.

    ``body`` is JSON: ``html`` of the content and of the status above it, digests of the figures by their places, an
    error. ``tag`` changes with it. ``figures`` holds each figure's JSON by digest.
    """

    body: bytes
    tag: str
    figures: Mapping[str, bytes] = field(default_factory=dict)


class Live(ABC):
    """A page that is made again on request, in a thread of its own.

    Args:
        rest: least seconds between two looks.
    """

    def __init__(self, rest: float = LEAST_REST_SECONDS):
        self._rest = rest
        self._state: State | None = None
        self._before: State | None = None
        self._asked, self._looked = 0, 0
        self._moved = threading.Condition()
        self._thread: threading.Thread | None = None

    def latest(self, wait: float) -> State | None:
        """Ask for a look, and return the newest state: after that look, or after ``wait`` seconds without it.

        None where no look has ended yet.
        """
        with self._moved:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="live", daemon=True)
                self._thread.start()
            self._asked += 1
            mine = self._asked
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._looked >= mine, wait)
            return self._state

    @property
    def has_state(self) -> bool:
        """Whether a look has ended."""
        return self._state is not None

    def figure(self, digest: str) -> bytes | None:
        """Return a figure's JSON; None where neither the newest state nor the one before it has such a one."""
        known = (state.figures.get(digest) for state in (self._state, self._before) if state is not None)
        return next((figure for figure in known if figure is not None), None)

    @abstractmethod
    def look(self) -> State:
        """Return the state as it is now; errors are part of it."""

    def _work(self) -> None:
        while True:
            with self._moved:
                self._moved.wait_for(lambda: self._asked > self._looked)
                asked = self._asked
            began = time.monotonic()
            state = self.look()
            took = time.monotonic() - began
            with self._moved:
                if self._state is None or self._state.tag != state.tag:
                    self._state, self._before = state, self._state
                self._looked = asked
                self._moved.notify_all()
            time.sleep(max(self._rest, REST * took))


class LiveStudy(Live):
    """The page of one study, live.

    Args:
        folder: ``runs/<study>``; it need not hold a run yet.
        across: what runs may differ in and be compared all the same.
        rest: least seconds between two looks.
    """

    def __init__(self, folder: Path, across: Collection[Ground] = (), rest: float = LEAST_REST_SECONDS):
        super().__init__(rest)
        self.folder, self._across = folder, across
        self._follower, self._tuning = Follower(folder), Follower(folder / TUNING)
        self._drawn = -1
        self._html = ""
        self._status = ""
        self._places: dict[str, str] = {}
        self._figures: dict[str, bytes] = {}
        self._changed = ""
        self._failed: str | None = None

    def look(self) -> State:
        """Read what has changed, draw what follows from it."""
        error = None
        try:
            study = self._follower.read()
            tuning = under_way(self._tuning.read()) if (self.folder / TUNING).is_dir() else None
            self._status = template("live_status.html.j2").render(study=under_way(study), tuning=tuning)
            if self._follower.version != self._drawn:
                self._drawn = self._follower.version  # also where drawing fails: the same files would fail again
                self._failed = self._draw(study)
        except Exception as reading:  # the folder is gone, for example; the page stays as it was
            error = _in_a_line(reading)
        told = {"html": self._html, "status": self._status, "figures": self._places, "changed": self._changed}
        return state(
            {"title": readable(self.folder.absolute().name), **told, "error": error or self._failed}, self._figures
        )

    def _draw(self, study: Study) -> str | None:
        """Make the content anew; return why that failed, whatever lies in the folder: then the last one stays."""
        try:
            content = page_content(study, self._across) if study.runs else None
            drawn = {place: _json(variants) for place, variants in (content.figures if content else {}).items()}
        except Exception as error:
            return f"cannot draw what is there now: {_in_a_line(error)}"
        self._html = content.html if content else template("live_nothing.html.j2").render(study=study)
        self._places = {place: _digest(figure) for place, figure in drawn.items()}
        self._figures = {self._places[place]: figure for place, figure in drawn.items()}
        self._changed = now()
        return None


class LiveIndex(Live):
    """The studies of a folder, live.

    Args:
        folder: that holds them, for example ``runs``.
        rest: least seconds between two looks.
    """

    def __init__(self, folder: Path, rest: float = LEAST_REST_SECONDS):
        super().__init__(rest)
        self.folder = folder
        self._html = ""

    def look(self) -> State:
        """List the studies and count their runs."""
        error = None
        try:
            studies = [entry(path, name) for name, path in studies_of(self.folder).items()]
            self._html = template("live_index.html.j2").render(studies=studies, folder=readable(str(self.folder)))
        except Exception as reading:
            error = _in_a_line(reading)
        told: dict[str, Any] = {"html": self._html, "status": "", "figures": {}, "changed": "", "error": error}
        return state({"title": readable(self.folder.absolute().name), **told})


@dataclass(frozen=True)
class Entry:
    """A study as the index shows it: ``quoted`` is its name in an address, ``runs`` has those that are planned, too."""

    name: str
    quoted: str
    runs: int
    begun: int
    finished: int


def entry(path: Path, name: str) -> Entry:
    """Return a study's line: its runs are counted, not read."""
    runs, _ = find_runs(path, path.resolve())
    planned = {f"{run.path.parent.name}/{run.path.name}" for run in runs}.union(read_plan(path))
    finished = sum((run.path / "summary.json").exists() for run in runs)
    return Entry(name, quote(name, safe=""), len(planned), len(runs), finished)


def studies_of(folder: Path) -> dict[str, Path]:
    """Return the folders of studies in a folder by name; a link that leads out of it is none.

    Raises:
        OSError: the folder is gone or can't be listed.
    """
    root = folder.resolve(strict=True)
    return {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.name == readable(path.name) and not leads_out(path, root) and is_study(path)
    }


def is_study(folder: Path) -> bool:
    """Whether a folder is one of a study: it has runs, a plan of them, or tuning."""
    if not folder.is_dir():
        return False
    try:
        return (folder / "plan.json").is_file() or (folder / TUNING).is_dir() or bool(find_runs(folder)[0])
    except OSError:
        return False


def state(told: Mapping[str, Any], figures: Mapping[str, bytes] | None = None) -> State:
    """Return a state of what is told; its tag follows from the content alone."""
    body = _json(told)
    return State(body, f'"{_digest(body)}"', figures or {})


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _in_a_line(error: Exception) -> str:
    said = " ".join(readable(str(error)).split())
    return said if isinstance(error, CellwiseError) else f"{type(error).__name__}: {said}"
