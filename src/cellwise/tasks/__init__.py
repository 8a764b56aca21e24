"""The problems: one folder a task, with its data, network, metrics, floors and views."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cellwise.errors import unknown

if TYPE_CHECKING:
    from cellwise.tasks.contract import Task

TASKS = ("language",)


def read_task(config: Mapping[str, Any]) -> Any:
    """Return a task's checked settings (its groups: task, data, network); imports no torch.

    Raises:
        CellwiseError: unknown task, or a setting that is not allowed.
    """
    name = config["task"].get("name")
    if name not in TASKS:
        raise unknown("task", str(name), TASKS)
    return importlib.import_module(f"cellwise.tasks.{name}.settings").read(config)


def build_task(name: str, settings: Any) -> Task:
    """Return the task with its data loaded.

    Raises:
        CellwiseError: data that is missing, altered or too short.
    """
    task: Task = importlib.import_module(f"cellwise.tasks.{name}.task").build(settings)
    return task
