"""Files that are there whole or not at all, and errors that say which file could not be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cellwise.errors import CellwiseError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_STAT_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's own blocks are


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all: a temporary one, on disk, then renamed."""
    # The process in the name: two that write the same file must not share the temporary one.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            with open(temporary, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_without_room(path: Path, content: str) -> None:
    """Replace the content of a small file, if need be on a full disk, where there is no room for a second copy.

    Raises:
        OSError: there is no room for that either; the file is as it was.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        new = content.encode()
        with open(path, "r+b", buffering=0) as file:
            if os.fstat(file.fileno()).st_blocks * _STAT_BLOCK_BYTES < len(new):
                raise error
            file.write(new)  # within blocks that are its own already
            file.truncate()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of writing say which file it is of; that of a full disk does not by itself."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def cant_write(what: str, error: OSError) -> CellwiseError:
    """Return what to tell the user whose disk is full, or whose folder can't be written.

    Args:
        what: was to be written, for example "the run's folder runs/demo".
        error: that came instead.
    """
    if error.errno in _FULL:
        remedy = "make room (`cellwise clean` removes checkpoints of finished runs)"
    else:
        remedy = "give a folder of yours with runs_dir=..."
    return CellwiseError(f"can't write {what}: {error.strerror}; {remedy}")
