"""Every registered cell on every engine that takes it: a training step (forward and all gradients) of one layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cellwise.bench.timing import medians_in_turn
from cellwise.cells.registry import cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines import ENGINES
from cellwise.recurrent.layer import Recurrent

SHAPES = {"A": (20, 35, 200), "E": (128, 50, 32)}  # batch, steps, hidden


def lines(rounds: int = 9) -> list[str]:
    """Return, by shape, milliseconds and the ratio to torch.nn.LSTM in the same run."""
    torch.set_num_threads(1)
    found = []
    for shape, (batch, steps, hidden) in SHAPES.items():
        x = torch.randn(steps, batch, hidden)
        calls = {"torch.nn.LSTM": _step(torch.nn.LSTM(hidden, hidden), x)}
        for cell in cell_names():
            for engine in ENGINES:
                try:
                    calls[f"{cell} {engine}"] = _step(Recurrent(cell, hidden, hidden, engine=engine), x)
                except CellwiseError:
                    continue  # this engine does not take this cell
        medians = medians_in_turn(calls, rounds, warm_up=2)
        found.append(f"shape {shape}: batch {batch}, {steps} steps, hidden {hidden}; one thread, float32")
        base = medians["torch.nn.LSTM"]
        found += [f"  {name:38} {1e3 * s:7.1f} ms  {s / base:5.2f}x" for name, s in medians.items()]
    return found


def _step(layer: torch.nn.Module, x: torch.Tensor) -> Callable[[], Any]:
    def run() -> None:
        layer.zero_grad()
        layer(x)[0].sum().backward()

    return run
