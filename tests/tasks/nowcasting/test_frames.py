"""The bridge between mm/h and what a network sees."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cellwise.tasks.nowcasting.frames import PIXELS, RAIN_THRESHOLDS_MM_H, Field, batch_of

RAIN = Field("mm/h", RAIN_THRESHOLDS_MM_H)


def test_rain_is_scaled_as_in_hko_7() -> None:
    rain = torch.tensor([0.1, 0.5, 2.0, 30.0, 200.0], dtype=torch.float64)
    pixel = (10 * np.log10(rain.numpy()) * 1.56 + 10 * math.log10(58.53) + 10) / 70  # their code, 255 aside
    assert RAIN.to_network(rain).numpy() == pytest.approx(pixel, abs=1e-12)
    assert RAIN.to_unit(RAIN.to_network(rain)).numpy() == pytest.approx(rain.numpy(), rel=1e-12)


def test_no_rain_is_pixel_0_and_back_and_what_is_beyond_the_range_is_clipped() -> None:
    rain = torch.tensor([0.0, 0.01, 1e4, math.nan])
    assert RAIN.to_network(rain).tolist() == pytest.approx([0, 0, 1, math.nan], nan_ok=True)
    assert RAIN.to_unit(torch.tensor([-1.0, 0.0])).tolist() == [0, 0]
    assert RAIN.to_unit(torch.tensor(2.0)) == RAIN.to_unit(torch.tensor(1.0)) == pytest.approx(516.9, rel=1e-3)


def test_both_ways_have_gradients_that_are_numbers() -> None:
    rain = torch.tensor([0.0, 0.5, 30.0], requires_grad=True)
    pixels = torch.tensor([0.0, 0.3, 0.9], requires_grad=True)
    both = RAIN.to_network(rain).sum() + RAIN.to_unit(pixels).sum()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(both, (rain, pixels)))
    assert torch.autograd.gradcheck(RAIN.to_unit, torch.tensor([0.2, 0.6], dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(RAIN.to_network, torch.tensor([0.3, 9.0], dtype=torch.float64, requires_grad=True))


def test_a_batch_keeps_what_is_missing_where_it_counts_and_hides_it_from_the_network() -> None:
    frames = torch.full((5, 2, 3, 3), 4.0)
    frames[1, 0, 0, 0] = frames[4, 1, 2, 2] = math.nan
    batch = batch_of(frames, 2, torch.tensor([7, 8]), RAIN)
    assert (batch.inputs.shape, batch.observed.shape) == ((2, 2, 1, 3, 3), (3, 2, 1, 3, 3))
    assert batch.inputs[1, 0, 0, 0, 0] == 0
    assert batch.inputs.isfinite().all()
    assert int(batch.seen.isnan().sum()) == int(batch.observed.isnan().sum()) == 1
    digits = batch_of(torch.rand(5, 2, 3, 3), 2, torch.tensor([0, 1]), PIXELS)
    assert digits.inputs.data_ptr() == digits.seen.data_ptr()  # no copy where nothing is scaled
