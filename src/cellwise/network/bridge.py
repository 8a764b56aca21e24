"""From the final state of an encoder to the first state of a decoder: by name, layer by layer.

An encoder in one direction hands its state on as it is (Sutskever et al. 2014). Of a bidirectional one, a learned map
takes both directions of each layer's state to one, a map of its own for each state and layer:

    mix       s = g * forward + (1 - g) * backward, g in (0, 1) learned per unit, 1/2 at first
    linear    s = W [forward; backward] + b, the mean of both at first

`mix` never leaves the range in which the cell left its state. A cell may need that: sLSTM divides by its normaliser n,
which a linear map can make 0 or negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.errors import unknown
from cellwise.recurrent.options import free_states

BridgeName = Literal["mix", "linear"]
BRIDGES: tuple[str, ...] = get_args(BridgeName)


class Bridge(nn.Module):
    """A decoder's first state from the final state of a bidirectional encoder of the same cell and layers.

    Args:
        cell: whose states it maps.
        hidden_size: units of a layer in one direction.
        num_layers: layers.
        bridge: `mix` or `linear`.

    Raises:
        CellwiseError: unknown bridge.
    """

    def __init__(self, cell: Cell, hidden_size: int, num_layers: int, bridge: BridgeName = "mix"):
        super().__init__()
        if bridge not in BRIDGES:
            raise unknown("bridge", bridge, BRIDGES)
        kind = _Mix if bridge == "mix" else _Linear
        self.num_layers = num_layers
        self.maps = nn.ModuleDict(
            {f"{name}_{layer}": kind(hidden_size) for name in free_states(cell) for layer in range(num_layers)}
        )

    def forward(self, state: Mapping[str, Tensor]) -> State:
        """Return the state by name, (layers, batch, hidden), from (layers * 2, batch, hidden), forward first."""

        def of(name: str, layer: int) -> Tensor:
            forward, backward = state[name][2 * layer], state[name][2 * layer + 1]
            if f"{name}_{layer}" not in self.maps:  # sLSTM's c, n and m have one scale, which no map would keep
                return forward
            mapped: Tensor = self.maps[f"{name}_{layer}"](forward, backward)
            return mapped

        return {name: torch.stack([of(name, layer) for layer in range(self.num_layers)]) for name in state}


class _Mix(nn.Module):
    def __init__(self, hidden_size: int):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, forward: Tensor, backward: Tensor) -> Tensor:
        return torch.lerp(backward, forward, self.gate.sigmoid())


class _Linear(nn.Module):
    def __init__(self, hidden_size: int):
        super().__init__()
        half = torch.eye(hidden_size) / 2
        self.weight = nn.Parameter(torch.cat([half, half], dim=1))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def forward(self, forward: Tensor, backward: Tensor) -> Tensor:
        return F.linear(torch.cat([forward, backward], dim=-1), self.weight, self.bias)
