"""What stands around a cell's step, written once for every cell and engine: lengths, resets, masks, zoneout.

Masks are drawn before the loop and are plain inputs of it, so every engine and its backward see the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from cellwise.cells.contract import State
from cellwise.recurrent.guard import Lengths, blank, hold
from cellwise.recurrent.options import LayerOptions
from cellwise.recurrent.weights import Weights


@dataclass(frozen=True)
class Conditions:
    """How one layer and direction runs, in its own order of time.

    Attributes:
        matrices: product -> matrix to multiply by (structure and weight drop applied).
        lengths: valid steps per row, or None.
        resets: (time, batch) bool: before these steps the state goes back to `fresh`; or None.
        fresh: the initial state, by name, (batch, ..., hidden).
        operand_masks: product -> factor of its operand, (batch, ..., width * hidden), the same at every step.
        kept: state -> share of the old value that zoneout keeps: 0 or 1 in training, (time, batch, ..., hidden); the
            rate in evaluation, (1,) for every step.
    """

    matrices: Mapping[str, Tensor]
    lengths: Lengths | None = None
    resets: Tensor | None = None
    fresh: State = field(default_factory=dict)
    operand_masks: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)

    def before(self, t: int, state: State) -> State:
        """Return the state that step `t` starts from."""
        if self.resets is None:
            return state
        return hold(self.fresh, state, self.resets[t])

    def after(self, t: int, new: State, old: State) -> State:
        """Return the state after step `t`: zoneout on what the step returned, the old one past a row's length."""
        if self.kept:
            new = {name: self._zoned(t, name, value, old[name]) for name, value in new.items()}
        return new if self.lengths is None else hold(new, old, self.lengths.valid[t])

    def visible(self, t: int, value: Tensor) -> Tensor:
        """Return an output or gate of step `t`, zero past a row's length."""
        return value if self.lengths is None else blank(value, self.lengths.valid[t])

    def _zoned(self, t: int, name: str, new: Tensor, old: Tensor) -> Tensor:
        if name not in self.kept:
            return new
        kept = self.kept[name]
        return torch.lerp(new, old.to(new.dtype), (kept[t] if kept.dim() > 1 else kept).to(new.dtype))


def draw_conditions(
    weights: Weights,
    options: LayerOptions,
    x: Tensor,
    *,
    training: bool,
    lengths: Lengths | None = None,
    resets: Tensor | None = None,
    fresh: State | None = None,
) -> Conditions:
    """Return the conditions of one call, its masks drawn from torch's default generator.

    Args:
        weights: of this layer and direction.
        options: the layer's.
        x: its input, (time, batch, ..., input), in this direction's order of time.
        training: whether dropout drops.
        lengths: valid steps per row.
        resets: (time, batch) bool, in this direction's order of time.
        fresh: the initial state.
    """
    matrices = weights.matrices(options.weight_drop if training else 0.0)
    masks = {}
    if options.recurrent_dropout and training:
        spots = (x.shape[1], *[1] * (x.dim() - 3))
        for product, (_, width) in weights.cell.products.items():
            masks[product] = F.dropout(x.new_ones(*spots, width * weights.hidden_size), options.recurrent_dropout)
    rates = options.zoneout_rates(weights.cell)
    shape = (*x.shape[:-1], weights.hidden_size)
    kept = {
        name: torch.bernoulli(x.new_full(shape, rate)) if training else x.new_full((1,), rate)
        for name, rate in rates.items()
    }
    return Conditions(matrices, lengths, resets, fresh or {}, masks, kept)


def check_resets(resets: Tensor | None, time: int, batch: int, device: torch.device) -> Tensor | None:
    """Return the resets as bool on the device of the input; None where no row is reset.

    Raises:
        ValueError: not bool, or of another shape than (time, batch).
    """
    if resets is None:
        return None
    given = torch.as_tensor(resets, device=device)
    if given.dtype != torch.bool:
        raise ValueError(f"resets must be bool (True before a step that starts anew), not {given.dtype}")
    if tuple(given.shape) != (time, batch):
        raise ValueError(f"resets must have shape (time, batch) = ({time}, {batch}), not {tuple(given.shape)}")
    return given


def turned_resets(resets: Tensor) -> Tensor:
    """Return the resets of the backward direction, before its input is reversed.

    A reset before step t separates t - 1 from t; running backwards, the state starts anew before t - 1.
    """
    return torch.cat([resets[1:], torch.zeros_like(resets[:1])])
