"""The recurrent layer: any cell, stacked, in one or two directions, with carried state and lengths.

`Recurrent` runs a cell on vectors, `ConvRecurrent` on images. What differs between them is the map and where the units'
axis lies outside; everything else is `_Layer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.cells.contract import Cell, Gates, State, check_declaration
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines import ENGINES, reference, resolve
from cellwise.recurrent.guard import Lengths, blank, check_lengths, reverse
from cellwise.recurrent.maps import Convolution, Dense, LinearMap
from cellwise.recurrent.trace import Trace
from cellwise.recurrent.weights import GateWeights, Weights


class _Layer(nn.Module):
    """What dense and convolutional layers share; inside, units are the last axis."""

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
        start = self._start(x, state)
        x, guard = self._guarded(x, lengths)
        last: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self.directions):
                place = layer * self.directions + direction
                output, new = self._one(place, x, start[place], guard)
                outputs.append(output)
                last.append(new)
            x = self._joined(outputs, layer)
        return x, self._stacked(last)

    def _one(self, place: int, x: Tensor, state: State, lengths: Lengths | None) -> tuple[Tensor, State]:
        if x.shape[0] == 0:
            return x.new_zeros(*x.shape[:-1], self.hidden_size), state
        backward = place % self.directions == 1
        source = reverse(x, lengths) if backward else x
        output, new = ENGINES[self.engine](self._at(place), source, state, lengths)
        return (reverse(output, lengths) if backward else output), new

    def _trace(self, x: Tensor, state: Mapping[str, Tensor] | None, lengths: Any) -> Trace:
        start = self._start(x, state)
        x, guard = self._guarded(x, lengths)
        if x.shape[0] == 0:
            raise ValueError("a trace needs at least one step of time")
        last: list[State] = []
        seen: list[_Seen] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self.directions):
                place = layer * self.directions + direction
                source = reverse(x, guard) if direction else x
                watch = _Seen()
                output, new = reference.run(self._at(place), source, start[place], guard, watch)
                if direction:
                    output = reverse(output, guard)
                    watch.turn(guard)
                outputs.append(output)
                last.append(new)
                seen.append(watch)
            x = self._joined(outputs, layer)
        gates = {name: torch.stack([s.over_time(s.gates, name) for s in seen]) for name in seen[0].gates}
        states = {name: torch.stack([s.over_time(s.states, name) for s in seen]) for name in seen[0].states}
        return Trace(gates, states, x, self._stacked(last))

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


class _Seen:
    """What one layer and direction did, collected step by step."""

    def __init__(self) -> None:
        self.gates: dict[str, list[Tensor]] = {}
        self.states: dict[str, list[Tensor]] = {}
        self._lengths: Lengths | None = None
        self._turned = False

    def __call__(self, gates: Gates, state: State) -> None:
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


class Recurrent(_Layer):
    """A recurrent layer of any registered cell.

    Args:
        cell: a registered name, or a cell.
        input_size: features of the input.
        hidden_size: units of a layer in one direction.
        num_layers: layers; each sees the output of the one below.
        bidirectional: run each layer in both directions and concatenate the outputs.
        batch_first: x and output are (batch, time, ...); the state is not changed by this.
        bias: whether gates have biases.
        dropout: probability, on the output of each layer but the last, new at each step.
        engine: `auto`, `reference` or `native`; `layer.engine` says what was chosen.
        **cell_options: the cell's own; an unknown one is an error that lists the allowed ones.

    Raises:
        CellwiseError: unknown cell, option or engine; a size that is not a whole number of 1 or more.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        batch_first: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        engine: str = "auto",
        **cell_options: Any,
    ):
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers,
            Dense(),
            Dense(),
            bidirectional=bidirectional,
            bias=bias,
            dropout=dropout,
            engine=engine,
            cell_options=cell_options,
        )
        self.batch_first = batch_first

    def forward(
        self, x: Tensor, state: Mapping[str, Tensor] | None = None, lengths: Tensor | list[int] | None = None
    ) -> tuple[Tensor, State]:
        """Run the layer.

        Args:
            x: (time, batch, input), or (batch, time, input) with `batch_first`; time 0 is allowed.
            state: by name, (layers * directions, batch, hidden); the cell's initial state when None.
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full.

        Returns:
            Output (time, batch, hidden * directions), zero after a row's length; and the state after each row's last
            valid step (length 0: the one it started from), shaped as `state`.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        output, new = self._run(self._time_first(x), state, lengths)
        return (output.transpose(0, 1) if self.batch_first else output), new

    def trace(
        self, x: Tensor, state: Mapping[str, Tensor] | None = None, lengths: Tensor | list[int] | None = None
    ) -> Trace:
        """Run the layer on the reference engine and return every gate and state; differentiable.

        Arguments as `forward`; the trace is time first whatever `batch_first` says, its output as `forward` gives it.
        """
        trace = self._trace(self._time_first(x), state, lengths)
        return trace._replace(output=trace.output.transpose(0, 1)) if self.batch_first else trace

    def _time_first(self, x: Tensor) -> Tensor:
        if x.dim() != 3:
            order = "batch, time, input" if self.batch_first else "time, batch, input"
            raise ValueError(f"input must be ({order}), not of shape {tuple(x.shape)}")
        return x.transpose(0, 1) if self.batch_first else x


class ConvRecurrent(_Layer):
    """A recurrent layer of any registered cell on images: its maps are convolutions, its extras one number a channel.

    Args:
        cell: a registered name, or a cell.
        in_channels: channels of the input.
        hidden_channels: channels of the state.
        kernel_size: of the input convolution, and of the recurrent one unless given.
        num_layers: layers; each sees the output of the one below.
        recurrent_kernel_size: of the recurrent convolution.
        bidirectional, bias, dropout, engine, **cell_options: as `Recurrent`.
    """

    def __init__(
        self,
        cell: str | Cell,
        in_channels: int,
        hidden_channels: int,
        kernel_size: int,
        num_layers: int = 1,
        *,
        recurrent_kernel_size: int | None = None,
        bidirectional: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        engine: str = "auto",
        **cell_options: Any,
    ):
        recurrent_kernel_size = kernel_size if recurrent_kernel_size is None else recurrent_kernel_size
        for size in (kernel_size, recurrent_kernel_size):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise CellwiseError(f"kernel_size={size!r} must be a whole number, 1 or more")
        super().__init__(
            cell,
            in_channels,
            hidden_channels,
            num_layers,
            Convolution(kernel_size),
            Convolution(recurrent_kernel_size),
            bidirectional=bidirectional,
            bias=bias,
            dropout=dropout,
            engine=engine,
            cell_options=cell_options,
        )

    def forward(
        self, x: Tensor, state: Mapping[str, Tensor] | None = None, lengths: Tensor | list[int] | None = None
    ) -> tuple[Tensor, State]:
        """Run the layer.

        Args:
            x: (time, batch, channels, height, width).
            state: by name, (layers * directions, batch, hidden channels, height, width).
            lengths: as `Recurrent.forward`.

        Returns:
            Output (time, batch, hidden channels * directions, height, width), and the state.
        """
        output, new = self._run(self._units_last(x), _each(_to_last, state), lengths)
        return _from_last(output), {name: _from_last(value) for name, value in new.items()}

    def trace(
        self, x: Tensor, state: Mapping[str, Tensor] | None = None, lengths: Tensor | list[int] | None = None
    ) -> Trace:
        """Run the layer on the reference engine and return every gate and state, channels before height and width."""
        trace = self._trace(self._units_last(x), _each(_to_last, state), lengths)
        gates, states = _each(_from_last, trace.gates), _each(_from_last, trace.states)
        state_out = _each(_from_last, trace.state)
        assert gates is not None and states is not None and state_out is not None
        return Trace(gates, states, _from_last(trace.output), state_out)

    def _units_last(self, x: Tensor) -> Tensor:
        if x.dim() != 5:
            raise ValueError(f"input must be (time, batch, channels, height, width), not of shape {tuple(x.shape)}")
        return _to_last(x)


def _to_last(value: Tensor) -> Tensor:
    return value.movedim(-3, -1)


def _from_last(value: Tensor) -> Tensor:
    return value.movedim(-1, -3)


def _each(move: Any, values: Mapping[str, Tensor] | None) -> dict[str, Tensor] | None:
    return None if values is None else {name: move(value) for name, value in values.items()}
