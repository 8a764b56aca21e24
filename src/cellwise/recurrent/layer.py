"""The recurrent layer: any cell, stacked, in one or two directions, with carried state and lengths.

`Recurrent` runs a cell on vectors, `ConvRecurrent` on images. What differs between them is the map and where the units'
axis lies outside; everything else is `stack.Stack`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, State
from cellwise.recurrent import opaque
from cellwise.recurrent.checks import check_sizes
from cellwise.recurrent.maps import Convolution, Dense
from cellwise.recurrent.options import Connections, InputInit, LayerOptions, RecurrentInit
from cellwise.recurrent.stack import Stack
from cellwise.recurrent.trace import Trace


class Recurrent(Stack):
    """A recurrent layer of any registered cell.

    Args:
        cell: a registered name, or a cell.
        input_size: features of the input; 0: it gets none and goes on from its state alone, for x (time, batch, 0).
        hidden_size: units of a layer in one direction.
        num_layers: layers; each sees the output of the one below.
        bidirectional: run each layer in both directions and concatenate the outputs.
        batch_first: x and output are (batch, time, ...); the state is not changed by this.
        bias, recurrent_bias: one bias a gate, none, or two as torch.nn has.
        connections: `plain`, `residual` or `skip`.
        layer_norm: layer normalisation between layers.
        learned_state: the initial state is a parameter.
        dropout, locked_dropout: between layers; new at each step, or one mask a sequence.
        recurrent_dropout: on the operand of each recurrent product, one mask a sequence.
        zoneout: probability that a unit keeps its old value, or such a probability by state.
        weight_drop: on the entries of the recurrent matrices.
        input_init, recurrent_init, chrono: how weights and biases start, in every layer and direction.
        recompute: steps between states that are kept for the way back, for long sequences in little memory.
            All of these as `LayerOptions` says, with their sources.
        engine: `auto`, `fastest`, `reference`, `native`, `scan` or `fused`; `layer.engine` says what was chosen.
        **cell_options: the cell's own; an unknown one is an error that lists the allowed ones.

    Raises:
        CellwiseError: unknown cell, option or engine; a size that is not a whole number of 1 or more; an option out of
            bounds or without meaning for this cell.
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
        recurrent_bias: bool = False,
        connections: Connections = "plain",
        layer_norm: bool = False,
        learned_state: bool = False,
        dropout: float = 0.0,
        locked_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float | Mapping[str, float] = 0.0,
        weight_drop: float = 0.0,
        input_init: InputInit = "uniform",
        recurrent_init: RecurrentInit = "uniform",
        chrono: int | None = None,
        recompute: int | None = None,
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
            engine=engine,
            options=LayerOptions(
                bias=bias,
                recurrent_bias=recurrent_bias,
                connections=connections,
                layer_norm=layer_norm,
                learned_state=learned_state,
                dropout=dropout,
                locked_dropout=locked_dropout,
                recurrent_dropout=recurrent_dropout,
                zoneout=zoneout,
                weight_drop=weight_drop,
                input_init=input_init,
                recurrent_init=recurrent_init,
                chrono=chrono,
                recompute=recompute,
            ),
            cell_options=cell_options,
        )
        self.batch_first = batch_first

    def forward(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Tensor | list[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run the layer.

        Args:
            x: (time, batch, input), or (batch, time, input) with `batch_first`; time 0 is allowed.
            state: by name, (layers * directions, batch, hidden); the cell's initial state when None.
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full.
            resets: (time, batch) bool, True at steps that start anew: the state goes back to the initial one before
                them, as if each piece between resets were a row of its own; as x with `batch_first`.

        Returns:
            Output (time, batch, hidden * directions), zero after a row's length; and the state after each row's last
            valid step (length 0: the one it started from), shaped as `state`.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        if torch.compiler.is_compiling():
            return opaque.call(self, x, state, lengths, resets)
        return self.run(x, state, lengths, resets)

    def run(self, x: Tensor, state: Any, lengths: Any, resets: Any) -> tuple[Tensor, State]:
        """Compute what `forward` returns, step by step also while a compiler looks."""
        output, new = self._run(self._time_first(x), state, lengths, self._resets(resets))
        return (output.transpose(0, 1) if self.batch_first else output), new

    def trace(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Tensor | list[int] | None = None,
        resets: Tensor | None = None,
    ) -> Trace:
        """Run the layer on the reference engine and return every gate and state; differentiable.

        Arguments as `forward`; the trace is time first whatever `batch_first` says, its output as `forward` gives it.
        """
        trace = self._trace(self._time_first(x), state, lengths, self._resets(resets))
        return trace._replace(output=trace.output.transpose(0, 1)) if self.batch_first else trace

    def _time_first(self, x: Tensor) -> Tensor:
        if x.dim() != 3:
            order = "batch, time, input" if self.batch_first else "time, batch, input"
            raise ValueError(f"input must be ({order}), not of shape {tuple(x.shape)}")
        return x.transpose(0, 1) if self.batch_first else x

    def _resets(self, resets: Tensor | None) -> Tensor | None:
        return resets if resets is None or not self.batch_first else torch.as_tensor(resets).transpose(0, 1)


class ConvRecurrent(Stack):
    """A recurrent layer of any registered cell on images: its maps are convolutions, its extras one number a channel.

    Args:
        cell: a registered name, or a cell.
        in_channels: channels of the input; 0: none, as `Recurrent`.
        hidden_channels: channels of the state.
        kernel_size: of the input convolution, and of the recurrent one unless given.
        num_layers: layers; each sees the output of the one below.
        recurrent_kernel_size: of the recurrent convolution.
        bidirectional, bias and what follows, **cell_options: as `Recurrent`.
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
        recurrent_bias: bool = False,
        connections: Connections = "plain",
        layer_norm: bool = False,
        learned_state: bool = False,
        dropout: float = 0.0,
        locked_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float | Mapping[str, float] = 0.0,
        weight_drop: float = 0.0,
        input_init: InputInit = "uniform",
        recurrent_init: RecurrentInit = "uniform",
        chrono: int | None = None,
        recompute: int | None = None,
        engine: str = "auto",
        **cell_options: Any,
    ):
        recurrent_kernel_size = kernel_size if recurrent_kernel_size is None else recurrent_kernel_size
        for size in (kernel_size, recurrent_kernel_size):
            check_sizes(kernel_size=size)
        super().__init__(
            cell,
            in_channels,
            hidden_channels,
            num_layers,
            Convolution(kernel_size),
            Convolution(recurrent_kernel_size),
            bidirectional=bidirectional,
            engine=engine,
            options=LayerOptions(
                bias=bias,
                recurrent_bias=recurrent_bias,
                connections=connections,
                layer_norm=layer_norm,
                learned_state=learned_state,
                dropout=dropout,
                locked_dropout=locked_dropout,
                recurrent_dropout=recurrent_dropout,
                zoneout=zoneout,
                weight_drop=weight_drop,
                input_init=input_init,
                recurrent_init=recurrent_init,
                chrono=chrono,
                recompute=recompute,
            ),
            cell_options=cell_options,
        )

    def forward(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Tensor | list[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run the layer.

        Args:
            x: (time, batch, channels, height, width).
            state: by name, (layers * directions, batch, hidden channels, height, width).
            lengths: as `Recurrent.forward`.
            resets: (time, batch) bool, as `Recurrent.forward`.

        Returns:
            Output (time, batch, hidden channels * directions, height, width), and the state.
        """
        if torch.compiler.is_compiling():
            return opaque.call(self, x, state, lengths, resets)
        return self.run(x, state, lengths, resets)

    def run(self, x: Tensor, state: Any, lengths: Any, resets: Any) -> tuple[Tensor, State]:
        """Compute what `forward` returns, step by step also while a compiler looks."""
        output, new = self._run(self._units_last(x), _each(_to_last, state), lengths, resets)
        return _from_last(output), {name: _from_last(value) for name, value in new.items()}

    def trace(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Tensor | list[int] | None = None,
        resets: Tensor | None = None,
    ) -> Trace:
        """Run the layer on the reference engine and return every gate and state, channels before height and width."""
        trace = self._trace(self._units_last(x), _each(_to_last, state), lengths, resets)
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
