"""The settings of a sequence model, checked without importing torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cellwise.errors import CellwiseError
from cellwise.recurrent.options import LayerOptions
from cellwise.settings import bounded, parse

ReadoutName = Literal["last", "mean", "max", "attention"]


@dataclass(frozen=True)
class SequenceSettings:
    """The network's keys; see conf/network/sequence.yaml.

    Attributes:
        input_noise: standard deviation of the normal noise that training adds to the input (Greff et al. 2017).
        hidden_size: units of a recurrent layer in one direction.
        num_layers: recurrent layers.
        dropout: between recurrent layers, inside the Transformer encoder and before the head; never on the recurrent
            path nor on the input.
        bidirectional: run each recurrent layer in both directions.
        readout: one vector for a row; unused where the answer is per step.
        head_hidden_size: units of a hidden layer of the head; None for a linear head.
        transformer_layers: layers of a Transformer encoder over the recurrent states; 0 for none.
        transformer_heads: its heads; they must divide its width, hidden_size * directions.
        front_channels: channels of a temporal convolution before the recurrent layer; None for none.
        front_kernel_size: steps that it sees.
        layer: what the recurrent layer does beyond running its cell.
    """

    input_noise: float = bounded(0.0, minimum=0)
    hidden_size: int = bounded(128, minimum=1)
    num_layers: int = bounded(1, minimum=1)
    dropout: float = bounded(0.0, minimum=0, below=1)
    bidirectional: bool = False
    readout: ReadoutName = "last"
    head_hidden_size: int | None = bounded(None, minimum=1)
    transformer_layers: int = bounded(0, minimum=0)
    transformer_heads: int = bounded(4, minimum=1)
    front_channels: int | None = bounded(None, minimum=1)
    front_kernel_size: int = bounded(3, minimum=1)
    layer: LayerOptions = field(default_factory=LayerOptions)

    @property
    def directions(self) -> int:
        """How many times a recurrent layer runs over the steps."""
        return 2 if self.bidirectional else 1

    @property
    def multiple(self) -> int:
        """What the hidden size must be a multiple of, so that the Transformer encoder's heads divide its width."""
        if not self.transformer_layers:
            return 1
        return self.transformer_heads // math.gcd(self.transformer_heads, self.directions)


def read_network(values: Mapping[str, Any]) -> SequenceSettings:
    """Return the checked settings that the group `network` holds.

    Raises:
        CellwiseError: an unknown key, a value that is not allowed, heads that do not divide the states.
    """
    network = parse(SequenceSettings, values, "network")
    size, unit = network.hidden_size, network.multiple
    if size % unit:
        width = size * network.directions
        heads = [number for number in range(1, 17) if width % number == 0]
        near = [each for each in (size // unit * unit, -(-size // unit) * unit) if each]
        raise CellwiseError(
            f"network.transformer_heads={network.transformer_heads} does not divide the {width} units of the recurrent "
            f"layer (network.hidden_size={size}{', both directions' if network.bidirectional else ''}); "
            f"give network.hidden_size={' or '.join(map(str, near))}, "
            f"or network.transformer_heads={' or '.join(map(str, heads))}"
        )
    return network
