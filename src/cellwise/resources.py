"""Where `conf/` and `experiments/` lie: inside an installed wheel, or beside `src/` in an editable install."""

from __future__ import annotations

from pathlib import Path

from cellwise.errors import CellwiseError


def resource_folder(name: str) -> Path:
    """Return the folder `conf` or `experiments`, from whichever place this package was imported.

    Raises:
        CellwiseError: the installation lacks it.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / name, package.parents[1] / name):
        if folder.is_dir():
            return folder
    raise CellwiseError(
        f"this installation of cellwise lacks its folder {name!r}; install it again with `pip install .`"
    )
