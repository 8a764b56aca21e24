"""The problems: one folder a task, with its data, network, metrics, floors and views."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cellwise.budget import Shape
from cellwise.errors import CellwiseError, unknown

if TYPE_CHECKING:
    from pathlib import Path

    from cellwise.data.get import DataSet
    from cellwise.tasks.contract import Task
    from cellwise.tasks.objective import Objective

TASKS = ("language", "memory", "nowcasting", "vqa")


def read_task(config: Mapping[str, Any]) -> Any:
    """Return a task's checked settings (its groups: task, data, network); imports no torch.

    Raises:
        CellwiseError: unknown task, or a setting that is not allowed.
    """
    return _settings_of(config).read(config)


def read_objective(config: Mapping[str, Any]) -> Objective:
    """Return what a configuration's task is judged by; imports no torch.

    Raises:
        CellwiseError: unknown task, or a setting that is not allowed.
    """
    objective: Objective = _settings_of(config).objective(config)
    return objective


def recurrent_shapes(config: Mapping[str, Any], hidden_size: int) -> list[Shape]:
    """Return what decides the cost of a task's recurrent layers, were they of a hidden size; imports no torch.

    Each task's `settings` has a function of this name: one entry a stack of recurrent layers of its network, with the
    features that its first layer sees (they may follow the hidden size). A test holds it against the layers themselves.

    Args:
        config: resolved; its own hidden size does not count.
        hidden_size: units of a layer in one direction.

    Raises:
        CellwiseError: unknown task, or a setting that is not allowed.
    """
    shapes: list[Shape] = _settings_of(config).recurrent_shapes(config, hidden_size)
    return shapes


def stand_in(config: Mapping[str, Any]) -> str | None:
    """Return what a network is called that has no recurrent cell, None where it has one; imports no torch.

    A task with such networks says so in its `settings`, in a function of this name. A run of one is called by it: the
    cell of its configuration decides nothing.

    Args:
        config: as composed, or as a record holds it, whatever that is.
    """
    task = config.get("task")
    name = task.get("name") if isinstance(task, Mapping) else None
    if name not in TASKS:
        return None
    said: Callable[[Mapping[str, Any]], str | None] | None = getattr(_settings_of(config), "stand_in", None)
    return said(config) if said is not None else None


def pin_data(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with the checksum of the user's own data, where it names any; imports no torch.

    So a run's identity follows what the data are, not where they lie.

    Raises:
        CellwiseError: unknown task, or data that can't be read.
    """
    return {**config, "data": _settings_of(config).pin(config["data"], config.get("data_dir"))}


def build_task(name: str, settings: Any) -> Task:
    """Return the task with its data loaded.

    Raises:
        CellwiseError: data that is missing, altered or too short.
    """
    task: Task = importlib.import_module(f"cellwise.tasks.{name}.task").build(settings)
    return task


def predict(run: Path, config: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Use a finished run on the user's own input; return what to tell the user.

    Args:
        run: its folder.
        config: its own.
        given: values of `cellwise predict` by option (`--image`), None where one was not given. A task's `predict` has
            those that it takes in `OPTIONS`, in the order of its arguments.

    Raises:
        CellwiseError: unknown task, or one whose runs predict nothing yet; an option of another task, or one that is
            missing; and what the task says of the input.
    """
    name = config["task"].get("name")
    _settings_of(config)
    if importlib.util.find_spec(f"cellwise.tasks.{name}.predict") is None:
        able = [each for each in TASKS if importlib.util.find_spec(f"cellwise.tasks.{each}.predict")]
        raise CellwiseError(f"cellwise predict can't use a run of task={name} yet; it can of: {', '.join(able)}")
    module = importlib.import_module(f"cellwise.tasks.{name}.predict")
    beyond = [option for option, value in given.items() if value is not None and option not in module.OPTIONS]
    missing = [option for option in module.OPTIONS if given.get(option) is None]
    if beyond or missing:
        said = f"{' and '.join(missing)} must be given" if missing else f"{' and '.join(beyond)} means nothing here"
        raise CellwiseError(f"{said}; of a run of task={name}, cellwise predict takes {', '.join(module.OPTIONS)}")
    lines: list[str] = module.predict(run, config, *(given[option] for option in module.OPTIONS))
    return lines


def data_sets() -> dict[str, DataSet]:
    """Return every data set that a task declares, by name; imports no torch."""
    from cellwise.tasks.language.sources import OFFICIAL
    from cellwise.tasks.nowcasting.sources import DATA_SETS
    from cellwise.tasks.vqa.sources import DATA_SETS as OF_VQA

    return {name: text.dataset for name, text in OFFICIAL.items()} | DATA_SETS | OF_VQA


def _settings_of(config: Mapping[str, Any]) -> Any:
    name = config["task"].get("name")
    if name not in TASKS:
        raise unknown("task", str(name), TASKS)
    return importlib.import_module(f"cellwise.tasks.{name}.settings")
