"""Validation chooses the weights; the earliest of equals."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from cellwise.training.selection import Selection


@pytest.mark.parametrize(
    ("direction", "values", "chosen"),
    [
        ("min", [5.0, 3.0, 4.0], 1),
        ("max", [5.0, 3.0, 4.0], 0),
        ("max", [1.0, 3.0, 2.0], 1),
        ("min", [2.0, 2.0, 2.0], 0),
        ("min", [math.nan, 7.0, math.nan], 1),
        ("max", [math.nan, math.nan], 0),
        ("min", [math.inf, 9.0], 1),
        ("min", [-math.inf, math.nan], 0),
    ],
)
def test_the_best_value_is_kept_with_its_weights(
    tmp_path: Path, direction: Literal["min", "max"], values: list[float], chosen: int
) -> None:
    selection = Selection(tmp_path / "selected.pt", direction)
    network = nn.Linear(1, 1)
    for step, value in enumerate(values):
        nn.init.constant_(network.weight, step)
        assert selection.offer(network, value, step) is (selection.step == step)
    assert selection.step == chosen
    selection.restore(network)
    assert network.weight.item() == chosen
    assert torch.load(tmp_path / "selected.pt", weights_only=True)["weight"].item() == chosen
    assert [path.name for path in tmp_path.iterdir()] == ["selected.pt"]
