"""What to type to upload what W&B wrote offline: one line, however many runs there are. Imports no W&B."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def sync_command(folders: Iterable[Path]) -> str | None:
    """Return the command that uploads the offline runs of some run folders; None where nothing waits for it.

    Several are meant by a pattern for the shell, which leaves out records that were set aside (`seed-0.replaced-1`):
    `wandb sync runs/demo/*/seed-?/wandb/offline-run-*`.

    Args:
        folders: of runs, `<runs_dir>/<study>/<cell>-<8 hex>/seed-<n>`.
    """
    waiting = {folder: runs for folder in folders if (runs := _unsynced(folder))}
    if not waiting:
        return None
    if len(waiting) == 1:
        [runs] = waiting.values()
        return f"wandb sync {' '.join(shlex.quote(str(run)) for run in runs)}"
    patterns = {
        f"{shlex.quote(str(folder.parents[1]))}/*/seed-{'?' * len(folder.name.removeprefix('seed-'))}": None
        for folder in waiting
    }
    return f"wandb sync {' '.join(f'{pattern}/wandb/offline-run-*' for pattern in patterns)}"


def _unsynced(folder: Path) -> list[Path]:
    """The offline runs of a folder that `wandb sync` has not marked as uploaded."""
    found = sorted((folder / "wandb").glob("offline-run-*"))
    return [run for run in found if not any(run.glob("*.wandb.synced"))]
