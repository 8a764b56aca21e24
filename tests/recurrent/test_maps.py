"""The maps against torch's own functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cellwise.recurrent.maps import Convolution, Dense
from cellwise.testing.layers import numbers


@pytest.mark.parametrize("bias", [None, numbers(4, seed=5)], ids=["no_bias", "bias"])
@pytest.mark.parametrize("lead", [(), (2,), (3, 2)])
# torch pads a copy for an even kernel and says so; we ask for just that.
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
def test_a_convolution_is_torchs_with_same_padding(
    kernel_size: int, lead: tuple[int, ...], bias: torch.Tensor | None
) -> None:
    height, width, units = 5, 4, 3
    convolution = Convolution(kernel_size)
    weight = numbers(*convolution.weight_shape(4, units))
    v = numbers(*lead, height, width, units)
    images = v.reshape(-1, height, width, units).permute(0, 3, 1, 2)
    expected = F.conv2d(images, weight, bias, padding="same").permute(0, 2, 3, 1)
    torch.testing.assert_close(
        convolution(v, weight, bias), expected.reshape(*lead, height, width, 4), rtol=0, atol=1e-12
    )


def test_a_kernel_larger_than_the_image_sees_zeros_around_it() -> None:
    weight, v = numbers(2, 3, 5, 5), numbers(1, 1, 1, 3)
    torch.testing.assert_close(Convolution(5)(v, weight)[0, 0, 0], weight[:, :, 2, 2] @ v[0, 0, 0])


def test_a_dense_map_multiplies_the_last_axis() -> None:
    weight, bias, v = numbers(4, 3), numbers(4, seed=5), numbers(2, 5, 3)
    assert Dense().weight_shape(4, 3) == (4, 3)
    expected = torch.einsum("oi,tbi->tbo", weight, v) + bias
    torch.testing.assert_close(Dense()(v, weight, bias), expected, rtol=0, atol=1e-12)


def test_an_empty_batch_of_images_is_allowed() -> None:
    assert Convolution(3)(torch.zeros(0, 4, 5, 2), torch.zeros(6, 2, 3, 3)).shape == (0, 4, 5, 6)
