"""Whether a run's folder holds a finished run, and what to say of one that is not run again."""

from __future__ import annotations

import json
from pathlib import Path

from cellwise.errors import CellwiseError
from cellwise.files import now, write_atomically
from cellwise.records.environment import code_sha256


def is_finished(folder: Path) -> bool:
    """Whether the run is finished: `summary.json` is written last, whole."""
    try:
        return "value" in json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False  # none, or damaged: then the run is to be made again


def require_finished(folder: Path) -> None:
    """Refuse a folder whose run is not finished.

    Raises:
        CellwiseError: saying what finishes it.
    """
    if not is_finished(folder):
        raise CellwiseError(f"{folder} is not a finished run; the command in its run.json finishes it")


def finished_note(folder: Path) -> str:
    """Return the one line of a skipped run; it says so if cellwise's own code has changed since."""
    try:
        then = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("code_sha256")
    except (OSError, ValueError):
        then = None
    changed = "" if then == code_sha256() else "; cellwise's own code has changed since"
    return f"finished already, skipped{changed} (again=true repeats it)"


def mark_failed(folder: Path, error: str) -> None:
    """Let the record of a run whose process is gone say how it ended; nothing where it says so already."""
    path = folder / "run.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # it ended before it had a record
    if info.get("status") == "running":
        write_atomically(
            path, json.dumps({**info, "status": "failed", "error": error, "ended": now()}, indent=2) + "\n"
        )
