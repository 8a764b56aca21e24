"""What a mirror hears, what it is told of the run first, and that its failure is not the run's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cellwise.records.schema import RunInfo, Summary, View

if TYPE_CHECKING:
    from cellwise.tasks.objective import Objective

Row = Mapping[str, Any]


class Mirror(Protocol):
    """Something else that wants to hear what the record holds, for example Weights & Biases.

    Attributes:
        name: in words.
        passes_on: whether what it hears goes to other people, at once or later.
    """

    name: str
    passes_on: bool

    def log(self, row: Row) -> None:
        """Take one row of `metrics.jsonl`, as that file holds it: what is not finite is None."""

    def view(self, view: View) -> None:
        """Take one view."""

    def close(self, summary: Summary | None) -> None:
        """Take the summary, None when the run failed, and end."""


@dataclass(frozen=True)
class Mirrored:
    """The run that a mirror is of.

    Attributes:
        folder: the run's.
        info: what `run.json` says of it.
        config: resolved and plain.
        objective: what its task is judged by.
        goes_on: whether rows of an earlier start of it are kept, which a mirror is told first.
    """

    folder: Path
    info: RunInfo
    config: Mapping[str, Any]
    objective: Objective
    goes_on: bool = False


class Mirrors:
    """The mirrors of one run; one that fails is left out from then on.

    Args:
        note: takes the line that says so.
    """

    def __init__(self, note: Callable[[str], None]):
        self._note = note
        self._open: list[Mirror] = []

    def add(self, mirror: Mirror, rows: Iterable[Row], views: Iterable[View]) -> None:
        """Let a mirror hear everything from now on, after what the record holds already."""
        self._open.append(mirror)

        def catch_up(mirror: Mirror) -> None:
            for row in rows:
                mirror.log(row)
            for view in views:
                self._show(mirror, view)

        self._tell([mirror], catch_up)

    def log(self, row: Row) -> None:
        """Tell all of a row."""
        self._tell(self._open, lambda mirror: mirror.log(row))

    def view(self, view: View) -> None:
        """Tell all of a view."""
        self._tell(self._open, lambda mirror: self._show(mirror, view))

    def close(self, summary: Summary | None) -> None:
        """End all; none hears anything after."""
        self._tell(self._open, lambda mirror: mirror.close(summary))
        self._open.clear()

    def _show(self, mirror: Mirror, view: View) -> None:
        """Show a mirror a view, unless others would see in it what may not be passed on."""
        if view.redistributable or not mirror.passes_on:
            mirror.view(view)
        else:
            self._note(f"view {view.name} is not given to {mirror.name}: it shows data that may not be passed on")

    def _tell(self, mirrors: list[Mirror], what: Callable[[Mirror], None]) -> None:
        for mirror in list(mirrors):
            try:
                what(mirror)
            except Exception as error:  # they are many and unrelated, and none of them is the run's
                self._open.remove(mirror)
                with suppress(OSError):  # a full disk takes no line either
                    self._note(left_out(mirror.name, error))
                with suppress(Exception):  # so that nothing of it stays open
                    mirror.close(None)


def left_out(name: str, error: Exception) -> str:
    """Return the line that says why a run goes on without a mirror."""
    said = " ".join(str(error).split())
    return f"warning: {name} failed and is left out from here on; the record is whole ({type(error).__name__}: {said})"
