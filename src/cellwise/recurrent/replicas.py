"""Several layers of one shape run at once, as one layer with an axis of replicas: seeds side by side.

A small recurrent layer spends its time on calling its operators, not in them. Replicas (the same cell, sizes and
options, weights of their own) share the calls: products become batched products, the step sees one more axis. Each
replica computes what it would alone, to rounding, and its layer stays an ordinary one: it has its own parameters, which
get their gradients, its own optimiser and its own file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cellwise.cells.contract import State
from cellwise.errors import CellwiseError
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.engines import fused
from cellwise.recurrent.engines.fused.form import kind_of
from cellwise.recurrent.engines.fused.given import Given
from cellwise.recurrent.guard import Lengths
from cellwise.recurrent.layer import Recurrent

_ALONE = ("layer_norm", "learned_state", "weight_drop")
"""Options that belong to a layer's own parameters or draws and are not run at once."""


class Replicas(nn.Module):
    """Layers that run at once.

    Args:
        layers: two or more of the same cell, sizes and options; they are kept, not copied.

    Raises:
        CellwiseError: no layer, or something else; layers that differ; a cell whose step can't be cut at its products;
            an option that replicas can't share.
    """

    def __init__(self, layers: Sequence[Recurrent]):
        super().__init__()
        _check(layers)
        self.layers = nn.ModuleList(layers)

    def forward(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run all layers.

        Args:
            x: (time, replicas, batch, input); or (time, batch, input), the same for all.
            state: by name, (layers * directions, replicas, batch, hidden); the cell's initial state when None.
            lengths: (replicas, batch), or (batch,) for all; valid steps per row.
            resets: (time, replicas, batch), or (time, batch) for all; True at steps that start anew.

        Returns:
            Output (time, replicas, batch, hidden * directions), and the state after each row's last valid step, shaped
            as `state`. Dropout masks are drawn for all rows of all replicas together.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        replicas = len(self.layers)
        if x.dim() == 3:
            x = x.unsqueeze(1).expand(-1, replicas, -1, -1)
        if x.dim() != 4 or x.shape[1] != replicas:
            raise ValueError(
                f"input must be (time, replicas, batch, input) with {replicas} replicas, or (time, batch, input), "
                f"not of shape {tuple(x.shape)}"
            )
        time, _, batch, _ = x.shape
        lengths = _of_all(lengths, 0, (replicas, batch))
        resets = _of_all(resets, 1, (replicas, batch))

        def one(place: int, source: Tensor, start: State, conditions: Conditions) -> tuple[Tensor, State]:
            if time == 0:
                return source.new_zeros(*source.shape[:-1], self._first.hidden_size), start
            weights = [layer.weights()[place] for layer in self._recurrent()]
            split = {name: _apart(value, 0, (replicas, batch)) for name, value in start.items()}
            given = Given.of_replicas(
                weights, _apart(source, 1, (replicas, batch)), split, _split(conditions, (replicas, batch))
            )
            output, new = fused.run_given(given, self._first.options.recompute)
            return output.flatten(1, 2), {name: value.flatten(0, 1) for name, value in new.items()}

        flat = None if state is None else {name: _rows_together(name, value) for name, value in state.items()}
        output, new = self._first.through(x.flatten(1, 2), flat, lengths, resets, one)
        return _apart(output, 1, (replicas, batch)), {n: _apart(v, 1, (replicas, batch)) for n, v in new.items()}

    @property
    def _first(self) -> Recurrent:
        return self._recurrent()[0]

    def _recurrent(self) -> list[Recurrent]:
        return [layer for layer in self.layers if isinstance(layer, Recurrent)]


def _of_all(value: Any, axis: int, rows: tuple[int, int]) -> Tensor | None:
    """Lengths or resets of all rows of all replicas, from those of each or from the same for all."""
    if value is None:
        return None
    given = torch.as_tensor(value)
    once = given.dim() == axis + 1
    if tuple(given.shape[axis:]) != (rows[1:] if once else rows):
        raise ValueError(
            f"lengths and resets must be given for replicas and rows {rows}, or for rows {rows[1:]}, not "
            f"{tuple(given.shape[axis:])}"
        )
    if once:
        given = given.unsqueeze(axis).expand(*given.shape[:axis], *rows)
    return given.flatten(axis, axis + 1)


def _rows_together(name: str, state: Tensor) -> Tensor:
    """A state of all rows of all replicas on one axis."""
    if state.dim() != 4:
        raise ValueError(
            f"state {name!r} must be (layers * directions, replicas, batch, hidden), not of shape {tuple(state.shape)}"
        )
    return state.flatten(1, 2)


def _split(conditions: Conditions, rows: tuple[int, int]) -> Conditions:
    """Conditions of all rows, with the replicas on an axis of their own."""
    lengths, resets = conditions.lengths, conditions.resets
    return replace(
        conditions,
        lengths=None if lengths is None else Lengths(_apart(lengths.steps, 0, rows), _apart(lengths.valid, 1, rows)),
        resets=None if resets is None else _apart(resets, 1, rows),
        fresh={name: _apart(value, 0, rows) for name, value in conditions.fresh.items()},
        operand_masks={name: _apart(mask, 0, rows) for name, mask in conditions.operand_masks.items()},
        kept={name: _apart(kept, 1, rows) if kept.dim() > 1 else kept for name, kept in conditions.kept.items()},
    )


def _apart(value: Tensor, axis: int, rows: tuple[int, int]) -> Tensor:
    """All rows on one axis as replicas and rows."""
    return value.reshape(*value.shape[:axis], *rows, *value.shape[axis + 1 :])


def _check(layers: Sequence[Recurrent]) -> None:
    if not layers:
        raise CellwiseError("Replicas needs at least one layer")
    for layer in layers:
        if not isinstance(layer, Recurrent):
            raise CellwiseError(f"replicas are Recurrent layers, not {type(layer).__name__}")
    first = layers[0]
    if not fused.expressible(first.cell, first.weights()[0].recurrent_map):
        raise CellwiseError(f"{first.cell_name!r} can't run as replicas: its step can't be cut at its products")
    for option in _ALONE:
        if getattr(first.options, option):
            raise CellwiseError(f"layers with {option} can't run as replicas; leave it out, or run them one by one")
    for layer in layers[1:]:
        if _what(layer) != _what(first):
            one, other = first.extra_repr(), layer.extra_repr()
            options = "" if one != other else " in its options, dtype or device"
            raise CellwiseError(f"replicas must be alike: Recurrent({other}) differs from Recurrent({one}){options}")


def _what(layer: Recurrent) -> tuple[Any, ...]:
    """What must be the same for layers that run at once."""
    sizes = (layer.input_size, layer.hidden_size, layer.num_layers, layer.directions)
    weight = next(layer.parameters())
    return (kind_of(layer.cell), *sizes, layer.options, weight.dtype, weight.device)
