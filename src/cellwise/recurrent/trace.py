"""What a layer did, step by step: every gate and every state."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


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
