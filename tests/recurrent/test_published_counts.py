"""Parameter counts that papers published, or that their code has, from our layers and what stands around them.

Sources: Shi et al. 2015, arXiv 1506.04214, table 1; Zaremba et al. 2014, arXiv 1409.2329; Chung et al. 2014, arXiv
1412.3555, table 1; Tan et al. 2023 (OpenSTL), arXiv 2306.11249; Bai et al. 2018, arXiv 1803.01271 (torch.nn's layers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from cellwise.interop.torch import from_torch, to_torch
from cellwise.recurrent.layer import ConvRecurrent, Recurrent

Layer = Recurrent | ConvRecurrent
OneLayer = Callable[[int, int], Layer]  # of input and hidden size


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def without_input(layer: Layer) -> int:
    """The count of a layer that gets nothing but its own state."""
    return count(layer) - layer.weights()[0].input_weight.numel()


def forecaster(layer: OneLayer, widths: Sequence[int]) -> int:
    """Shi's forecaster: the encoder's layers from the last to the first, the first of them without an input."""
    turned = list(reversed(widths))
    return without_input(layer(1, turned[0])) + chain(layer, turned[0], turned[1:])


def chain(layer: OneLayer, features: int, widths: Sequence[int]) -> int:
    """One layer a width, each on the output of the one below."""
    return sum(count(layer(*sizes)) for sizes in zip([features, *widths], widths, strict=False))


def shi_conv_lstm(features: int, widths: Sequence[int], kernel: int, recurrent_kernel: int) -> int:
    """Encoder, forecaster, and a 1 x 1 convolution with bias from all the forecaster's outputs to the frame."""

    def layer(channels: int, hidden: int) -> ConvRecurrent:
        return ConvRecurrent("peephole_lstm", channels, hidden, kernel, recurrent_kernel_size=recurrent_kernel)

    with torch.device("meta"):
        recurrent = chain(layer, features, widths) + forecaster(layer, widths)
    return recurrent + sum(widths) * features + features


@pytest.mark.parametrize(
    ("features", "widths", "kernel", "recurrent_kernel", "published"),
    [
        (16, [256], 5, 5, 13_524_496),
        (16, [128, 128], 5, 5, 10_042_896),
        (16, [128, 64, 64], 5, 5, 7_585_296),
        (16, [128, 128], 9, 1, 11_550_224),
        (16, [128, 64, 64], 9, 1, 8_830_480),
        (4, [64, 64], 3, 3, 896_260),  # radar, 2 x 2 patches; not printed, from the same formula
    ],
)
def test_shis_conv_lstms_have_their_published_size(
    features: int, widths: list[int], kernel: int, recurrent_kernel: int, published: int
) -> None:
    assert shi_conv_lstm(features, widths, kernel, recurrent_kernel) == published


@pytest.mark.parametrize(
    ("features", "width", "published"), [(64 * 64, 2048, 142_667_776), (100 * 100, 2000, 196_066_000)]
)
def test_shis_fc_lstms_have_their_published_size(features: int, width: int, published: int) -> None:
    def layer(inputs: int, hidden: int) -> Recurrent:
        return Recurrent("peephole_lstm", inputs, hidden)

    with torch.device("meta"):
        recurrent = chain(layer, features, [width, width]) + forecaster(layer, [width, width])
    assert recurrent + width * features + features == published


@pytest.mark.parametrize(
    ("hidden", "published", "unused"), [(128, 15_083_520, 3_407_872), (192, 33_782_784, 7_667_712)]
)
def test_openstls_conv_lstms_have_the_size_that_their_code_uses(hidden: int, published: int, unused: int) -> None:
    """The published size holds convolutions from 2 h to h, 5 x 5 and 1 x 1 a layer, that the forward never calls."""
    with torch.device("meta"):
        used = count(ConvRecurrent("lstm", 16, hidden, 5, 4, bias=False))
    assert used == 25 * (16 + hidden) * 4 * hidden + 3 * 25 * 2 * hidden * 4 * hidden
    assert unused == 4 * (2 * hidden * hidden * 25 + 2 * hidden * hidden)
    assert used + unused + hidden * 16 == published


@pytest.mark.parametrize(
    ("units", "published", "as_torch_counts"),
    [(200, 4_651_600, 4_653_200), (650, 19_775_200, 19_780_400), (1500, 66_022_000, 66_034_000)],
    ids=["small", "medium", "large"],
)
def test_zarembas_networks_on_ptb_have_their_published_size(units: int, published: int, as_torch_counts: int) -> None:
    words = 10_000
    around = words * units + units * words + words
    with torch.device("meta"):
        assert around + count(Recurrent("lstm", units, units, 2)) == published
        two_biases = Recurrent("lstm", units, units, 2, recurrent_bias=True)
        assert around + count(two_biases) == around + count(torch.nn.LSTM(units, units, 2)) == as_torch_counts


@pytest.mark.parametrize(
    ("name", "units", "published"), [("peephole_lstm", 36, 19_764), ("gru", 46, 20_217), ("rnn", 100, 20_050)]
)
def test_chungs_polyphonic_networks_have_their_published_size(name: str, units: int, published: int) -> None:
    # Mean over the four data sets' widths; recurrent layer alone, without biases.
    mean = sum(count(Recurrent(name, width, units, bias=False)) for width in (93, 96, 105, 108)) / 4
    assert round(mean) == published


@pytest.mark.parametrize(
    ("inputs", "units", "layers", "outputs", "as_their_code_counts"),
    [
        (2, 77, 2, 1, 73_074),  # adding
        (2, 130, 1, 1, 69_811),
        (1, 130, 1, 10, 70_470),  # sequential MNIST
        (88, 200, 2, 88, 571_288),  # JSB chorales; the paper says 300K
        (88, 280, 3, 88, 1_698_008),  # Nottingham
        (88, 500, 1, 88, 1_224_088),
        (1, 50, 1, 10, 11_110),  # copy, a number a step
        (10, 50, 1, 10, 12_910),  # copy, one of ten symbols a step
    ],
)
def test_bais_lstms_have_the_size_of_their_code_there_and_back(
    inputs: int, units: int, layers: int, outputs: int, as_their_code_counts: int
) -> None:
    ours = Recurrent("lstm", inputs, units, layers)
    theirs = to_torch(ours)
    output_layer = units * outputs + outputs
    assert count(theirs) + output_layer == as_their_code_counts
    assert count(theirs) - count(ours) == layers * 4 * units  # the second bias
    assert count(from_torch(theirs)) == count(ours)
    assert count(from_torch(theirs, recurrent_bias=True)) == count(theirs)
