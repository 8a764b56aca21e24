"""What dense and convolutional layers share: stacking, directions, state, lengths, resets; units on the last axis."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.cells.contract import Cell, State
from cellwise.cells.declaration import check_declaration
from cellwise.cells.registry import build_cell, cell_info
from cellwise.errors import CellwiseError, unknown
from cellwise.recurrent import engines, opaque
from cellwise.recurrent.checks import check_sizes
from cellwise.recurrent.conditions import Conditions, check_resets, draw_conditions, turned_resets
from cellwise.recurrent.engines import reference
from cellwise.recurrent.guard import Lengths, blank, check_lengths, reverse
from cellwise.recurrent.maps import LinearMap
from cellwise.recurrent.options import LayerOptions, check_options
from cellwise.recurrent.trace import Trace, Watcher
from cellwise.recurrent.weights import GateWeights, Weights

_RunOne = Callable[[int, Tensor, State, Conditions], tuple[Tensor, State]]


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
        engine: str,
        options: LayerOptions,
        cell_options: Mapping[str, Any],
    ):
        super().__init__()
        check_sizes(least=0, input_size=input_size)
        check_sizes(hidden_size=hidden_size, num_layers=num_layers)
        self.cell_name, self.cell = _built(cell, cell_options)
        check_options(options, self.cell, self.cell_name, num_layers)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        self.options = options
        self.engine = engines.resolve(engine, self.cell, recurrent_map, options)
        self.spatial_axes = recurrent_map.spatial_axes
        self.layers = nn.ModuleList(
            Weights(self.cell, self._input_width(layer), hidden_size, input_map, recurrent_map, options)
            for layer in range(num_layers)
            for _ in range(self.directions)
        )
        if options.layer_norm:
            self.norms = nn.ModuleList(nn.LayerNorm(self._width) for _ in range(num_layers - 1))
        self._watchers: list[Watcher] | None = None
        self.key = opaque.register(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copied or unpickled layer, which is one of its own to a compiler."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.key = opaque.register(self)

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

    def initial_state(self, batch: int, *image: int) -> State:
        """Return the state that a call without one starts from: the cell's own, or the learned one.

        Args:
            batch: rows.
            image: height and width, of a layer on images.

        Returns:
            By name, (layers * directions, batch, hidden); on images (..., height, width).
        """
        stacked = self._stacked(self._fresh((batch, *image, self.hidden_size)))
        return {name: value.movedim(-1, 2) for name, value in stacked.items()} if image else stacked

    def extra_repr(self) -> str:
        """Say the cell, sizes and engine in `print(layer)`."""
        sizes = f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"
        return f"{self.cell_name!r}, {sizes}, engine={self.engine!r}"

    def weights(self) -> list[Weights]:
        """Return the weights of every layer and direction, in the order of the state: layer by layer, forward first."""
        return [self._at(place) for place in range(len(self.layers))]

    @property
    def _width(self) -> int:
        return self.hidden_size * self.directions

    def _input_width(self, layer: int) -> int:
        if layer == 0:
            return self.input_size
        return self._width + (self.input_size if self.options.connections == "skip" else 0)

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

    @contextmanager
    def watched(self) -> Iterator[list[Watcher]]:
        """Let every call run on the reference engine and leave its insides: one watcher a layer and direction of each.

        So whatever network the layer is part of can be looked into while it runs as it always does.
        """
        before, self._watchers = self._watchers, []
        try:
            yield self._watchers
        finally:
            self._watchers = before

    def _run(
        self, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Any, resets: Tensor | None
    ) -> tuple[Tensor, State]:
        def one(place: int, source: Tensor, start: State, conditions: Conditions) -> tuple[Tensor, State]:
            if source.shape[0] == 0:
                return source.new_zeros(*source.shape[:-1], self.hidden_size), start
            if self._watchers is not None:
                watcher = Watcher(place, turned=self._backward(place), lengths=conditions.lengths)
                self._watchers.append(watcher)
                return reference.run(self._at(place), source, start, conditions, watcher)
            return engines.run(self.engine, self._at(place), source, start, conditions)

        return self.through(x, state, lengths, resets, one)

    def _trace(self, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Any, resets: Tensor | None) -> Trace:
        if x.shape[0] == 0:
            raise ValueError("a trace needs at least one step of time")
        with self.watched() as seen:
            output, last = self._run(x, state, lengths, resets)
        gates = {name: torch.stack([s.over_time(s.gates, name) for s in seen]) for name in seen[0].gates}
        states = {name: torch.stack([s.over_time(s.states, name) for s in seen]) for name in seen[0].states}
        return Trace(gates, states, output, last)

    def through(
        self, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Any, resets: Tensor | None, one: _RunOne
    ) -> tuple[Tensor, State]:
        """Walk over layers and directions; `one` runs each, on its input in its own order of time."""
        self._check_features(x)
        fresh: list[State] = [{}] * len(self.layers)
        if state is None or resets is not None:
            fresh = self._fresh((x.shape[1], *x.shape[2:-1], self.hidden_size), like=x)
        start = fresh if state is None else self._given(x, state)
        x, guard = self._guarded(x, lengths)
        anew = check_resets(resets, x.shape[0], x.shape[1], x.device)
        if anew is not None and guard is not None:
            anew = anew & guard.valid
        first, last = x, list[State]()
        for layer in range(self.num_layers):
            source = torch.cat([x, first], dim=-1) if layer and self.options.connections == "skip" else x
            outputs = []
            for place in range(layer * self.directions, (layer + 1) * self.directions):
                around = _Around(self._backward(place), guard, anew)
                order = around.turn(source)
                conditions = draw_conditions(
                    self._at(place),
                    self.options,
                    order,
                    training=self.training,
                    lengths=guard,
                    resets=around.resets(),
                    fresh=fresh[place],
                )
                output, new = one(place, order, start[place], conditions)
                outputs.append(around.turn(output))
                last.append(new)
            x = self._joined(outputs, source, layer, guard)
        return x, self._stacked(last)

    def _backward(self, place: int) -> bool:
        return place % self.directions == 1

    def _joined(self, outputs: list[Tensor], source: Tensor, layer: int, guard: Lengths | None) -> Tensor:
        """Both directions side by side, with what stands between this layer and the next."""
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        if self.options.connections == "residual" and source.shape[-1] == x.shape[-1]:
            x = x + source
        if layer == self.num_layers - 1:
            return x
        if self.options.layer_norm:
            x = self.norms[layer](x)
            x = x if guard is None else blank(x, guard.valid)  # a norm's shift is no output
        return self._dropped(x)

    def _dropped(self, x: Tensor) -> Tensor:
        if self.options.dropout:
            return F.dropout(x, self.options.dropout, self.training)
        if self.options.locked_dropout and self.training:
            spots = (1, x.shape[1], *[1] * (x.dim() - 3), x.shape[-1])
            return x * F.dropout(x.new_ones(spots), self.options.locked_dropout)
        return x

    def _stacked(self, states: list[State]) -> State:
        return {name: torch.stack([s[name] for s in states]) for name in self.cell.states}

    def _guarded(self, x: Tensor, lengths: Any) -> tuple[Tensor, Lengths | None]:
        """The input with zeros in the padding, because NaN there times a zero gradient is NaN; and the lengths."""
        guard = check_lengths(lengths, x.shape[0], x.shape[1], x.device)
        return (x if guard is None else blank(x, guard.valid)), guard

    def _check_features(self, x: Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise ValueError(f"input has {x.shape[-1]} features; this layer takes {self.input_size}")

    def _fresh(self, shape: tuple[int, ...], like: Tensor | None = None) -> list[State]:
        """The initial state of each layer and direction, units last."""
        like = self._at(0).input_weight if like is None else like
        initial = {name: like.new_full(shape, self.cell.initial.get(name, 0.0)) for name in self.cell.states}
        return [
            initial | {name: value.expand(shape) for name, value in weights.initial.items()}
            for weights in self.weights()
        ]

    def _given(self, x: Tensor, state: Mapping[str, Tensor]) -> list[State]:
        """The state each layer and direction starts from, checked."""
        places = self.num_layers * self.directions
        shape = (places, x.shape[1], *x.shape[2:-1], self.hidden_size)
        names = ", ".join(self.cell.states)
        if not isinstance(state, Mapping):
            raise ValueError(f"state must be a dictionary by name ({names}), not {type(state).__name__}")
        if set(state) != set(self.cell.states):
            raise ValueError(f"state has {sorted(state)}; {self.cell_name} carries {names}")
        for name, value in state.items():
            if tuple(value.shape) != shape:
                raise ValueError(f"state[{name!r}] has shape {tuple(value.shape)}; expected {shape}")
        parts = {name: value.to(x.dtype).unbind(0) for name, value in state.items()}
        return [{name: parts[name][place] for name in self.cell.states} for place in range(places)]


class _Around(NamedTuple):
    """One direction's order of time, between the lengths and resets of the input."""

    backward: bool
    guard: Lengths | None
    anew: Tensor | None

    def turn(self, v: Tensor) -> Tensor:
        return reverse(v, self.guard) if self.backward else v

    def resets(self) -> Tensor | None:
        if self.anew is None or not self.backward:
            return self.anew
        return self.turn(turned_resets(self.anew))


def _built(cell: str | Cell, cell_options: Mapping[str, Any]) -> tuple[str, Cell]:
    """The cell and what messages call it."""
    if isinstance(cell, str):
        own = [option.name for option in cell_info(cell).options]
        for key in cell_options:
            if key not in own:
                layer = [field.name for field in dataclasses.fields(LayerOptions)]
                raise unknown(f"option of a layer and of cell {cell!r}", key, [*own, *layer])
        return cell, build_cell(cell, cell_options)
    if not isinstance(cell, Cell):
        raise CellwiseError(f"cell={cell!r} must be a registered name or a cell, for example 'lstm' or MyCell()")
    if cell_options:
        raise CellwiseError(f"options {sorted(cell_options)} are given to a cell that is built already")
    check_declaration(cell, type(cell).__name__)
    return type(cell).__name__, cell
