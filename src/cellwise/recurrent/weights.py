"""The weights of one layer in one direction, stacked by gate, and views of them by name."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.maps import LinearMap


class GateWeights(NamedTuple):
    """One gate's share of a layer's weights; views, so writing into them (under `torch.no_grad`) changes the layer.

    Attributes:
        input: (hidden, input); on images (hidden, input, kernel, kernel).
        recurrent: (hidden, width * hidden); None where no product feeds the gate. Where several do (one of them a
            part), their shares side by side: a copy, because they are separate parameters.
        bias: (hidden,), or None.
        recurrent_bias: (hidden,): added to the recurrent product alone, where the two can't be merged; else None.
    """

    input: Tensor
    recurrent: Tensor | None
    bias: Tensor | None
    recurrent_bias: Tensor | None


class Weights(nn.Module):
    """Parameters of one cell at one layer and direction.

    `input_weight` stacks the gates in the cell's order; `recurrent_weight[product]` stacks the names that the product
    feeds; `part_bias[part]` and `extra[name]` are (hidden,).
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        input_map: LinearMap,
        recurrent_map: LinearMap,
        *,
        bias: bool,
    ):
        super().__init__()
        for name in (*cell.products, *cell.part_biases, *cell.extras):
            if hasattr(nn.ParameterDict, name):
                raise CellwiseError(
                    f"{type(cell).__name__}: torch keeps the name {name!r} for itself, so no product, part or extra "
                    f"can have it; choose another, for example '{name}_product'"
                )
        self.cell, self.input_map, self.recurrent_map = cell, input_map, recurrent_map
        self.input_size, self.hidden_size = input_size, hidden_size

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape))

        self.input_weight = empty(*input_map.weight_shape(len(cell.gates) * hidden_size, input_size))
        self.bias = empty(len(cell.gates) * hidden_size) if bias else None
        # Pairs, because of a plain dictionary torch would sort the keys: the order is the cell's.
        self.recurrent_weight = nn.ParameterDict(
            (product, empty(*recurrent_map.weight_shape(len(feeds) * hidden_size, width * hidden_size)))
            for product, (feeds, width) in cell.products.items()
        )
        self.part_bias = nn.ParameterDict((part, empty(hidden_size)) for part in cell.part_biases if bias)
        self.extra = nn.ParameterDict((name, empty(hidden_size)) for name in cell.extras)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw weights and biases from U(-k, k), k = 1 / sqrt(hidden) as torch.nn; set extras; add the bias offsets.

        On images k = 1 / sqrt(hidden * kernel height * kernel width), for each map its own kernel.
        """
        for weight in [self.input_weight, *self.recurrent_weight.values()]:
            bound = 1 / math.sqrt(self.hidden_size * math.prod(weight.shape[2:]))
            nn.init.uniform_(weight, -bound, bound)
        bound = 1 / math.sqrt(self.hidden_size)
        for bias in [self.bias, *self.part_bias.values()]:
            if bias is not None:
                nn.init.uniform_(bias, -bound, bound)
        self.add_offsets()

    @torch.no_grad()
    def add_offsets(self) -> None:
        """Add the cell's bias offsets to what was drawn, and set the extras: what a cell says of its own start."""
        if self.bias is not None:
            for gate, offset in self.cell.bias_offsets.items():
                self._rows(self.bias, self.cell.gates.index(gate)).add_(offset)
        for name, value in self.cell.extras.items():
            nn.init.constant_(self.extra[name], value)

    def gates(self) -> dict[str, GateWeights]:
        """Return the weights by gate."""
        return {gate: self._gate(gate, number) for number, gate in enumerate(self.cell.gates)}

    def _gate(self, gate: str, number: int) -> GateWeights:
        shares = []
        for product, (feeds, _) in self.cell.products.items():
            for place, fed in enumerate(feeds):
                if fed == gate or self.cell.parts.get(fed) == gate:
                    shares.append(self._rows(self.recurrent_weight[product], place))
        own = [self.part_bias[part] for part in self.part_bias if self.cell.parts[part] == gate]
        return GateWeights(
            input=self._rows(self.input_weight, number),
            recurrent=None if not shares else shares[0] if len(shares) == 1 else torch.cat(shares, dim=1),
            bias=None if self.bias is None else self._rows(self.bias, number),
            recurrent_bias=own[0] if own else None,
        )

    def _rows(self, stacked: Tensor, place: int) -> Tensor:
        return stacked[place * self.hidden_size : (place + 1) * self.hidden_size]
