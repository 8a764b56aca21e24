"""The progress bar of a run or a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressBar:
    """A progress bar on a terminal; elsewhere only the lines said above it."""

    def __init__(self, progress: Progress):
        self._progress = progress
        self._task = progress.add_task("", total=1, visible=False)

    def __call__(self, done: float, total: float, text: str) -> None:
        """Move the bar to `done` of `total` and show a text beside it."""
        self._progress.update(self._task, completed=done, total=total, description=text, visible=True)

    def row(self, share: float, row: Mapping[str, Any]) -> None:
        """Show how far a run is, and the first score of the row that it logged."""
        shown = [f", {name} {row[name]:.4g}" for name in row if name.startswith(("train_", "validation_"))][:1]
        self(share, 1, f"step {row['step']}" + "".join(shown))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar() -> Iterator[ProgressBar]:
    """Show a bar while the block runs."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    console = Console()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield ProgressBar(progress)
