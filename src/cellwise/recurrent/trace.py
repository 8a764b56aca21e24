"""What a layer did, step by step: every gate and every state."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cellwise.cells.contract import Gates, State
from cellwise.recurrent.guard import Lengths, reverse


class Trace(NamedTuple):
    """A layer's run with its insides; on images the last axis is followed by height and width.

    Attributes:
        gates: by name, (layers * directions, time, batch, hidden); zero after a row's length. A cell may return more
            names than it has gates (`coupled_lstm` returns `forget`).
        states: by name, after each step, same shape; held after a row's length.
        output: as `layer(x)` returns it.
        state: as `layer(x)` returns it.
    """

    gates: dict[str, Tensor]
    states: dict[str, Tensor]
    output: Tensor
    state: dict[str, Tensor]


class Watcher:
    """What one layer and direction did, collected step by step."""

    def __init__(self) -> None:
        self.gates: dict[str, list[Tensor]] = {}
        self.states: dict[str, list[Tensor]] = {}
        self._lengths: Lengths | None = None
        self._turned = False

    def __call__(self, gates: Gates, state: State) -> None:
        """Keep one step's gates and state."""
        for store, values in ((self.gates, gates), (self.states, state)):
            for name, value in values.items():
                store.setdefault(name, []).append(value)

    def turn(self, lengths: Lengths | None) -> None:
        """Say that time ran backwards, so that `over_time` gives the order of the input."""
        self._turned, self._lengths = True, lengths

    def over_time(self, store: dict[str, list[Tensor]], name: str) -> Tensor:
        """Return (time, batch, ..., hidden) in the order of the input."""
        values = torch.stack(store[name])
        return reverse(values, self._lengths) if self._turned else values
