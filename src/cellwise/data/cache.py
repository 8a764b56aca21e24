"""What takes long to make from data on disk, kept in a cache folder under the checksum of what it was made from."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellwise.errors import CellwiseError


def user_cache() -> Path:
    """Return cellwise's folder in the user's cache (``XDG_CACHE_HOME``, else ``~/.cache``); it need not exist."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path is invalid and to be ignored.
    return (Path(cache) if os.path.isabs(cache) else Path.home() / ".cache") / "cellwise"


def cache_folder(cache_dir: str | None, name: str) -> Path:
    """Return where things are kept: as `data.cache_dir` says, else the folder of a name in the user's cache folder."""
    return Path(cache_dir).expanduser() if cache_dir else user_cache() / name


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Make a cache folder, and say in one line what can't be written there.

    Raises:
        CellwiseError: an `OSError` within.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise CellwiseError(
            f"can't write {folder}: {error.strerror or error}; give another folder with data.cache_dir=..."
        ) from error


@contextmanager
def made_whole(place: Path, index: str) -> Iterator[Path]:
    """Give a folder to write into that becomes `place` in the end: whole, or not at all, whoever else makes it too.

    Args:
        place: in a cache folder.
        index: a file that it has when it is there.

    Raises:
        CellwiseError: the cache folder can't be written.
    """
    with writing_into(place.parent):
        made = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        try:
            yield made
            made.rename(place)
        except OSError:
            if not (place / index).is_file():  # another run was faster
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
