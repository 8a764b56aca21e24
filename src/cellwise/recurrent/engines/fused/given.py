"""What a call of a layer is made of, as tensors in a fixed order, so that autograd sees one function of them.

`Given` stands in for `Weights` towards the reference engine, with the same tensors: second derivatives come from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cellwise.cells.contract import Cell, State
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.guard import Lengths
from cellwise.recurrent.maps import LinearMap, ReplicatedDense
from cellwise.recurrent.weights import Weights, projected


@dataclass(frozen=True)
class Given:
    """One call of one layer in one direction: `Weights` and what it is called with.

    Attributes:
        cell, hidden_size, input_map, recurrent_map, mapped: as of `Weights`.
        conditions: of the call.
        x: (time, batch, ..., input).
        state: before the first step, by name.
        input_weight, bias: of the input's map; the bias is what it adds, (gates * hidden,), or None.
        part_bias, parameters: by name, (hidden,); of replicas (replicas, 1, hidden), and so the bias.
    """

    cell: Cell
    hidden_size: int
    input_map: LinearMap
    recurrent_map: LinearMap
    mapped: tuple[str, ...]
    conditions: Conditions
    x: Tensor
    state: State
    input_weight: Tensor
    bias: Tensor | None
    part_bias: Mapping[str, Tensor]
    parameters: Mapping[str, Tensor]

    @classmethod
    def of(cls, weights: Weights, x: Tensor, state: State, conditions: Conditions) -> Given:
        """Return a call's, shapes as of the layer: x (time, batch, ..., input)."""
        return cls(
            weights.cell,
            weights.hidden_size,
            weights.input_map,
            weights.recurrent_map,
            weights.mapped,
            conditions,
            x,
            {name: state[name] for name in weights.cell.states},
            weights.input_weight,
            weights.added_bias(),
            dict(weights.part_bias.items()),
            weights.step_parameters(),
        )

    @classmethod
    def of_replicas(cls, weights: Sequence[Weights], x: Tensor, state: State, conditions: Conditions) -> Given:
        """Return a call's of several layers at once, one for each of some dense weights.

        Args:
            weights: of the same cell, sizes and options.
            x: (time, replicas, batch, input).
            state: by name, (replicas, batch, hidden).
            conditions: of the call; masks, lengths and resets with the replicas before the batch, no matrices.
        """
        first, replicas = weights[0], len(weights)

        def together(values: Sequence[Tensor]) -> Tensor:
            return torch.stack(list(values))

        def per_unit(values: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
            return {name: together([one[name] for one in values]).unsqueeze(1) for name in values[0]}

        biases = [bias for one in weights if (bias := one.added_bias()) is not None]
        matrices = [one.matrices() for one in weights]
        return cls(
            first.cell,
            first.hidden_size,
            ReplicatedDense(replicas),
            ReplicatedDense(replicas),
            first.mapped,
            replace(conditions, matrices={name: together([m[name] for m in matrices]) for name in first.cell.products}),
            x,
            {name: state[name] for name in first.cell.states},
            together([one.input_weight for one in weights]),
            together(biases).unsqueeze(1) if biases else None,
            per_unit([dict(one.part_bias.items()) for one in weights]),
            per_unit([one.step_parameters() for one in weights]),
        )

    def tensors(self) -> list[Tensor | None]:
        """Return what may get a gradient, in the order of `with_tensors`."""
        fresh = self.conditions.fresh if self.conditions.resets is not None else {}
        groups = (self.state, self.conditions.matrices, self.part_bias, self.parameters, fresh)
        return [self.x, self.input_weight, self.bias, *(value for group in groups for value in group.values())]

    def with_tensors(self, tensors: Sequence[Tensor | None]) -> Given:
        """Return the same call of other tensors."""
        left = iter(tensors)
        x, input_weight, bias = next(left), next(left), next(left)
        assert x is not None and input_weight is not None
        state, matrices = _taken(left, self.state), _taken(left, self.conditions.matrices)
        part_bias, parameters = _taken(left, self.part_bias), _taken(left, self.parameters)
        fresh = _taken(left, self.conditions.fresh) if self.conditions.resets is not None else self.conditions.fresh
        return replace(
            self,
            x=x,
            input_weight=input_weight,
            bias=bias,
            state=state,
            part_bias=part_bias,
            parameters=parameters,
            conditions=replace(self.conditions, matrices=matrices, fresh=fresh),
        )

    def steps(self, first: int, last: int, state: State) -> Given:
        """Return the call of some steps of this one, `first` to `last` (excluded), from the state before them."""
        conditions, lengths = self.conditions, self.conditions.lengths
        return replace(
            self,
            x=self.x[first:last],
            state=state,
            conditions=replace(
                conditions,
                lengths=None if lengths is None else Lengths(lengths.steps, lengths.valid[first:last]),
                resets=None if conditions.resets is None else conditions.resets[first:last],
                kept={name: kept[first:last] if kept.dim() > 1 else kept for name, kept in conditions.kept.items()},
            ),
        )

    def step_parameters(self) -> dict[str, Tensor]:
        """Return what a step gets as `p`."""
        return dict(self.parameters)

    def project(self, x: Tensor) -> Tensor:
        """Return the input's share of every gate, as `Weights.project`."""
        return projected(x, self.input_map, self.input_weight, self.bias, self.cell.gates, self.mapped)


def _taken(left: Iterator[Tensor | None], names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for name in names:
        value = next(left)
        assert value is not None
        found[name] = value
    return found
