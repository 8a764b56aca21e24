"""Room on the disk: the checkpoints of finished runs removed, their records kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cellwise.records.finished import is_finished
from cellwise.records.lease import BeingRunError, is_being_run, take_lease
from cellwise.records.store import load_study

SELECTED = "selected.pt"


@dataclass
class Cleaned:
    """What was removed, or would be.

    Attributes:
        runs: finished runs that had something to remove.
        files: their checkpoints.
        bytes: of the files.
        left: a line a run that was left alone, and why.
    """

    runs: int = 0
    files: int = 0
    bytes: int = 0
    left: list[str] = field(default_factory=list)


def clean(folder: Path, *, keep_selected: bool = False, dry_run: bool = False) -> Cleaned:
    """Remove the checkpoints of finished runs; runs that are running or unfinished are left alone.

    Args:
        folder: of a run, or `runs/<study>`.
        keep_selected: keep the weights that validation selected.
        dry_run: only count.

    Raises:
        CellwiseError: neither a run nor a study is there, or a folder can't be written.
    """
    found = Cleaned()
    for run in [folder] if (folder / "config.yaml").is_file() else [run.path for run in load_study(folder).runs]:
        if is_being_run(run):
            found.left.append(f"{run}: is being run")
        elif not is_finished(run):
            found.left.append(f"{run}: not finished; its checkpoints are where it goes on from")
        elif dry_run:
            _count(found, _checkpoints(run, keep_selected))
        else:
            _remove(found, run, keep_selected)
    return found


def _remove(found: Cleaned, run: Path, keep_selected: bool) -> None:
    try:
        with take_lease(run):
            if not is_finished(run):  # since we looked, it was begun again
                return
            files = _checkpoints(run, keep_selected)
            _count(found, files)
            for file in files:
                file.unlink()
    except BeingRunError:
        found.left.append(f"{run}: is being run")


def _checkpoints(run: Path, keep_selected: bool) -> list[Path]:
    found = (path for path in (run / "checkpoints").glob("*") if path.is_file())
    return sorted(path for path in found if not (keep_selected and path.name == SELECTED))


def _count(found: Cleaned, files: list[Path]) -> None:
    found.runs += bool(files)
    found.files += len(files)
    found.bytes += sum(path.stat().st_size for path in files)
