"""How question and image become one vector: each side through a map of its own, then one operation.

With q the question's vector and v the image's, or a region's:

    product          tanh(W q + b) * tanh(V v + c)
    sum              tanh(W q + b) + tanh(V v + c)
    concatenation    [tanh(W q + b); tanh(V v + c)]
    gated            g(q) * h(v), each a gated tanh: tanh(W x + b) * sigmoid(W' x + b'), with weights of its own
    film             relu((1 + W q + b) * (V v + c) + W' q + b')

Sources: `product` is Antol et al., ICCV 2015, arXiv 1505.00468, section 4.2 (1024 features there), and `concatenation`
what they compare it with; `gated` is Teney et al., CVPR 2018, arXiv 1708.02711, section 3 (their non-linear layers, and
the product that fuses them); `film` is Perez et al., AAAI 2018, arXiv 1709.07871, equation (2) (the scale is
1 + ..., so that it starts near 1), with the rectifier that follows it in their blocks.

Differences: where one side alone is seen, tanh(W x + b) is the whole of it; of `gated` the gated tanh, of `film` the
rectifier of a linear map. `film` is one map here, where theirs are four blocks of convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from cellwise.tasks.vqa.network_settings import JoinName


class Activated(nn.Module):
    """phi(W x + b).

    Args:
        phi: tanh, or the rectifier.
        features: of x.
        size: features that come out.
    """

    def __init__(self, phi: Callable[[Tensor], Tensor], features: int, size: int):
        super().__init__()
        self.phi, self.value = phi, nn.Linear(features, size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., features) to (..., size)."""
        return self.phi(self.value(x))


class GatedTanh(nn.Module):
    """tanh(W x + b) * sigmoid(W' x + b').

    Args:
        features: of x.
        size: features that come out.
    """

    def __init__(self, features: int, size: int):
        super().__init__()
        self.value, self.gate = nn.Linear(features, size), nn.Linear(features, size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., features) to (..., size)."""
        return torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x))


_tanh, _rectified = partial(Activated, torch.tanh), partial(Activated, torch.relu)


def _scale_and_shift(features: int, size: int) -> nn.Module:
    return nn.Linear(features, 2 * size)


def _concatenated(question: Tensor, image: Tensor) -> Tensor:
    return torch.cat([question.expand(*image.shape[:-1], -1), image], dim=-1)


def _modulated(question: Tensor, image: Tensor) -> Tensor:
    scale, shift = question.chunk(2, dim=-1)
    return torch.relu((1 + scale) * image + shift)


@dataclass(frozen=True)
class Way:
    """A way to join.

    Attributes:
        question: makes the question's map, of features and size.
        image: makes the image's.
        both: what is done with what the two give.
        alone: makes the map of a side that is seen alone.
    """

    question: Callable[[int, int], nn.Module]
    image: Callable[[int, int], nn.Module]
    both: Callable[[Tensor, Tensor], Tensor]
    alone: Callable[[int, int], nn.Module]


JOINS: Mapping[JoinName, Way] = {
    "product": Way(_tanh, _tanh, torch.mul, _tanh),
    "concatenation": Way(_tanh, _tanh, _concatenated, _tanh),
    "sum": Way(_tanh, _tanh, torch.add, _tanh),
    "gated": Way(GatedTanh, GatedTanh, torch.mul, GatedTanh),
    "film": Way(_scale_and_shift, nn.Linear, _modulated, _rectified),
}
"""By the name that `network.join` gives; a new one is an entry here and a name there."""


def joined_size(name: JoinName, size: int, sides: int) -> int:
    """Return the features of what a way gives for sides of a size."""
    return sides * size if name == "concatenation" else size


class Join(nn.Module):
    """One vector of a question's and an image's, or of one of them.

    Args:
        name: of the way.
        features: of each side that is seen, by name: `question`, `image`.
        size: features that each side is mapped to.
        dropout: on what each map gets.
    """

    def __init__(self, name: JoinName, features: Mapping[str, int], size: int, dropout: float = 0.0):
        super().__init__()
        way = JOINS[name]
        makes = (
            {"question": way.question, "image": way.image} if len(features) > 1 else dict.fromkeys(features, way.alone)
        )
        self.sides = nn.ModuleDict({side: makes[side](number, size) for side, number in features.items()})
        self.dropout, self._both = nn.Dropout(dropout), way.both

    def forward(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Return (batch, `joined_size`) of the vectors (batch, features) by side.

        An image may be its regions, (regions, batch, features); then each is joined, (regions, batch, `joined_size`).
        """
        mapped: dict[str, Tensor] = {name: side(self.dropout(vectors[name])) for name, side in self.sides.items()}
        if len(mapped) == 1:
            return next(iter(mapped.values()))
        joined: Tensor = self._both(mapped["question"], mapped["image"])
        return joined
