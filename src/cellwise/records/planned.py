"""What a study means to run: `plan.json` in its folder, so that `cellwise status` knows what is still to come."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from cellwise.files import cant_write, write_atomically


def write_plan(folders: Iterable[Path]) -> None:
    """Add runs to the plans of their studies.

    Args:
        folders: `<runs_dir>/<study>/<cell>-<8 hex>/seed-<n>` each.

    Raises:
        CellwiseError: a study's folder can't be written.
    """
    by_study: dict[Path, list[str]] = {}
    for folder in folders:
        by_study.setdefault(folder.parents[1], []).append(f"{folder.parent.name}/{folder.name}")
    for study, names in by_study.items():
        known = read_plan(study)
        try:
            study.mkdir(parents=True, exist_ok=True)
            both = list(dict.fromkeys([*known, *names]))
            write_atomically(study / "plan.json", json.dumps({"runs": both}, indent=1) + "\n")
        except OSError as error:
            raise cant_write(f"the study's folder {study}", error) from error


def read_plan(study: Path) -> list[str]:
    """Return the planned runs of a study, `<cell>-<8 hex>/seed-<n>` each; none where there is no readable plan."""
    path = study / "plan.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []
