"""Whether a run can go on to the very bits that it would have given, and from where.

A run that was cut off goes on from its own last checkpoint, a longer one of a finished run from that run's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from cellwise.errors import CellwiseError
from cellwise.records.plain import read_json
from cellwise.records.schema import RunInfo
from cellwise.records.store import read_metrics
from cellwise.settings import typed
from cellwise.training.checkpoint import newest_sound, step_of
from cellwise.training.settings import TrainerSettings
from cellwise.training.trained import read_config

# What changes bits, by its key in run.json and what to call it.
_DECIDES_BITS = {
    "code_sha256": "cellwise's own code",
    "cell_sha256": "the cell's code",
    "device": "the device",
}
_LIBRARIES = ("torch", "pytorch-lightning", "numpy")


@dataclass(frozen=True)
class Start:
    """Where a run goes on.

    Attributes:
        checkpoint: to go on from.
        rows: of `metrics.jsonl` before it: how many bytes of the run's own, or those of a shorter run.
        threads: that it ran with; they change bits.
        engine: that ran its layers; so does this.
        started: when it began.
        loader: where the loader of the training split stood.
        extended_from: the shorter run that this one goes on from, `<cell>-<8 hex>/seed-<n>`; None: it began by itself.
    """

    checkpoint: Path
    rows: int | bytes
    threads: int
    engine: str
    started: str
    loader: Mapping[str, Any]
    extended_from: str | None = None


def find_cut_off(folder: Path, now: RunInfo, *, threads_are_given: bool) -> Start | None:
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
        start = _start(checkpoint, then)
    except (OSError, ValueError, KeyError):
        return None  # no record of what it was: nothing can be said of its bits
    changed = what_changed(then, now.to_dict())
    if threads_are_given and then["threads"] != now.threads:
        changed.append(f"the number of threads ({then['threads']}, now {now.threads})")
    if changed:
        raise CellwiseError(
            f"{folder} was cut off at step {step_of(checkpoint)} and can't go on to the same result: "
            f"changed since then: {', '.join(changed)}; change it back, or type again=true to start over"
        )
    return start


def find_end(folder: Path, now: RunInfo, trainer: TrainerSettings) -> Start:
    """Return where a longer run of a finished one goes on: at its last step.

    Args:
        folder: the finished run's.
        now: what `run.json` would say of the longer run.
        trainer: of the longer run.

    Raises:
        CellwiseError: it keeps no checkpoint of its last step, the longer run is none, or it would not have the bits of
            one that was trained that long from the start.
    """
    checkpoint = newest_sound(folder / "checkpoints")
    if checkpoint is None:
        raise _no_checkpoint(folder)
    then = read_json(folder / "run.json")
    start = _start(checkpoint, then)
    steps, before = trainer.steps_in_all(start.loader["length"]), step_of(checkpoint)
    if steps <= before:
        raise CellwiseError(
            f"{folder} has {before} steps, {start.loader['length']} an epoch, and with trainer.max_epochs="
            f"{typed(trainer.max_epochs)} trainer.max_steps={typed(trainer.max_steps)} a run ends after {steps}; give "
            "more with --epochs, --steps or both"
        )
    changed = what_changed(then, now.to_dict())
    if changed:
        raise CellwiseError(
            f"{folder} can't be extended to what a run from the start would give: changed since then: "
            f"{', '.join(changed)}; change it back, or train the longer run from the start"
        )
    named = f"{then['cell']}-{then['identity']}/seed-{then['seed']}"
    assert isinstance(start.rows, int)
    rows = _first_bytes(folder / "metrics.jsonl", start.rows)
    return replace(start, rows=rows, started=now.started, extended_from=named)


def what_changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what two `run.json` say differently of what decides bits, in words."""
    found = [called for key, called in _DECIDES_BITS.items() if then.get(key) != now.get(key)]
    found += [f"the data {name}" for name in _differing(then.get("data", {}), now.get("data", {}))]
    if (before := then.get("devices", 1)) != now["devices"]:
        found.append(f"trainer.devices ({before}, now {now['devices']})")
    old, new = then.get("versions", {}), now.get("versions", {})
    return found + [
        f"{library} ({old.get(library)}, now {new.get(library)})"
        for library in _LIBRARIES
        if old.get(library) != new.get(library)
    ]


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]


def _first_bytes(path: Path, number: int) -> bytes:
    try:
        found = path.read_bytes()[:number]
    except OSError as error:
        raise CellwiseError(f"can't read {path}: {error.strerror}") from error
    if len(found) < number:
        raise CellwiseError(f"{path} is damaged: it is shorter than when the run's last checkpoint was written")
    return found


def _start(checkpoint: Path, then: Mapping[str, Any]) -> Start:
    kept = torch.load(checkpoint, map_location="cpu", weights_only=True)
    (loader,) = kept["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    logged = kept["cellwise"]["logged"]
    ran = (then["threads"], then["engine"], then["started"])
    return Start(checkpoint, logged, *ran, loader, then.get("extended_from"))


def _no_checkpoint(folder: Path) -> CellwiseError:
    trainer = read_config(folder)["trainer"]
    patience, selected_step = trainer.get("patience"), read_json(folder / "summary.json")["selected_step"]
    validated = [row["step"] for row in read_metrics(folder) if any(key.startswith("validation_") for key in row)]
    if patience is not None and sum(step > selected_step for step in validated) >= patience:
        return CellwiseError(
            f"{folder} stopped early at step {validated[-1]}, by trainer.patience={patience}, and a longer run would "
            "stop there, too; train one with more patience: the command in its run.json with another trainer.patience"
        )
    never = trainer.get("checkpoint_every_seconds") is None
    why = "trainer.checkpoint_every_seconds=null" if never else "`cellwise clean` removed it"
    return CellwiseError(
        f"{folder} keeps no checkpoint of its last step ({why}), so it can't be extended; train the longer run from "
        "the start: the command in its run.json with another trainer.max_epochs or max_steps"
    )
