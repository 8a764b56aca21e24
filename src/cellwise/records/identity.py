"""What a run *is*: the hash of its configuration and its cell's code, its name, and the folder that follows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellwise.cells.registry import cell_info
from cellwise.cells.source import cell_source_sha256
from cellwise.errors import CellwiseError
from cellwise.tasks import stand_in

# Who runs it, where, how it is logged and looked into, and which of the equal runs it is: not what it is.
_NOT_IDENTITY = ("seed", "study", "runs_dir", "data_dir", "cell_modules", "again", "probe", "logger")
# What a run does when its loss is lost changes no number of a run that has one; a run that stopped there may go on.
_NOT_IDENTITY_OF_TRAINER = (
    *("accelerator", "devices", "threads", "engine", "log_every_steps", "checkpoint_every_seconds", "data_workers"),
    "non_finite",
)
# Nor does what only trades memory for time.
_NOT_IDENTITY_OF_LAYER = ("recompute",)
# Keys that came later do not count at the value that changes nothing, so that older runs stay what they are.
_LATER: dict[str, dict[str, Any]] = {
    "optim": {
        **{"momentum": 0, "nesterov": False, "schedule": "constant", "warmup_steps": 0},
        **{"final_fraction": 0, "plateau_patience": None, "normalised_momentum": False},
    },
    "network": {"input_noise": 0},
    "trainer": {"patience": None},
}


def identity(config: Mapping[str, Any]) -> str:
    """Return 8 hexadecimal digits of the resolved configuration and the cell's source.

    Args:
        config: as composed; seed, machine and logging keys don't count.
    """
    counted = _one_spelling(what_counts(config))
    counted["cell_source"] = cell_sha256(config)
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:8]


def called(config: Mapping[str, Any]) -> str:
    """Return the name of a run's cell, or of its network where that has none; folder, tables and legends show it."""
    return stand_in(config) or str(config["cell"]["name"])


def cell_sha256(config: Mapping[str, Any]) -> str:
    """Return the checksum of the code of a run's cell; "" where its network has none."""
    if stand_in(config) is not None:
        return ""
    info = cell_info(config["cell"]["name"])
    return cell_source_sha256(info.factory, info.fixed)


def _one_spelling(value: Any) -> Any:
    """The same value for the same number: 0 and 0.0 are one dropout."""
    if isinstance(value, Mapping):
        return {key: _one_spelling(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_one_spelling(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def what_counts(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that decides a result: without seed, machine and logging keys.

    Args:
        config: as composed, or as a record holds it.
    """
    counted = {key: value for key, value in config.items() if key not in _NOT_IDENTITY}
    if stand_in(config) is not None:
        counted.pop("cell", None)
    if counted.get("budget") is None:
        counted.pop("budget", None)  # records older than budgets have no such key
    data, trainer = config.get("data", {}), config.get("trainer", {})
    # A text is what it holds, not where it lies, nor where what was made of it is kept, nor who may see it.
    outside = {"cache_dir", "redistributable", *(["path"] if data.get("sha256") else [])}
    counted["data"] = {k: v for k, v in data.items() if k not in outside}
    counted["trainer"] = {k: v for k, v in trainer.items() if k not in _NOT_IDENTITY_OF_TRAINER}
    network = counted.get("network", {})
    if isinstance(network.get("layer"), Mapping):
        layer = {k: v for k, v in network["layer"].items() if k not in _NOT_IDENTITY_OF_LAYER}
        counted["network"] = {**network, "layer": layer}
    for group, without in _LATER.items():
        counted[group] = {k: v for k, v in counted.get(group, {}).items() if k not in without or v != without[k]}
    return counted


def run_folder(config: Mapping[str, Any]) -> Path:
    """Return `<runs_dir>/<study>/<cell>-<identity>/seed-<n>`.

    Raises:
        CellwiseError: a study or seed that can't be part of a folder's name.
    """
    study, seed = config["study"], config["seed"]
    if not isinstance(study, str) or not study.strip() or study in (".", "..") or "/" in study:
        raise CellwiseError(f"study={study!r} must be a name without '/', for example study=my_question")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise CellwiseError(f"seed={seed!r} must be a whole number, 0 or more")
    return Path(str(config["runs_dir"])) / study / f"{called(config)}-{identity(config)}" / f"seed-{seed}"
