"""Checkpoints of a run that was cut off: whole or not at all, the last two kept, each with its own checksum.

A checkpoint is all that the rest of the run depends on: weights and optimiser, the loader's position, the carried
state, what was logged so far. Random numbers are not in it: each step has a stream of its own (`training.seeds`).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from cellwise.files import naming

_NAME = re.compile(r"step-(?P<step>\d{9})-(?P<digest>[0-9a-f]{16})\.ckpt")
_KEPT = 2


class DirectWrites(TorchCheckpointIO):
    """Lets Lightning write a checkpoint where it is to lie.

    By itself it writes to the system's temporary folder first, which may be small, on another disk, or keep what a
    killed process left; `Checkpoints` sees to wholeness itself.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it."""
        content = io.BytesIO()  # torch makes of a full disk an error that does not say so
        torch.save(checkpoint, content)
        with open(path, "wb") as file:
            file.write(content.getbuffer())


class Checkpoints:
    """Writes the checkpoints of one run.

    Args:
        folder: where they lie; must exist.
        every_seconds: time between two; 0 for one after each step, None for none.
    """

    def __init__(self, folder: Path, every_seconds: float | None):
        self.folder, self._every = folder, every_seconds
        self._last = time.monotonic()

    def due(self, *, now: bool = False) -> bool:
        """Whether it is time for one; `now`: whether there will be no other time."""
        return self._every is not None and (now or time.monotonic() - self._last >= self._every)

    def save(self, trainer: pl.Trainer) -> Path:
        """Write one, and remove all but the last two; returns the file."""
        temporary = self.folder / f".checkpoint.{os.getpid()}.tmp"
        try:
            with naming(self.folder / f"step-{trainer.global_step:09d}"):
                trainer.save_checkpoint(temporary)
                with open(temporary, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
                    os.fsync(file.fileno())
                # The name holds the checksum, so one rename makes both at once.
                path = self.folder / f"step-{trainer.global_step:09d}-{digest}.ckpt"
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync(self.folder)
        for old in saved(self.folder)[:-_KEPT]:
            old.unlink()
        self._last = time.monotonic()
        return path

    def keep_last(self, step: int) -> None:
        """Remove all that a finished run does not need: only that of its last step can go on, to more epochs."""
        found = saved(self.folder)
        for path in found:
            if path is not found[-1] or step_of(path) != step:
                path.unlink()


def saved(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    found = [path for path in folder.glob("step-*.ckpt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (step_of(path), path.stat().st_mtime_ns))


def step_of(path: Path) -> int:
    """Return the steps that were taken before a checkpoint."""
    return int(path.name.split("-")[1])


def newest_sound(folder: Path) -> Path | None:
    """Return the newest checkpoint that is as it was written; damaged ones are passed over."""
    return next((path for path in reversed(saved(folder)) if _is_sound(path)), None)


def _is_sound(path: Path) -> bool:
    named = _NAME.fullmatch(path.name)
    assert named is not None
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16] == named["digest"]
    except OSError:
        return False


def _sync(folder: Path) -> None:
    """Have the rename itself on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
