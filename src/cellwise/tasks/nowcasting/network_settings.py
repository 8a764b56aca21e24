"""The settings of nowcasting's networks, checked without importing torch; see conf/network/encoder_forecaster.yaml."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeVar

from cellwise.budget import Shape, shape_of
from cellwise.errors import CellwiseError
from cellwise.recurrent.options import LayerOptions
from cellwise.settings import bounded, parse, typed

Kind = Literal["convolutional", "fully_connected", "cnn"]
T = TypeVar("T")


@dataclass(frozen=True)
class ForecasterSettings:
    """The network's keys.

    Attributes:
        kind: `convolutional`, Shi's encoder and forecaster of the cell on images; `fully_connected`, the same of dense
            layers, which see a frame as one vector (Shi's FC-LSTM); `cnn`, convolutions without recurrence, which the
            cell has no part in.
        hidden_size: channels of a layer; units where it is fully connected.
        num_layers: layers of the encoder, and of the forecaster; a cnn has as many as both.
        widths: of each layer of the encoder, the lowest first, as a share of the hidden size; None: all 1.
        patch_size: pixels a side that become channels; None where it is fully connected.
        kernel_size: of the input's convolution, one or one for each layer; None where it is fully connected.
        recurrent_kernel_size: of the recurrent convolution, likewise; None: as the input's.
        dropout: between layers and before the output, new at each step; never on the recurrent path.
        layer: what each recurrent layer does beyond running its cell.
    """

    kind: Kind = "convolutional"
    hidden_size: int = bounded(16, minimum=1)
    num_layers: int = bounded(2, minimum=1)
    widths: tuple[float, ...] | None = bounded(None, minimum=0.01)
    patch_size: int | None = bounded(4, minimum=1)
    kernel_size: tuple[int, ...] | None = bounded((3,), minimum=1)
    recurrent_kernel_size: tuple[int, ...] | None = bounded(None, minimum=1)
    dropout: float = bounded(0.0, minimum=0, below=1)
    layer: LayerOptions = field(default_factory=LayerOptions)

    @property
    def shares(self) -> tuple[float, ...]:
        """The width of each layer as a share of the hidden size."""
        return self.widths or (1.0,) * self.num_layers

    @property
    def sizes(self) -> tuple[int, ...]:
        """Channels, or units, of each layer of the encoder."""
        return tuple(round(self.hidden_size * share) for share in self.shares)

    @property
    def multiple(self) -> int:
        """What the hidden size must be a multiple of, so that every width is a whole number."""
        return math.lcm(*(Fraction(str(share)).limit_denominator(100).denominator for share in self.shares))

    @property
    def kernels(self) -> tuple[int, ...]:
        """Of the input's convolution, by layer."""
        return _by_layer(self.kernel_size or (1,), self.num_layers)

    @property
    def recurrent_kernels(self) -> tuple[int, ...]:
        """Of the recurrent convolution, by layer."""
        return _by_layer(self.recurrent_kernel_size or self.kernels, self.num_layers)

    @property
    def patch(self) -> int:
        """Pixels a side that become channels; 1 where frames are vectors."""
        return self.patch_size or 1


def read_network(values: Mapping[str, Any], frame: int) -> ForecasterSettings:
    """Return the checked settings that the group `network` holds.

    Args:
        values: plain.
        frame: height and width of a frame in pixels.

    Raises:
        CellwiseError: an unknown key, a value that is not allowed, settings that do not fit each other or the frame.
    """
    network = parse(ForecasterSettings, values, "network")
    for key in ("widths", "kernel_size", "recurrent_kernel_size"):
        given = getattr(network, key)
        if given is not None and len(given) != network.num_layers and (key == "widths" or len(given) != 1):
            one = "" if key == "widths" else "one number, or "
            raise CellwiseError(
                f"network.{key}={list(given)} has {len(given)} numbers for network.num_layers={network.num_layers}; "
                f"give {one}one for each layer"
            )
    if network.hidden_size % network.multiple:
        raise CellwiseError(
            f"network.widths={list(network.shares)} of network.hidden_size={network.hidden_size} are no whole numbers; "
            f"give a hidden size that is a multiple of {network.multiple}"
        )
    _check_kind(network)
    _check_layer(network)
    _check_patch(network, frame)
    return network


def recurrent_shapes(network: ForecasterSettings, frame: int, in_steps: int) -> list[Shape]:
    """Return what decides the cost of the layers: those of the encoder, then those of the forecaster; or of the cnn.

    Args:
        network: of any hidden size.
        frame: height and width of a frame in pixels.
        in_steps: frames that are seen, which are the channels of a cnn.
    """
    if network.kind == "fully_connected":
        of_one, places = frame**2, 1
    else:
        of_one, places = network.patch**2, (frame // network.patch) ** 2
    if network.kind == "cnn":
        kernels = [*network.kernels, *reversed(network.kernels)]
        inputs = [in_steps * of_one, *([network.hidden_size] * (len(kernels) - 1))]
        return [
            Shape(size, kernel_size=kernel, places=places, plain=True)
            for size, kernel in zip(inputs, kernels, strict=True)
        ]
    return [
        shape_of(network.layer, inputs, multiple=network.multiple)._replace(
            share=network.shares[layer],
            kernel_size=network.kernels[layer],
            recurrent_kernel_size=network.recurrent_kernels[layer],
            places=places,
        )
        for inputs, layer in stacked(network.sizes, of_one)
    ]


def stacked(sizes: Sequence[int], features: int) -> list[tuple[int, int]]:
    """Return the features that each recurrent layer sees and its number in the encoder, in the order of computation.

    The forecaster has the encoder's layers from the last to the first; its first has no input (Shi et al. 2015).
    """
    count = len(sizes)
    encoder = [(size, layer) for layer, size in enumerate([features, *sizes[:-1]])]
    forecaster = [(sizes[layer + 1] if layer + 1 < count else 0, layer) for layer in reversed(range(count))]
    return [*encoder, *forecaster]


def _check_kind(network: ForecasterSettings) -> None:
    """Refuse keys that mean nothing to the kind of network, and those that it needs."""
    on_images = network.kind != "fully_connected"
    for key in ("patch_size", "kernel_size"):
        if on_images is (getattr(network, key) is None):
            told = f"give network.{key}=..., for example 3" if on_images else f"type network.{key}=null"
            what = "is needed by" if on_images else "has no effect on"
            raise CellwiseError(f"network.{key} {what} network.kind={network.kind}; {told}")
    without = {"fully_connected": ("recurrent_kernel_size",), "cnn": ("recurrent_kernel_size", "widths", "layer")}
    for key in without.get(network.kind, ()):
        if getattr(network, key) != getattr(ForecasterSettings(), key):
            shown = "" if key == "layer" else f"={list(getattr(network, key))}"
            raise CellwiseError(f"network.{key}{shown} has no effect on network.kind={network.kind}")


def _check_layer(network: ForecasterSettings) -> None:
    """Refuse what a stack puts between its layers: here each layer is a stack of its own."""
    default = LayerOptions()
    for key in ("layer_norm", "locked_dropout"):
        if getattr(network.layer, key) != getattr(default, key):
            value = typed(getattr(network.layer, key))
            raise CellwiseError(f"network.layer.{key}={value} is not for the encoder and forecaster of nowcasting")
    if network.layer.connections == "skip":
        raise CellwiseError("network.layer.connections=skip is not for nowcasting; allowed: plain, residual")


def _check_patch(network: ForecasterSettings, frame: int) -> None:
    if frame % network.patch:
        allowed = [str(size) for size in range(1, 17) if frame % size == 0]
        raise CellwiseError(
            f"network.patch_size={network.patch} does not divide frames of {frame} x {frame} pixels; "
            f"allowed: {', '.join(allowed)}"
        )


def _by_layer(given: tuple[T, ...], layers: int) -> tuple[T, ...]:
    return given * layers if len(given) == 1 else given


def for_one_layer(options: LayerOptions) -> dict[str, Any]:
    """Return the options as one layer takes them."""
    return {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
