"""Memory problems as one task: each problem is a file beside this one, chosen by `task.problem`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cellwise.tasks.memory.adding import Adding
from cellwise.tasks.memory.problem import Problem
from cellwise.tasks.memory.settings import MemorySettings

PROBLEMS: Mapping[str, Callable[[MemorySettings], Problem]] = {"adding": Adding}


def build(settings: MemorySettings) -> Problem:
    """Return the problem with its sequences drawn."""
    return PROBLEMS[settings.task.problem](settings)
