"""Scores of answers that are numbers: mean squared error and the share of close ones, from float64 sums."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Scores

CLOSE = 0.04
"""An answer this near is right, by Hochreiter and Schmidhuber 1997, experiment 4. Their target is half the sum that is
answered here, so the same number asks for twice their precision."""


class SquaredError(Scores):
    """Mean squared error, and the share of answers whose error is less than `CLOSE`; exact under any batching."""

    def __init__(self) -> None:
        self._squared: Tensor | float = 0.0
        self._close: Tensor | int = 0
        self._count = 0

    def update(self, network: nn.Module, batch: Any, state: None) -> None:
        """Score one batch: inputs (time, batch, features), targets (batch, output)."""
        inputs, targets = batch
        self.add(network(inputs)[0], targets)

    def add(self, answers: Tensor, targets: Tensor) -> None:
        """Add answers and targets of one shape."""
        error = answers.detach().double() - targets.double()
        self._squared = self._squared + error.square().sum()
        self._close = self._close + (error.abs() < CLOSE).sum()
        self._count += error.numel()

    def compute(self) -> dict[str, float]:
        """Return `mse` and `share_within_0.04`.

        Raises:
            CellwiseError: nothing was scored.
        """
        if not self._count:
            raise CellwiseError("no answer was scored, so there is no error; give at least one batch")
        sums = torch.as_tensor(self._squared), torch.as_tensor(self._close)
        return {"mse": float(sums[0]) / self._count, f"share_within_{CLOSE}": float(sums[1]) / self._count}
