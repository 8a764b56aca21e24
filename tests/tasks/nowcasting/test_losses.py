"""Losses against their formulas, of observed pixels alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cellwise.tasks.nowcasting.frames import PIXELS, RAIN_THRESHOLDS_MM_H, Field
from cellwise.tasks.nowcasting.losses import activated, lost
from cellwise.tasks.nowcasting.settings import LossName

RAIN = Field("mm/h", RAIN_THRESHOLDS_MM_H)
OBSERVED = torch.tensor([0.0, 0.49, 0.5, 1.0, 2.0, 4.9, 5.0, 10.0, 29.0, 30.0, 80.0, math.nan], dtype=torch.float64)
WEIGHTS = np.array([1, 1, 1, 1, 2, 2, 5, 10, 10, 30, 30])


def frames(values: Tensor) -> Tensor:
    return values.reshape(1, 1, 1, 3, 4)


def raw() -> Tensor:
    return torch.linspace(-0.5, 1.2, 12, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("name", ["mse", "mae", "balanced_mse", "balanced_mae", "balanced"])
def test_a_loss_of_rain_is_its_formula_on_the_networks_scale(name: LossName) -> None:
    outputs = raw()
    found = lost(name, frames(outputs), frames(OBSERVED), RAIN)
    error = outputs.detach().numpy()[:11] - RAIN.to_network(OBSERVED[:11]).numpy()
    weights = WEIGHTS if name.startswith("balanced") else 1.0
    each = {"mse": error**2, "mae": np.abs(error)}.get(name.removeprefix("balanced_"), error**2 + np.abs(error))
    assert found.pixels == 11
    assert found.mean().item() == pytest.approx(float((weights * each).sum() / 11))
    (gradient,) = torch.autograd.grad(found.mean(), outputs)
    assert gradient[11] == 0  # what was not observed teaches nothing
    assert (gradient[:11] != 0).all()


def test_cross_entropy_is_that_of_pixels_as_probabilities() -> None:
    outputs, target = raw(), torch.rand(12, dtype=torch.float64)
    target[11] = math.nan
    found = lost("cross_entropy", frames(outputs), frames(target), PIXELS)
    p, q = activated("cross_entropy", outputs.detach()).numpy()[:11], target.numpy()[:11]
    assert found.mean().item() == pytest.approx(float(-(q * np.log(p) + (1 - q) * np.log(1 - p)).mean()))
    assert torch.equal(activated("mse", outputs), outputs)


def test_a_batch_without_an_observed_pixel_costs_nothing_and_gives_no_nan() -> None:
    outputs = raw()
    found = lost("mse", frames(outputs), torch.full((1, 1, 1, 3, 4), math.nan), RAIN)
    assert (found.pixels, found.mean().item()) == (0, 0.0)
    (gradient,) = torch.autograd.grad(found.mean(), outputs)
    assert not gradient.any()
