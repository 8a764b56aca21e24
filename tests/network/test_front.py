"""Fronts against loops over images, and over steps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from cellwise.errors import CellwiseError
from cellwise.network.front import ImageFront, TemporalFront
from cellwise.testing.layers import numbers
from tests.network.padding import assert_every_parameter_gets_a_gradient, assert_padding_is_nothing, some_lengths

few = settings(max_examples=10, deadline=None)
temporal_kinds = pytest.mark.parametrize("kernel_size", [1, 3, 4])
causals = pytest.mark.parametrize("causal", [True, False])


def image_front(grid: int = 2) -> ImageFront:
    torch.manual_seed(1)
    return ImageFront(2, 5, channels=(3, 4), grid=grid).double()


def temporal_front(kernel_size: int = 3, causal: bool = True, num_layers: int = 2) -> TemporalFront:
    torch.manual_seed(1)
    return TemporalFront(3, 4, kernel_size=kernel_size, num_layers=num_layers, causal=causal).double()


def of_one_image(p: dict[str, Tensor], image: Tensor) -> Tensor:
    """Two blocks of convolution, rectifier and 2 x 2 maximum, the mean over all pixels, a linear map."""
    x = image[None]
    for block in (0, 3):
        x = F.relu(F.conv2d(x, p[f"blocks.{block}.weight"], p[f"blocks.{block}.bias"], padding=1))
        height, width = x.shape[-2:]
        corners = [(i, j) for i in range(0, height, 2) for j in range(0, width, 2)]
        highest = torch.stack([x[0, :, i : i + 2, j : j + 2].amax((1, 2)) for i, j in corners], dim=1)
        x = highest.reshape(1, -1, (height + 1) // 2, (width + 1) // 2)
    return x.mean((0, 2, 3)) @ p["output.weight"].T + p["output.bias"]


@pytest.mark.parametrize("size", [(8, 8), (5, 7), (1, 1)])
def test_each_image_is_seen_for_itself(size: tuple[int, int]) -> None:
    module, x = image_front(grid=1), numbers(2, 3, 2, *size)
    y = module(x, [2, 1, 0])
    assert y.shape == (2, 3, 5)
    for t, row in ((0, 0), (1, 0), (0, 1)):
        torch.testing.assert_close(y[t, row], of_one_image(dict(module.named_parameters()), x[t, row]))
    for t, row in ((1, 1), (0, 2), (1, 2)):
        assert y[t, row].eq(0).all()


def test_the_grid_keeps_where_something_is() -> None:
    left, right = torch.zeros(2, 1, 1, 2, 8, 8).double()
    left[..., :4], right[..., 4:] = 1, 1
    assert not torch.allclose(image_front(grid=2)(left), image_front(grid=2)(right))
    shape = image_front(grid=3).blocks(torch.zeros(1, 2, 8, 8).double()).shape
    assert shape == (1, 4 * 3 * 3)


@few
@given(case=some_lengths())
def test_padding_is_nothing_to_the_image_front(case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = image_front(), case
    assert_padding_is_nothing(module, module, time, lengths, 2, 4, 3, per_step=True)


def of_one_row(module: TemporalFront, x: Tensor, kernel_size: int, causal: bool) -> Tensor:
    """x (steps, features): the sum over steps that each convolution sees, written out."""
    later = 0 if causal else (kernel_size - 1) // 2
    for convolution in module.convolutions:
        weight, bias = convolution.weight, convolution.bias
        assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
        steps = []
        for t in range(len(x)):
            total = bias
            for place in range(kernel_size):
                seen = t + later - (kernel_size - 1) + place
                if 0 <= seen < len(x):
                    total = total + weight[:, :, place] @ x[seen]
            steps.append(total.clamp(min=0))
        x = torch.stack(steps)
    return x


@temporal_kinds
@causals
def test_each_step_is_the_sum_over_what_it_sees(kernel_size: int, causal: bool) -> None:
    module, x, lengths = temporal_front(kernel_size, causal), numbers(5, 3, 3), [5, 2, 0]
    y = module(x, lengths)
    assert y.shape == (5, 3, 4)
    for row, length in enumerate(lengths[:2]):
        expected = of_one_row(module, x[:length, row], kernel_size, causal)
        torch.testing.assert_close(y[:length, row], expected)


@causals
def test_a_causal_front_sees_nothing_later(causal: bool) -> None:
    module, x = temporal_front(causal=causal), numbers(5, 2, 3)
    y, short = module(x), module(x[:3])
    assert torch.allclose(y[:3], short) == causal


@temporal_kinds
@causals
@few
@given(case=some_lengths())
def test_padding_is_nothing_to_the_temporal_front(kernel_size: int, causal: bool, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = temporal_front(kernel_size, causal), case
    assert_padding_is_nothing(module, module, time, lengths, 3, per_step=True)


def test_every_parameter_gets_a_gradient() -> None:
    images, steps = image_front(), temporal_front()
    assert_every_parameter_gets_a_gradient(images, lambda x, n: images(x, n), numbers(3, 2, 2, 6, 6))
    assert_every_parameter_gets_a_gradient(steps, lambda x, n: steps(x, n), numbers(5, 3, 3))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CellwiseError, match="kernel_size=4 must be odd"):
        ImageFront(2, 5, kernel_size=4)
    with pytest.raises(CellwiseError, match="has no block; give at least one"):
        ImageFront(2, 5, channels=())
    with pytest.raises(CellwiseError, match="channels=0 must be a whole number, 1 or more"):
        ImageFront(2, 5, channels=(3, 0))
    with pytest.raises(ValueError, match="input has 3 channels; this front takes 2"):
        image_front()(numbers(1, 1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"input must be \(time, batch, channels, height, width\)"):
        image_front()(numbers(1, 1, 3))
    with pytest.raises(ValueError, match="input has 2 features; this module takes 3"):
        temporal_front()(numbers(1, 1, 2))
