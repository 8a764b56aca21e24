"""Whatever ends a run, its record says so in a line that a person can act on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from cellwise.errors import CellwiseError, RunFailedError
from cellwise.files import cant_write
from cellwise.records.finished import is_finished
from cellwise.records.plain import read_json
from cellwise.records.schema import RunInfo
from cellwise.records.writer import RunWriter
from cellwise.training.fit import ignore_lightnings_own
from cellwise.training.stopping import Stop, StoppedError

# How torch says on a CPU that memory is out; on a GPU it has a class for that.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


@contextmanager
def recorded(record: RunWriter, stop: Stop) -> Iterator[None]:
    """Let the record say how a run ended that raises, and what it warned of.

    Raises:
        RunFailedError: in place of errors whose cause is known: a full disk, no memory.
        StoppedError: the run was interrupted.
    """

    def note(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        record.note(f"{category.__name__}: {message} ({filename}:{lineno})")

    with warnings.catch_warnings():
        warnings.showwarning = note
        ignore_lightnings_own()
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as error:  # Lightning turns the first into the second
            record.fail("interrupted")
            raise StoppedError(stop.by) from error
        except Exception as error:
            known = explained(error, record.folder)
            if known is None:
                record.fail(" ".join(f"{type(error).__name__}: {error}".split()))
                raise
            record.fail(str(known))
            if known is error:
                raise
            raise known from error


def record_refusal(folder: Path, info: RunInfo, config: Mapping[str, Any], error: CellwiseError) -> None:
    """Let the record of a planned run say why it could not begin, its data missing for example.

    Args:
        folder: the run's; what an earlier start left there stays.
        info: what `run.json` says where there was none.
        config: the run's.
        error: why.
    """
    if is_finished(folder):
        return
    try:
        info, rows = RunInfo.from_dict(read_json(folder / "run.json")), (folder / "metrics.jsonl").stat().st_size
    except (CellwiseError, OSError):
        rows = None
    with suppress(CellwiseError):  # another process makes it, or it can't be written: the error itself is told
        RunWriter(folder, info, config, rows).fail(str(error))


def explained(error: Exception, folder: Path) -> CellwiseError | None:
    """Return what to tell the user of an error whose cause is known; None for others.

    Args:
        error: that ended a run.
        folder: the run's.
    """
    if isinstance(error, CellwiseError):
        return error
    if isinstance(error, OSError) and str(error.filename).startswith(str(folder)):
        told = cant_write(str(error.filename), error)
        return RunFailedError(f"{told}; then the same command goes on from its last checkpoint")
    said = " ".join(str(error).split())
    out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if out_of_memory or (isinstance(error, RuntimeError) and any(text in said for text in _NO_MEMORY)):
        return RunFailedError(
            f"out of memory{f' ({said[:200]})' if said else ''}; give a smaller task.batch_size or network.hidden_size,"
            " or fewer runs at a time (launcher.jobs)"
        )
    return None
