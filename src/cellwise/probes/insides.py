"""What every layer and direction of a network did on one batch, while the network ran as it always does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cellwise.cells.contract import Cell
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.recurrent.trace import Watcher

Layers = Sequence[Recurrent | ConvRecurrent]


@dataclass(frozen=True)
class Place:
    """A layer and direction among those of a network.

    Attributes:
        name: what a view's name ends in; empty for the first, so that networks of any depth share the views of it.
        words: what a view's title ends in; empty where there is no other.
    """

    name: str
    words: str


@dataclass(frozen=True)
class Insides:
    """What one layer and direction did; steps are in its own order of time, those of later calls after the first's.

    Attributes:
        key: `<recurrent layer>.<place>`, both counted from 0.
        cell: its cell.
        turned: whether time ran backwards.
        gates: by name, one (batch, ..., hidden) a step.
        states: by name, likewise, after each step; tensors of the recurrence itself, see `Watcher`.
        valid: (time, batch) bool, False past a row's length.
    """

    key: str
    cell: Cell
    turned: bool
    gates: Mapping[str, list[Tensor]]
    states: Mapping[str, list[Tensor]]
    valid: Tensor

    def by_unit(self, store: Mapping[str, list[Tensor]], name: str, *, first: int = 0) -> Tensor:
        """Return the values at valid steps, (values, hidden): every row, and on images every pixel, is one more.

        Args:
            store: gates or states.
            name: in it.
            first: step to begin with.
        """
        steps = torch.stack(store[name][first:])
        return steps.flatten(0, 1)[self.valid[first:].flatten()].reshape(-1, steps.shape[-1])


def places(layers: Layers) -> dict[str, Place]:
    """Return the layers and directions of a network, by the key of their insides."""
    keys = [(n, p) for n, layer in enumerate(layers) for p in range(layer.num_layers * layer.directions)]
    found = {}
    for number, place in keys:
        depth, backward = divmod(place, layers[number].directions)
        part = [] if len(layers) == 1 else [f"part {number + 1}"]
        words = " ".join([*part, f"layer {depth + 1}", *(["backward"] if backward else [])])
        is_first = (number, place) == (0, 0)
        found[f"{number}.{place}"] = Place(
            "" if is_first else f"_{words.replace(' ', '_')}", "" if len(keys) == 1 else f", {words}"
        )
    return found


def look(layers: Layers, run: Callable[[], Tensor]) -> tuple[Tensor, list[Insides]]:
    """Return what a function returns, and what the layers did meanwhile; those that were not called are left out.

    Args:
        layers: of a network.
        run: runs the network.
    """
    with ExitStack() as stack:
        seen = [stack.enter_context(layer.watched()) for layer in layers]
        value = run()
    found = []
    for number, watchers in enumerate(seen):
        for place in sorted({watcher.place for watcher in watchers}):
            calls = [watcher for watcher in watchers if watcher.place == place]
            found.append(_joined(f"{number}.{place}", layers[number].cell, calls))
    return value, found


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """Let a network run as in evaluation and draw what it likes; afterwards nothing is changed."""
    modes = [(module, module.training) for module in network.modules()]
    devices = {p.device for p in network.parameters() if p.device.type == "cuda"}
    network.eval()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, training in modes:
            module.training = training


def _joined(key: str, cell: Cell, calls: list[Watcher]) -> Insides:
    first = calls[0]
    return Insides(
        key,
        cell,
        first.turned,
        {name: [step for call in calls for step in call.gates[name]] for name in first.gates},
        {name: [step for call in calls for step in call.states[name]] for name in first.states},
        torch.cat([_valid(call) for call in calls]),
    )


def _valid(call: Watcher) -> Tensor:
    if call.lengths is not None:
        return call.lengths.valid
    steps = next(iter(call.states.values()))
    return torch.ones(len(steps), len(steps[0]), dtype=torch.bool, device=steps[0].device)
