"""What a task is judged by; said by its settings, so that a search knows it before anything imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Objective:
    """A key of a task's scores, whether less or more is better, and the unit."""

    metric: str
    direction: Literal["min", "max"]
    unit: str

    def better(self, value: float, than: float) -> bool:
        """Whether one value of the objective is better than another; a NaN is never better."""
        return value < than if self.direction == "min" else value > than
