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
    """What one layer and direction did in one call, collected step by step in its own order of time.

    Args:
        place: of the layer and direction, as the state stacks them.
        turned: whether time ran backwards.
        lengths: of the rows; None where all are full.

    Attributes:
        gates: by name, one (batch, ..., hidden) a step; zero after a row's length.
        states: by name, likewise, after each step. They are tensors of the recurrence itself, each state apart from
            the others: the gradient with respect to one is what follows from a change of it alone, whatever the step
            computed from what, so that all gradients of a step are its Jacobian's transpose times those of the next.
    """

    def __init__(self, place: int, *, turned: bool, lengths: Lengths | None) -> None:
        self.place, self.turned, self.lengths = place, turned, lengths
        self.gates: dict[str, list[Tensor]] = {}
        self.states: dict[str, list[Tensor]] = {}

    def __call__(self, gates: Gates, state: State) -> State:
        """Keep one step's gates and state; returns the state to go on with."""
        apart = {name: value.view_as(value) for name, value in state.items()}
        for store, values in ((self.gates, gates), (self.states, apart)):
            for name, value in values.items():
                store.setdefault(name, []).append(value)
        return apart

    def over_time(self, store: dict[str, list[Tensor]], name: str) -> Tensor:
        """Return (time, batch, ..., hidden) in the order of the input."""
        values = torch.stack(store[name])
        return reverse(values, self.lengths) if self.turned else values
