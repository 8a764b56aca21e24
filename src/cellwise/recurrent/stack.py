"""What dense and convolutional layers share: stacking, directions, state, lengths and trace, units on the last axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State, check_declaration
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines import ENGINES, reference, resolve
from cellwise.recurrent.guard import Lengths, blank, check_lengths, reverse
from cellwise.recurrent.maps import LinearMap
from cellwise.recurrent.trace import Trace, Watcher
from cellwise.recurrent.weights import GateWeights, Weights

_RunOne = Callable[[int, Tensor, State, Lengths | None], tuple[Tensor, State]]


class Stack(nn.Module):
    """Layers and directions of one cell; `Recurrent` and `ConvRecurrent` give it its maps and the layout outside."""

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        input_map: LinearMap,
        recurrent_map: LinearMap,
        *,
        bidirectional: bool,
        bias: bool,
        dropout: float,
        engine: str,
        cell_options: Mapping[str, Any],
    ):
        super().__init__()
        for name, size in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("num_layers", num_layers),
        ):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise CellwiseError(f"{name}={size!r} must be a whole number, 1 or more")
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise CellwiseError(f"dropout={dropout!r} must be at least 0 and less than 1")
        if not isinstance(cell, str | Cell):
            raise CellwiseError(f"cell={cell!r} must be a registered name or a cell, for example 'lstm' or MyCell()")
        if isinstance(cell, Cell):
            if cell_options:
                raise CellwiseError(f"options {sorted(cell_options)} are given to a cell that is built already")
            check_declaration(cell, type(cell).__name__)
        self.cell_name = cell if isinstance(cell, str) else type(cell).__name__
        self.cell = build_cell(cell, cell_options) if isinstance(cell, str) else cell
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        self.dropout = dropout
        self.engine = resolve(engine, self.cell, recurrent_map)
        self.spatial_axes = recurrent_map.spatial_axes
        self.layers = nn.ModuleList(
            Weights(
                self.cell,
                input_size if layer == 0 else hidden_size * self.directions,
                hidden_size,
                input_map,
                recurrent_map,
                bias=bias,
            )
            for layer in range(num_layers)
            for _ in range(self.directions)
        )

    def gate_weights(self, layer: int = 0, reverse: bool = False) -> dict[str, GateWeights]:
        """Return one layer's weights by gate, as views: writing into them changes the layer.

        Args:
            layer: 0 is the first.
            reverse: the backward direction of a bidirectional layer.
        """
        return self._weights(layer, reverse).gates()

    def extra_weights(self, layer: int = 0, reverse: bool = False) -> dict[str, Tensor]:
        """Return one layer's per-unit parameters by name, (hidden,) each: peepholes, gains."""
        return dict(self._weights(layer, reverse).extra.items())

    def extra_repr(self) -> str:
        """Say the cell, sizes and engine in `print(layer)`."""
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        return f"{self.cell_name!r}, {sizes}, engine={self.engine!r}"

    def weights(self) -> list[Weights]:
        """Return the parameters of every layer and direction, in the order of the state's first axis."""
        return [self._at(place) for place in range(len(self.layers))]

    def _weights(self, layer: int, reverse: bool) -> Weights:
        if not 0 <= layer < self.num_layers or (reverse and self.directions == 1):
            direction = "reverse " if reverse else ""
            raise CellwiseError(
                f"no {direction}layer {layer}; this has {self.num_layers} layer(s) and {self.directions} direction(s)"
            )
        return self._at(layer * self.directions + reverse)

    def _at(self, place: int) -> Weights:
        weights = self.layers[place]
        assert isinstance(weights, Weights)
        return weights

    def _run(self, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Any) -> tuple[Tensor, State]:
        def one(place: int, source: Tensor, start: State, guard: Lengths | None) -> tuple[Tensor, State]:
            if source.shape[0] == 0:
                return source.new_zeros(*source.shape[:-1], self.hidden_size), start
            return ENGINES[self.engine](self._at(place), source, start, guard)

        return self._through(x, state, lengths, one)

    def _trace(self, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Any) -> Trace:
        if x.shape[0] == 0:
            raise ValueError("a trace needs at least one step of time")
        seen: list[Watcher] = []

        def one(place: int, source: Tensor, start: State, guard: Lengths | None) -> tuple[Tensor, State]:
            watcher = Watcher()
            seen.append(watcher)
            if self._backward(place):
                watcher.turn(guard)
            return reference.run(self._at(place), source, start, guard, watcher)

        output, last = self._through(x, state, lengths, one)
        gates = {name: torch.stack([s.over_time(s.gates, name) for s in seen]) for name in seen[0].gates}
        states = {name: torch.stack([s.over_time(s.states, name) for s in seen]) for name in seen[0].states}
        return Trace(gates, states, output, last)

    def _through(
        self, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Any, one: _RunOne
    ) -> tuple[Tensor, State]:
        """Walk over layers and directions; `one` runs each, on its input in its own order of time."""
        start = self._start(x, state)
        x, guard = self._guarded(x, lengths)
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self.directions):
                place = layer * self.directions + direction
                backward = self._backward(place)
                output, new = one(place, reverse(x, guard) if backward else x, start[place], guard)
                outputs.append(reverse(output, guard) if backward else output)
                last.append(new)
            x = self._joined(outputs, layer)
        return x, self._stacked(last)

    def _backward(self, place: int) -> bool:
        return place % self.directions == 1

    def _joined(self, outputs: list[Tensor], layer: int) -> Tensor:
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        if self.dropout and layer < self.num_layers - 1:
            x = F.dropout(x, self.dropout, self.training)
        return x

    def _stacked(self, states: list[State]) -> State:
        return {name: torch.stack([s[name] for s in states]) for name in self.cell.states}

    def _guarded(self, x: Tensor, lengths: Any) -> tuple[Tensor, Lengths | None]:
        """The input with zeros in the padding, because NaN there times a zero gradient is NaN; and the lengths."""
        guard = check_lengths(lengths, x.shape[0], x.shape[1], x.device)
        return (x if guard is None else blank(x, guard.valid)), guard

    def _start(self, x: Tensor, state: Mapping[str, Tensor] | None) -> list[State]:
        """The state each layer and direction starts from, checked."""
        if x.shape[-1] != self.input_size:
            raise ValueError(f"input has {x.shape[-1]} features; this layer takes {self.input_size}")
        places = self.num_layers * self.directions
        shape = (places, x.shape[1], *x.shape[2:-1], self.hidden_size)
        if state is None:
            state = {n: x.new_full(shape, self.cell.initial.get(n, 0.0)) for n in self.cell.states}
        if set(state) != set(self.cell.states):
            raise ValueError(f"state has {sorted(state)}; {self.cell_name} carries {sorted(self.cell.states)}")
        for name, value in state.items():
            if tuple(value.shape) != shape:
                raise ValueError(f"state[{name!r}] has shape {tuple(value.shape)}; expected {shape}")
        parts = {name: value.unbind(0) for name, value in state.items()}
        return [{name: parts[name][place] for name in self.cell.states} for place in range(places)]
