"""The settings of a sequence model, checked without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cellwise.recurrent.options import LayerOptions
from cellwise.settings import bounded

ReadoutName = Literal["last", "mean", "max", "attention"]


@dataclass(frozen=True)
class SequenceSettings:
    """The network's keys; see conf/network/sequence.yaml.

    Attributes:
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
