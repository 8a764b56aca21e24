"""The settings of the joint embedding, checked without importing torch; see conf/network/joint_embedding.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cellwise.budget import Shape, shape_of
from cellwise.errors import CellwiseError
from cellwise.recurrent.options import LayerOptions
from cellwise.settings import bounded, parse

Sees = Literal["both", "question", "image"]
QuestionSummary = Literal["last", "states", "mean", "max", "attention"]
ImageSummary = Literal["joined", "attention", "mean", "flat"]
JoinName = Literal["product", "concatenation", "sum", "gated", "film"]


@dataclass(frozen=True)
class JointSettings:
    """The network's keys. What a network that sees one side alone does not have, its keys say nothing about.

    Attributes:
        sees: `both`; or one side alone, which shows how much of an answer the other side is needed for.
        embedding_size: features of a word.
        embedding_tanh: whether words go through tanh before the cell reads them, as in Antol et al. 2015.
        hidden_size: units of a recurrent layer in one direction.
        num_layers: recurrent layers.
        bidirectional: run each recurrent layer in both directions.
        question_summary: one vector for a question: the output at its last word; `states`, all states of all layers
            there (Antol et al. 2015: c and h); the mean, the maximum, or attention over the outputs of all words.
        dropout: on words, between recurrent layers, before the join and before the head; never on the recurrent path.
        image_channels: of the convolutions over pixels, each of which halves height and width.
        image_groups: of each convolution's group normalisation; None: it has none.
        image_coordinates: whether pixels say where they are, in two more channels.
        image_unit_length: whether the features of each region are scaled to length 1 (Antol et al. 2015: norm I).
        image_summary: one vector for an image: `attention` over its regions, guided by the question; their mean; or
            `flat`, all of them one after the other. With `joined` there is none: the question is joined with each
            region, and the greatest value over regions is kept of each feature.
        join: how question and image become one vector.
        joint_size: features that each side is mapped to.
        head_hidden_size: units of a hidden layer of the head; None for a linear head.
        layer: what the recurrent layer does beyond running its cell.
    """

    sees: Sees = "both"
    embedding_size: int = bounded(32, minimum=1)
    embedding_tanh: bool = False
    hidden_size: int = bounded(64, minimum=1)
    num_layers: int = bounded(1, minimum=1)
    bidirectional: bool = False
    question_summary: QuestionSummary = "last"
    dropout: float = bounded(0.0, minimum=0, below=1)
    image_channels: tuple[int, ...] = bounded((24, 32, 64), minimum=1)
    image_groups: int | None = bounded(None, minimum=1)
    image_coordinates: bool = True
    image_unit_length: bool = False
    image_summary: ImageSummary = "joined"
    join: JoinName = "film"
    joint_size: int = bounded(128, minimum=1)
    head_hidden_size: int | None = bounded(None, minimum=1)
    layer: LayerOptions = field(default_factory=LayerOptions)

    @property
    def directions(self) -> int:
        """How many times a recurrent layer runs over the words."""
        return 2 if self.bidirectional else 1


def read_network(values: Mapping[str, Any]) -> JointSettings:
    """Return the checked settings that the group `network` holds.

    Raises:
        CellwiseError: an unknown key, a value that is not allowed, groups that do not divide the channels.
    """
    network = parse(JointSettings, values, "network")
    groups = network.image_groups
    if groups is not None and any(channels % groups for channels in network.image_channels):
        allowed = [n for n in range(1, 65) if not any(channels % n for channels in network.image_channels)]
        raise CellwiseError(
            f"network.image_groups={groups} does not divide network.image_channels={list(network.image_channels)}; "
            f"allowed: {', '.join(map(str, allowed))}, or null for no normalisation"
        )
    return network


def recurrent_shapes(network: JointSettings) -> list[Shape]:
    """Return what decides the cost of the recurrent layers; nothing where the image alone is seen."""
    if network.sees == "image":
        return []
    return [shape_of(network.layer, network.embedding_size, network.num_layers, network.directions)]
