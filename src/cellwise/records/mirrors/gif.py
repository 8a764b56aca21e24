"""Film strips as GIF files beside the views of the record: `views/<name>.gif`, one frame for each time."""

from __future__ import annotations

from pathlib import Path

from cellwise.files import write_atomically
from cellwise.records.mirrors.contract import Row
from cellwise.records.mirrors.pictures import as_gif, draw_film
from cellwise.records.schema import Filmstrip, Summary, View


class GifMirror:
    """Files for whoever wants to show a film without the report.

    Args:
        folder: the run's.
    """

    name = "GIF"
    passes_on = False

    def __init__(self, folder: Path):
        self._folder = folder / "views"

    def log(self, row: Row) -> None:
        """Numbers are no film."""

    def view(self, view: View) -> None:
        """Write a film strip's film."""
        if isinstance(view, Filmstrip) and view.times.size:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / f"{view.name}.gif", as_gif(draw_film(view)))

    def close(self, summary: Summary | None) -> None:
        """Every file is whole already."""
