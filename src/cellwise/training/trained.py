"""A finished run brought back: its task, and its network with the weights that validation selected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from torch import nn

from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, import_cells
from cellwise.errors import CellwiseError
from cellwise.records.finished import require_finished
from cellwise.records.identity import called, cell_sha256
from cellwise.records.plain import read_json
from cellwise.records.schema import RunInfo
from cellwise.tasks import build_task
from cellwise.tasks.contract import Task
from cellwise.training.selection import Selection
from cellwise.training.settings import RunSettings, read


class Trained(NamedTuple):
    """What a finished run left: its task with the data loaded, and its network in evaluation, on the CPU."""

    task: Task
    network: nn.Module


def load_trained(folder: Path) -> Trained:
    """Return a finished run's task and network.

    Args:
        folder: `runs/<study>/<cell>-<8 hex>/seed-<n>`.

    Raises:
        CellwiseError: no run there, or one that is not finished; a missing checkpoint; a cell whose equations have
            been edited since; data that are missing, or other data than the run's.
    """
    config = read_config(folder)
    settings = read_settings(folder, config)
    checkpoint = _selected(folder)
    task = build_task(config["task"]["name"], settings.task)
    return Trained(task, _restored(settings, task.network, checkpoint))


def load_network(folder: Path, settings: RunSettings, make: Callable[[Cell, str], nn.Module]) -> nn.Module:
    """Return a finished run's network alone, in evaluation, on the CPU: its data may be gone.

    Args:
        folder: the run's.
        settings: as `read_settings` gives them.
        make: returns the network of a cell and an engine.

    Raises:
        CellwiseError: a missing checkpoint, or one that is not the network's.
    """
    return _restored(settings, make, _selected(folder))


def read_settings(folder: Path, config: Mapping[str, Any]) -> RunSettings:
    """Return a finished run's checked settings, its own cells imported.

    Args:
        folder: the run's.
        config: as `read_config` gives it.

    Raises:
        CellwiseError: a run that is not finished, or a cell whose equations have been edited since.
    """
    import_cells(config.get("cell_modules") or [])
    settings = read(config)
    require_finished(folder)
    _check_cell(folder, config)
    return settings


def _selected(folder: Path) -> Path:
    checkpoint = folder / "checkpoints" / "selected.pt"
    if not checkpoint.is_file():
        raise CellwiseError(f"{checkpoint} is missing; again=true with the command in run.json repeats the run")
    return checkpoint


def _restored(settings: RunSettings, make: Callable[[Cell, str], nn.Module], checkpoint: Path) -> nn.Module:
    """The network of a run with the weights of a checkpoint, in evaluation."""
    network = make(build_cell(settings.cell, settings.cell_options), settings.trainer.layer_engine())
    try:
        Selection(checkpoint, "min").restore(network, "cpu")  # to restore, no direction counts
    except Exception as error:  # torch raises whatever the damage leads to
        said = " ".join(str(error).split())
        raise CellwiseError(
            f"{checkpoint} does not fit its network: {said[:160]}; it is damaged, or data or code are other than "
            "the run's; again=true with the command in run.json repeats the run"
        ) from error
    return network.eval()


def read_config(folder: Path) -> dict[str, Any]:
    """Return the configuration that a run's folder holds.

    Raises:
        CellwiseError: no run there, or a damaged file.
    """
    path = folder / "config.yaml"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CellwiseError(
            f"no run in {folder}: it has no config.yaml; give a run's folder, runs/<study>/<cell>-<8 hex>/seed-<n>"
        ) from error
    except (ValueError, yaml.YAMLError) as error:
        raise CellwiseError(f"{path} is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise CellwiseError(f"{path} is damaged: it holds no configuration")
    return found


def _check_cell(folder: Path, config: Mapping[str, Any]) -> None:
    """The weights belong to the equations that they were trained with."""
    path = folder / "run.json"
    then = RunInfo.from_dict(read_json(path), str(path)).cell_sha256
    if cell_sha256(config) != then:
        raise CellwiseError(
            f"the code of cell {called(config)!r} has been edited since {folder} was trained, so its weights belong to "
            "other equations; train it again: the same command makes a new run"
        )
