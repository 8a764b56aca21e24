"""Who makes a run: a lock on a file beside its folder, which the system drops with the process, however it ends."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

from cellwise.errors import CellwiseError

_LOOKED_AT_SECONDS = 0.05  # a look at a run holds its lock for less than this


def lock_run(folder: Path) -> IO[str]:
    """Return an open file whose lock says that this process makes the run.

    Raises:
        CellwiseError: another process makes it.
        OSError: the folder can't be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = open(_file(folder), "w", encoding="utf-8")  # noqa: SIM115 (held for the run)
    for wait in (_LOOKED_AT_SECONDS, 0.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            time.sleep(wait)
    file.close()
    raise CellwiseError(f"{folder} is being run by another process; wait for it, or stop it")


def is_being_run(folder: Path) -> bool:
    """Whether a living process makes the run."""
    try:
        with open(_file(folder), encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")
