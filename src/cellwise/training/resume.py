"""Whether a run that was cut off can go on to the very bits that it would have given, and from where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cellwise.errors import CellwiseError
from cellwise.records.schema import RunInfo
from cellwise.training.checkpoint import newest_sound

# What changes bits, by its key in run.json and what to call it.
_DECIDES_BITS = {
    "code_sha256": "cellwise's own code",
    "cell_sha256": "the cell's code",
    "device": "the device",
    "data": "the data",
}
_LIBRARIES = ("torch", "pytorch-lightning", "numpy")


@dataclass(frozen=True)
class CutOff:
    """An earlier start of a run.

    Attributes:
        checkpoint: to go on from.
        logged: bytes of `metrics.jsonl` that were written before it.
        threads: that it ran with; they change bits.
        started: when it began.
    """

    checkpoint: Path
    logged: int
    threads: int
    started: str


def find_cut_off(folder: Path, now: RunInfo, *, threads_are_given: bool) -> CutOff | None:
    """Return where an unfinished run of this folder goes on; None where it begins anew.

    Args:
        folder: the run's.
        now: what `run.json` would say of a new start.
        threads_are_given: whether the user asked for their number.

    Raises:
        CellwiseError: it could go on, but not to the same bits.
    """
    checkpoint = newest_sound(folder / "checkpoints")
    if checkpoint is None:
        return None
    try:
        then = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        kept = torch.load(checkpoint, map_location="cpu", weights_only=True)["cellwise"]
    except (OSError, ValueError, KeyError):
        return None  # no record of what it was: nothing can be said of its bits
    changed = what_changed(then, now.to_dict())
    if threads_are_given and then["threads"] != now.threads:
        changed.append(f"the number of threads ({then['threads']}, now {now.threads})")
    if changed:
        raise CellwiseError(
            f"{folder} was cut off at step {int(checkpoint.name.split('-')[1])} and can't go on to the same result: "
            f"changed since then: {', '.join(changed)}; change it back, or type again=true to start over"
        )
    return CutOff(checkpoint, kept["logged"], then["threads"], then["started"])


def what_changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what two `run.json` say differently of what decides bits, in words."""
    found = [called for key, called in _DECIDES_BITS.items() if then.get(key) != now.get(key)]
    if (before := then.get("devices", 1)) != now["devices"]:
        found.append(f"trainer.devices ({before}, now {now['devices']})")
    old, new = then.get("versions", {}), now.get("versions", {})
    return found + [
        f"{library} ({old.get(library)}, now {new.get(library)})"
        for library in _LIBRARIES
        if old.get(library) != new.get(library)
    ]
