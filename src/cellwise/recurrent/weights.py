"""The weights of one layer in one direction, stacked by gate, and views of them by name."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.initialise import blocks, chrono_bias, draw_bias, draw_extra, draw_input, draw_recurrent
from cellwise.recurrent.maps import LinearMap
from cellwise.recurrent.options import LayerOptions, free_states, twice_biased


class GateWeights(NamedTuple):
    """One gate's share of a layer's weights; views, so writing into them (under `torch.no_grad`) changes the layer.

    Attributes:
        input: (hidden, input); on images (hidden, input, kernel, kernel). None where the gate gets x itself.
        recurrent: (hidden, width * hidden); None where no product feeds the gate. Where several do (one of them a
            part), their shares side by side: a copy, because they are separate parameters. What is stored: of an
            antisymmetric product M, where the layer multiplies by M - M^T.
        bias: (hidden,), or None.
        recurrent_bias: (hidden,): added to the recurrent product alone, where the two can't be merged, or where the
            layer was asked for two; else None.
    """

    input: Tensor | None
    recurrent: Tensor | None
    bias: Tensor | None
    recurrent_bias: Tensor | None


def projected(
    x: Tensor,
    input_map: LinearMap,
    weight: Tensor,
    bias: Tensor | None,
    gates: tuple[str, ...],
    mapped: tuple[str, ...],
) -> Tensor:
    """Return the input's share of every gate, (..., gates * hidden), for x (..., input).

    Args:
        x: the input.
        input_map: of the mapped gates.
        weight: of the map.
        bias: added to the shares of all gates, (gates * hidden,), or None.
        gates: in the cell's order.
        mapped: those of them that the map is for; the others get x itself.
    """
    if mapped == gates:
        return input_map(x, weight, bias)
    pieces = input_map(x, weight)
    shares = dict(zip(mapped, pieces.chunk(len(mapped), dim=-1), strict=True)) if mapped else {}
    together = torch.cat([shares.get(gate, x) for gate in gates], dim=-1)
    return together if bias is None else together + bias


class Weights(nn.Module):
    """Parameters of one cell at one layer and direction.

    `input_weight` stacks the gates in the cell's order (those of `cell.raw` left out where they get x itself);
    `recurrent_weight[product]` stacks the names that the product feeds; `part_bias[part]`, `extra[name]` and, of a
    learned initial state, `initial[state]` are (hidden,).
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        input_map: LinearMap,
        recurrent_map: LinearMap,
        options: LayerOptions,
    ):
        super().__init__()
        for name in (*cell.products, *cell.part_biases, *cell.extras, *cell.states):
            if hasattr(nn.ParameterDict, name):
                raise CellwiseError(
                    f"{type(cell).__name__}: torch keeps the name {name!r} for itself, so no product, part, extra or "
                    f"state can have it; choose another, for example '{name}_product'"
                )
        self.cell, self.input_map, self.recurrent_map, self.options = cell, input_map, recurrent_map, options
        self.input_size, self.hidden_size = input_size, hidden_size
        self.mapped = tuple(gate for gate in cell.gates if gate not in cell.raw or input_size != hidden_size)
        self.twice_biased = twice_biased(cell) if options.recurrent_bias else ()

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape))

        self.input_weight = empty(*input_map.weight_shape(len(self.mapped) * hidden_size, input_size))
        self.bias = empty(len(cell.gates) * hidden_size) if options.bias else None
        # Pairs, because of a plain dictionary torch would sort the keys: the order is the cell's.
        self.recurrent_weight = nn.ParameterDict(
            (product, empty(*recurrent_map.weight_shape(len(feeds) * hidden_size, width * hidden_size)))
            for product, (feeds, width) in cell.products.items()
        )
        self.part_bias = nn.ParameterDict((part, empty(hidden_size)) for part in cell.part_biases if options.bias)
        if self.twice_biased:
            self.recurrent_bias = empty(len(self.twice_biased) * hidden_size)
        self.extra = nn.ParameterDict((name, empty(hidden_size)) for name in cell.extras)
        self.initial = nn.ParameterDict(
            (name, empty(hidden_size)) for name in free_states(cell) if options.learned_state
        )
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights and biases by the layer's recipes, then `settle`."""
        hidden = self.hidden_size
        draw_input(self.input_weight, hidden, self.options.input_init)
        for weight in self.recurrent_weight.values():
            draw_recurrent(weight, hidden, self.options.recurrent_init)
        for bias in [self.bias, *self.part_bias.values()]:
            if bias is not None:
                draw_bias(bias, hidden)
        if self.twice_biased:
            draw_bias(self.recurrent_bias, hidden)
        self.settle()

    @torch.no_grad()
    def settle(self) -> None:
        """Give what was drawn the cell's own start: bias offsets or chrono biases, extras, the initial state."""
        for gate, offset in self.cell.bias_offsets.items():
            if self.bias is not None and (self.options.chrono is None or gate not in self.cell.chrono):
                self._of(self.bias, self.cell.gates, gate).add_(offset)
        if self.options.chrono is not None:
            self._settle_chrono(self.options.chrono)
        for name, initial in self.cell.extras.items():
            draw_extra(self.extra[name], initial)
        for name, value in self.initial.items():
            value.fill_(self.cell.initial.get(name, 0.0))

    def _settle_chrono(self, longest: int) -> None:
        assert self.bias is not None
        keeps = chrono_bias(self.hidden_size, longest, self.bias)  # the same for all gates: input = -forget
        for gate, sign in self.cell.chrono.items():
            self._of(self.bias, self.cell.gates, gate).copy_(sign * keeps)
            if gate in self.twice_biased:
                self._of(self.recurrent_bias, self.twice_biased, gate).zero_()

    def project(self, x: Tensor) -> Tensor:
        """Return the input's share of every gate, (..., gates * hidden) in the cell's order, for x (..., input).

        Biases are in it, but for those that the step adds itself.
        """
        return projected(x, self.input_map, self.input_weight, self.added_bias(), self.cell.gates, self.mapped)

    def matrices(self, dropped: float = 0.0) -> dict[str, Tensor]:
        """Return the matrix of each product as the layer multiplies by it: what is stored, with its structure.

        Args:
            dropped: probability with which an entry of what is stored is left out (weight drop).
        """
        stored = {name: F.dropout(w, dropped) if dropped else w for name, w in self.recurrent_weight.items()}
        return {
            product: self._antisymmetric(weight) if product in self.cell.structure else weight
            for product, weight in stored.items()
        }

    def step_parameters(self) -> dict[str, Tensor]:
        """Return what a step gets as `p`: the extras, and the biases that it adds itself."""
        found = dict(self.extra.items())
        for gate in self.cell.step_biases:
            bias = self._whole_bias()
            found[f"bias_{gate}"] = (
                self.input_weight.new_zeros(self.hidden_size) if bias is None else self._of(bias, self.cell.gates, gate)
            )
        return found

    def gates(self) -> dict[str, GateWeights]:
        """Return the weights by gate."""
        return {gate: self._gate(gate) for gate in self.cell.gates}

    def _gate(self, gate: str) -> GateWeights:
        shares = []
        for product, (feeds, _) in self.cell.products.items():
            for fed in feeds:
                if fed == gate or self.cell.parts.get(fed) == gate:
                    shares.append(self._of(self.recurrent_weight[product], feeds, fed))
        own = [self.part_bias[part] for part in self.part_bias if self.cell.parts[part] == gate]
        if gate in self.twice_biased:
            own.append(self._of(self.recurrent_bias, self.twice_biased, gate))
        return GateWeights(
            input=self._of(self.input_weight, self.mapped, gate) if gate in self.mapped else None,
            recurrent=None if not shares else shares[0] if len(shares) == 1 else torch.cat(shares, dim=1),
            bias=None if self.bias is None else self._of(self.bias, self.cell.gates, gate),
            recurrent_bias=own[0] if own else None,
        )

    def added_bias(self) -> Tensor | None:
        """The bias that `project` adds, (gates * hidden,)."""
        bias = self._whole_bias()
        if bias is None or not self.cell.step_biases:
            return bias
        pieces = zip(self.cell.gates, blocks(bias, self.hidden_size), strict=True)
        return torch.cat([piece * 0 if gate in self.cell.step_biases else piece for gate, piece in pieces])

    def _whole_bias(self) -> Tensor | None:
        """Both biases together, (gates * hidden,)."""
        if self.bias is None or not self.twice_biased:
            return self.bias
        if self.twice_biased == self.cell.gates:
            return self.bias + self.recurrent_bias
        seconds = dict(zip(self.twice_biased, blocks(self.recurrent_bias, self.hidden_size), strict=True))
        pieces = zip(self.cell.gates, blocks(self.bias, self.hidden_size), strict=True)
        return torch.cat([piece + seconds[gate] if gate in seconds else piece for gate, piece in pieces])

    def _antisymmetric(self, weight: Tensor) -> Tensor:
        """M - M^T for each block; on images the adjoint of a convolution is its kernel turned by 180 degrees.

        An even kernel sees one pixel more on one side, its adjoint on the other: both lie in the next odd kernel.
        """
        turned = tuple(range(2, weight.dim()))
        if turned and weight.shape[-1] % 2 == 0:
            weight = F.pad(weight, (1, 0, 1, 0))
        return torch.cat([block - block.transpose(0, 1).flip(turned) for block in blocks(weight, self.hidden_size)])

    def _of(self, stacked: Tensor, names: tuple[str, ...], name: str) -> Tensor:
        place = names.index(name)
        return stacked[place * self.hidden_size : (place + 1) * self.hidden_size]
