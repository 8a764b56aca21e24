"""How question and image become one vector: each side through a map of its own, then one operation.

With q the question's vector and v the image's:

    product          tanh(W q + b) * tanh(V v + c)
    sum              tanh(W q + b) + tanh(V v + c)
    concatenation    [tanh(W q + b); tanh(V v + c)]
    gated            g(q) * h(v), each a gated tanh: tanh(W x + b) * sigmoid(W' x + b'), with weights of its own

Sources: `product` is Antol et al., ICCV 2015, arXiv 1505.00468, section 4.2 (1024 features there), and `concatenation`
what they compare it with; `gated` is Teney et al., CVPR 2018, arXiv 1708.02711, section 3 (their non-linear layers, and
the product that fuses them).

Differences: where one side alone is seen, its map is the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cellwise.tasks.vqa.network_settings import JoinName


class Tanh(nn.Module):
    """tanh(W x + b).

    Args:
        features: of x.
        size: features that come out.
    """

    def __init__(self, features: int, size: int):
        super().__init__()
        self.value = nn.Linear(features, size)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., features) to (..., size)."""
        return torch.tanh(self.value(x))


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


def _concatenated(one: Tensor, other: Tensor) -> Tensor:
    return torch.cat([one, other], dim=-1)


@dataclass(frozen=True)
class Way:
    """A way to join.

    Attributes:
        side: the map of each side.
        both: what is done with what the maps give.
    """

    side: Callable[[int, int], nn.Module]
    both: Callable[[Tensor, Tensor], Tensor]


JOINS: Mapping[JoinName, Way] = {
    "product": Way(Tanh, torch.mul),
    "concatenation": Way(Tanh, _concatenated),
    "sum": Way(Tanh, torch.add),
    "gated": Way(GatedTanh, torch.mul),
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
        self.sides = nn.ModuleDict({side: way.side(number, size) for side, number in features.items()})
        self.dropout, self._both = nn.Dropout(dropout), way.both

    def forward(self, vectors: Mapping[str, Tensor]) -> Tensor:
        """Return (batch, `joined_size`) of the vectors (batch, features) by side."""
        first, *second = [side(self.dropout(vectors[name])) for name, side in self.sides.items()]
        return self._both(first, *second) if second else first
