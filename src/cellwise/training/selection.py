"""Keeps the weights that validation likes best; test sees only those."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cellwise.files import write_atomically


class Selection:
    """The best checkpoint of a run by the objective on validation; the earliest of equals.

    Args:
        path: the checkpoint file, replaced as a whole; None: another process keeps it.
        direction: whether less or more is better.
    """

    def __init__(self, path: Path | None, direction: Literal["min", "max"]):
        self.path, self.value, self.step = path, math.nan, -1
        self._direction = direction

    def offer(self, network: nn.Module, value: float, step: int) -> bool:
        """Keep the network's weights if validation's value is the best so far; returns whether it is."""
        # A value that is not a number is kept only if there is nothing else, so that every run has a checkpoint.
        better = value < self.value if self._direction == "min" else value > self.value
        if self.step >= 0 and not better and not (math.isnan(self.value) and not math.isnan(value)):
            return False
        self.value, self.step = value, step
        self._write(network.state_dict())
        return True

    def state(self) -> tuple[float, int, Mapping[str, Tensor] | None]:
        """Return what a training checkpoint keeps: value, step, and the weights, for the file may be replaced later."""
        assert self.path is not None
        weights = torch.load(self.path, map_location="cpu", weights_only=True) if self.step >= 0 else None
        return self.value, self.step, weights

    def load(self, state: tuple[float, int, Mapping[str, Tensor] | None]) -> None:
        """Go on from a `state`, the file included."""
        self.value, self.step, weights = state
        if weights is not None:
            self._write(weights)

    def restore(self, network: nn.Module, device: Any = None) -> None:
        """Give a network the selected weights."""
        assert self.path is not None
        network.load_state_dict(torch.load(self.path, map_location=device, weights_only=True))

    def _write(self, weights: Mapping[str, Tensor]) -> None:
        if self.path is None:
            return
        content = io.BytesIO()
        torch.save(weights, content)
        write_atomically(self.path, content.getvalue())
