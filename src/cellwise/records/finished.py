"""Whether a run's folder holds a finished run, and what to say of one that is not run again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from cellwise.errors import CellwiseError
from cellwise.files import now, write_without_room
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


def finished_note(folder: Path, probe: str = "off") -> str:
    """Return the one line of a skipped run; it says so if cellwise's own code has changed since.

    Args:
        folder: the run's.
        probe: what is asked for now; it says so if the record shows nothing of the inside of the cell.
    """
    then = _info(folder).get("code_sha256")
    changed = "" if then == code_sha256() else "; cellwise's own code has changed since"
    unseen = f"; probe={probe} has no effect: it was not probed" if probe != "off" and not _is_probed(folder) else ""
    return f"finished already, skipped{changed}{unseen} (again=true repeats it)"


def mark_ended(folder: Path, status: Literal["failed", "pruned"], note: str) -> None:
    """Let the record of a run whose process is gone say how it ended; nothing where it says so already.

    Args:
        folder: the run's.
        status: how it ended.
        note: why, in a line.
    """
    info = _info(folder)
    if info.get("status") == "running" or info.get("error") == "interrupted":
        changed = {**info, "status": status, "error": note, "ended": now()}
        with suppress(OSError):  # a full disk: the launcher says it, and goes on with other runs
            write_without_room(folder / "run.json", json.dumps(changed, indent=2) + "\n")


def ended_since(folder: Path, since: float) -> tuple[Literal["finished", "failed", "pruned"], str] | None:
    """Return how a run ended, and why, if it did so after a time; interrupted is not ended.

    Args:
        folder: the run's.
        since: seconds since 1970.
    """
    info = _info(folder)
    status = info.get("status")
    if status not in ("finished", "failed", "pruned") or info.get("error") == "interrupted":
        return None
    if (folder / "run.json").stat().st_mtime < since:
        return None
    return status, str(info.get("error") or "")


def _is_probed(folder: Path) -> bool:
    """Whether a view of the record is about the inside of the cell."""
    for path in (folder / "views").glob("[!.]*.json"):
        with suppress(OSError, ValueError, AttributeError):
            if json.loads(path.read_text(encoding="utf-8")).get("about") == "cell":
                return True
    return False


def _info(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # it ended before it had a record
    return found if isinstance(found, dict) else {}
