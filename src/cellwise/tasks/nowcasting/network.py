"""Encoder and forecaster of stacked recurrent layers of any cell, and the networks that it is compared with.

Source: Shi et al., NeurIPS 2015, arXiv 1506.04214, section 3.2 and figure 3: the encoder reads the frames seen; its
last states are copied to the forecaster layer by layer, which goes on without any input; a 1 x 1 convolution of all
its hidden states together is the frame. Frames are cut into patches whose pixels are channels. The forecaster has the
encoder's layers from the last to the first, as the published parameter counts tell. With `cell=peephole_lstm` it is
their ConvLSTM (peepholes of one number a channel), with `cell=gru` ConvGRU.

`FullyConnected` is their FC-LSTM: a frame is one vector, and the output is a linear map of the forecaster's lowest
layer alone. `FrameCnn` is not theirs: the frames seen are the channels of plain convolutions, whose channels at the end
are the frames forecast.

Differences: none but the weights' initial values and, in `FullyConnected`, whatever cell is chosen.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.tasks.nowcasting.network_settings import ForecasterSettings, for_one_layer, stacked

Layer = Recurrent | ConvRecurrent


class Forecaster(nn.Module):
    """From the frames seen to the frames to come: forward takes (in_steps, batch, 1, height, width) in [0, 1].

    It returns (lead, batch, 1, height, width): numbers of the same range, or their logits where the loss wants them.
    """

    @abstractmethod
    def forward(self, frames: Tensor) -> Tensor:
        """Return the frames to come."""

    def recurrent_layers(self) -> list[Layer]:
        """Return the recurrent layers: the encoder's, then the forecaster's, in the order of computation."""
        return []


class Stacks(nn.Module):
    """The encoder's and the forecaster's recurrent layers, one stack a layer, because their sizes may differ.

    Args:
        layers: the encoder's, then the forecaster's, from its last to the first.
        lead: steps to forecast.
        dropout: on what each layer but the first gets, and on what comes out.
    """

    def __init__(self, layers: list[Layer], lead: int, dropout: float):
        super().__init__()
        half = len(layers) // 2
        self.encoder, self.forecaster = nn.ModuleList(layers[:half]), nn.ModuleList(layers[half:])
        self.lead, self.dropout = lead, dropout

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of the forecaster's layers, the highest first, (lead, batch, ...) each, for x of time."""
        states: list[State] = []
        for number, layer in enumerate(self.encoder):
            x, state = layer(self._dropped(x) if number else x)
            states.append(state)
        outputs: list[Tensor] = []
        below = x.new_empty(self.lead, x.shape[1], 0, *x.shape[3:])  # the forecaster gets no input
        for layer, state in zip(self.forecaster, reversed(states), strict=True):
            output, _ = layer(self._dropped(below) if outputs else below, state)
            outputs.append(output)
            below = output
        return [self._dropped(output) for output in outputs]

    def layers(self) -> list[Layer]:
        """Return all of them, in the order of computation."""
        return [*self.encoder, *self.forecaster]

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


class EncoderForecaster(Forecaster):
    """Shi's network of any cell on images.

    Args:
        cell: the recurrent cell.
        settings: sizes, patches, kernels.
        lead: steps to forecast.
        engine: of the recurrent layers.

    Raises:
        CellwiseError: a cell that can't run on images.
    """

    def __init__(self, cell: Cell, settings: ForecasterSettings, lead: int, engine: str = "auto"):
        super().__init__()
        self.patch, channels = settings.patch, settings.patch**2
        # Before the recurrent layers: cells draw different amounts of random numbers, and the same seed must give the
        # same output layer to each of them, or a comparison compares these too.
        self.output = nn.Conv2d(sum(settings.sizes), channels, 1)
        options = for_one_layer(settings.layer)

        def layer(inputs: int, number: int) -> Layer:
            kernel, recurrent = settings.kernels[number], settings.recurrent_kernels[number]
            return ConvRecurrent(
                cell,
                inputs,
                settings.sizes[number],
                kernel,
                recurrent_kernel_size=recurrent,
                engine=engine,
                **options,
            )

        self.recurrent = Stacks(_layers(layer, settings, channels), lead, settings.dropout)
        _require_images(self.recurrent.layers()[0], type(cell).__name__)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the frames to come."""
        hidden = torch.cat(self.recurrent(F.pixel_unshuffle(frames, self.patch)), dim=2)
        lead, batch = hidden.shape[:2]
        return F.pixel_shuffle(self.output(hidden.flatten(0, 1)).unflatten(0, (lead, batch)), self.patch)

    def recurrent_layers(self) -> list[Layer]:
        """Return the recurrent layers."""
        return self.recurrent.layers()


class FullyConnected(Forecaster):
    """The same of dense layers, which see a frame as one vector.

    Args:
        cell: the recurrent cell.
        settings: sizes.
        frame: height and width in pixels.
        lead: steps to forecast.
        engine: of the recurrent layers.
    """

    def __init__(self, cell: Cell, settings: ForecasterSettings, frame: int, lead: int, engine: str = "auto"):
        super().__init__()
        self.output = nn.Linear(settings.sizes[0], frame**2)
        options = for_one_layer(settings.layer)

        def layer(inputs: int, number: int) -> Layer:
            return Recurrent(cell, inputs, settings.sizes[number], engine=engine, **options)

        self.recurrent = Stacks(_layers(layer, settings, frame**2), lead, settings.dropout)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the frames to come."""
        lowest = self.recurrent(frames.flatten(2))[-1]
        answer: Tensor = self.output(lowest).reshape(*lowest.shape[:2], *frames.shape[2:])
        return answer

    def recurrent_layers(self) -> list[Layer]:
        """Return the recurrent layers."""
        return self.recurrent.layers()


class FrameCnn(Forecaster):
    """Convolutions with rectifiers from all frames seen to all frames to come; it knows no cell.

    Args:
        settings: channels, patches, kernels; it has twice `num_layers` layers, the second half with the kernels turned.
        in_steps: frames seen.
        lead: steps to forecast.
    """

    def __init__(self, settings: ForecasterSettings, in_steps: int, lead: int):
        super().__init__()
        self.patch, self.lead, channels = settings.patch, lead, settings.patch**2
        kernels = [*settings.kernels, *reversed(settings.kernels)]
        sizes = [in_steps * channels, *([settings.hidden_size] * len(kernels))]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, kernel, padding="same")
            for before, after, kernel in zip(sizes, sizes[1:], kernels, strict=False)
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Conv2d(settings.hidden_size, lead * channels, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the frames to come."""
        x = F.pixel_unshuffle(frames, self.patch).movedim(0, 1).flatten(1, 2)  # (batch, in_steps * channels, ...)
        for layer in self.layers:
            x = self.dropout(F.relu(layer(x)))
        steps = self.output(x).unflatten(1, (self.lead, -1)).movedim(1, 0)
        return F.pixel_shuffle(steps, self.patch)


def build_network(
    cell: Cell, settings: ForecasterSettings, *, frame: int, in_steps: int, lead: int, engine: str
) -> Forecaster:
    """Return the network of a kind.

    Raises:
        CellwiseError: a cell that can't run on images, or an engine that can't run the cell.
    """
    if settings.kind == "cnn":
        return FrameCnn(settings, in_steps, lead)
    if settings.kind == "fully_connected":
        return FullyConnected(cell, settings, frame, lead, engine)
    return EncoderForecaster(cell, settings, lead, engine)


def _layers(layer: Callable[[int, int], Layer], settings: ForecasterSettings, features: int) -> list[Layer]:
    return [layer(inputs, number) for inputs, number in stacked(settings.sizes, features)]


@torch.no_grad()
def _require_images(layer: Layer, name: str) -> None:
    """Try one step on an image, so that a step from outside that is for vectors alone is told before training."""
    try:
        with torch.random.fork_rng(devices=[]):
            layer(layer.weights()[0].input_weight.new_zeros(1, 1, layer.input_size, 2, 3))
    except CellwiseError:
        raise
    except Exception as error:
        raise CellwiseError(
            f"cell {name} can't run on images: its step raises {type(error).__name__} "
            f"({' '.join(str(error).split())[:120]}); in a step units are the last axis, whatever stands before it"
        ) from error
