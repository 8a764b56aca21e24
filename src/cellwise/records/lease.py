"""Who makes a run: a lease on a file beside its folder, which ends with the process, however that ends.

Two signs, because neither is enough. A lock on the file, which the system drops with the process: at once, but
several machines that share a folder may not see each other's locks. And a heartbeat, the file's time, which another
machine can read: it takes a minute of silence to say that the run is nobody's.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from cellwise.errors import CellwiseError
from cellwise.files import cant_write
from cellwise.machine import machine

BEAT_SECONDS = 10.0
SILENCE_SECONDS = 60.0  # six beats: a busy file server may swallow some
_LOOKED_AT_SECONDS = 0.05  # a look at a run holds its lock for less than this


class BeingRunError(CellwiseError):
    """Another process makes the run."""


class Lease:
    """That this process makes a run; beats until it is closed.

    Args:
        file: open and locked.
        path: of the file.

    Attributes:
        lost: whether the run has become another process's.
    """

    def __init__(self, file: IO[str], path: Path):
        self._file, self._path, self._token = file, path, uuid.uuid4().hex
        file.truncate(0)
        file.write(json.dumps({"machine": machine(), "pid": os.getpid(), "token": self._token}))
        file.flush()
        self._closed = threading.Event()
        self.lost = False
        self._looked = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def require(self) -> None:
        """Refuse to go on with a run that has become another process's.

        Raises:
            CellwiseError: this process was silent for so long (stopped, or its disk away) that another took over.
        """
        if time.monotonic() - self._looked > SILENCE_SECONDS / 2:  # this process stood still: look before going on
            self._look()
        if self.lost:
            raise BeingRunError(f"{self._path.parent} was silent too long and is being run by another process now")

    def close(self) -> None:
        """Let the run be anybody's; a second time does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join()
        if not self.lost:
            self._file.truncate(0)
        self._file.close()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_SECONDS):
            self._look()

    def _look(self) -> None:
        try:
            self.lost = _said(self._path).get("token") != self._token
            if not self.lost:
                os.utime(self._path)
            self._looked = time.monotonic()
        except OSError:
            pass  # the disk is away: whether the lease is lost is seen when it is back


def take_lease(folder: Path) -> Lease:
    """Return the lease of a run's folder.

    Raises:
        CellwiseError: the folder can't be written.
        BeingRunError: another process makes the run.
    """
    path = _path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (held for the run)
    except OSError as error:
        raise cant_write(f"the run's folder {folder}", error) from error
    for wait in (_LOOKED_AT_SECONDS, 0.0):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(wait)
    else:
        file.close()
        raise _busy(folder)
    if _beats_elsewhere(path):
        file.close()
        raise _busy(folder)
    try:
        return Lease(file, path)
    except OSError as error:
        with suppress(OSError):  # what a full disk did not take is tried again here
            file.close()
        raise cant_write(f"the run's folder {folder}", error) from error


def is_being_run(folder: Path) -> bool:
    """Whether a living process makes the run."""
    path = _path(folder)
    try:
        with open(path, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return _beats_elsewhere(path)
    except BlockingIOError:
        return True
    except OSError:
        return False


def _beats_elsewhere(path: Path) -> bool:
    """Whether a process of another machine beats; one of this machine would hold the lock."""
    said = _said(path)
    if not said or said.get("machine") == machine():
        return False
    # By the clock of the file system: machines disagree about the time.
    with tempfile.TemporaryFile(dir=path.parent) as now:
        return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime < SILENCE_SECONDS


def _said(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # empty: nobody's
        return {}
    return said if isinstance(said, dict) else {}


def _busy(folder: Path) -> BeingRunError:
    return BeingRunError(f"{folder} is being run by another process; wait for it, or stop it")


def _path(folder: Path) -> Path:
    whole = Path(os.path.abspath(folder))  # "." has no name
    return whole.with_name(f".{whole.name}.lease")
