"""A whole layer as one graph: its stack of layers and directions, what stands between them, lengths and states.

As in `Recurrent.forward`: zero past a row's length, the state that of its last valid step, length 0 the one it started
from. Running backwards needs no turning: a `Scan` starts at the last step and holds the initial state until it meets
the row's last valid one; the operators turn within `sequence_lens` themselves.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cellwise.interop.onnx.graph import BOOL, FLOAT, INT32, INT64, Graph
from cellwise.interop.onnx.operators import Operator, operator_of
from cellwise.interop.onnx.step import TracedStep
from cellwise.recurrent.layer import Recurrent
from cellwise.recurrent.weights import Weights

_TIME, _BATCH = "time", "batch"
_STARTS = "batch_or_1"  # of a state to start from: one that every row starts from, or one a row


@dataclass(frozen=True)
class _Guard:
    """Lengths in the forms in which they are used.

    Attributes:
        valid: (time, batch, 1) bool.
        steps: (batch,) int32, for an operator.
        empty: (batch, 1) bool, rows of length 0, for an operator.
    """

    valid: str
    steps: str = ""
    empty: str = ""


def layer_graph(layer: Recurrent, *, lengths: bool, state: bool) -> Any:
    """Return the ONNX graph of a layer in evaluation.

    Args:
        layer: dense.
        lengths: whether the graph has lengths as an input.
        state: whether the initial state is an input, its default the layer's own; else it is always that.
    """
    return _Writer(layer).write(lengths=lengths, state=state)


class _Writer:
    """Writes one layer, from its inputs to its outputs."""

    def __init__(self, layer: Recurrent):
        self.layer, self.graph = layer, Graph()
        self.operator = None if layer.options.changes_the_step else operator_of(layer.cell)
        self._step: TracedStep | None = None  # one serves all layers and directions: only the first sees another input

    def write(self, *, lengths: bool, state: bool) -> Any:
        layer, g = self.layer, self.graph
        axes = (_BATCH, _TIME) if layer.batch_first else (_TIME, _BATCH)
        x = g.input("x", FLOAT, (*axes, layer.input_size), "the input")
        x = g.node("Transpose", x, perm=[1, 0, 2]) if layer.batch_first else x
        guard = self._guard(x) if lengths else None
        starts = self._starts(x, given=state)
        if guard is not None:
            x = self._blank(x, guard)
        output, last = self._stack(x, starts, guard)
        output = g.node("Transpose", output, perm=[1, 0, 2]) if layer.batch_first else output
        width = layer.hidden_size * layer.directions
        g.output("output", output, FLOAT, (*axes, width), "zero past a row's length")
        for name, values in last.items():
            value = values[0] if len(values) == 1 else g.node("Concat", *values, axis=0)
            shape = (layer.num_layers * layer.directions, _BATCH, layer.hidden_size)
            g.output(f"{name}_n", value, FLOAT, shape, f"state {name} after each row's last valid step")
        return g.finish(layer.cell_name)

    def _guard(self, x: str) -> _Guard:
        g = self.graph
        lengths = g.input("lengths", INT64, (_BATCH,), "valid steps per row, 0 to time")
        time = g.node("Squeeze", g.node("Shape", x, start=0, end=1), g.ints(0))
        places = g.node("Range", g.constant(0, np.int64), time, g.constant(1, np.int64))
        valid = g.node("Less", g.node("Unsqueeze", places, g.ints(1)), lengths)
        guard = _Guard(g.node("Unsqueeze", valid, g.ints(2)))
        if self.operator is None:
            return guard
        empty = g.node("Unsqueeze", g.node("Equal", lengths, g.constant(0, np.int64)), g.ints(1))
        return replace(guard, steps=g.node("Cast", lengths, to=INT32), empty=empty)

    def _blank(self, x: str, guard: _Guard) -> str:
        return self.graph.node("Where", guard.valid, x, self.graph.constant(0.0))

    def _starts(self, x: str, *, given: bool) -> dict[str, list[str]]:
        """The initial state, by name: one value a layer, (directions, batch, hidden)."""
        layer, g = self.layer, self.graph
        fresh = layer.initial_state(1)
        places = layer.num_layers * layer.directions
        batch = g.node("Shape", x, start=1, end=2)
        shape = g.node("Concat", g.ints(places), batch, g.ints(layer.hidden_size), axis=0)
        found = {}
        for name in layer.cell.states:
            start = _array(fresh[name])
            if given:
                doc = f"optional: state {name} to start from; left out, {_told(start)}"
                one = g.input(f"{name}_0", FLOAT, (places, _STARTS, layer.hidden_size), doc, start)
            else:
                one = g.constant(start)
            whole = g.node("Expand", one, shape)
            parts = layer.num_layers
            found[name] = [whole] if parts == 1 else g.node_of("Split", [whole], parts, axis=0, num_outputs=parts)
        return found

    def _stack(self, x: str, starts: dict[str, list[str]], guard: _Guard | None) -> tuple[str, dict[str, list[str]]]:
        layer, g = self.layer, self.graph
        first, last = x, {name: list[str]() for name in layer.cell.states}
        for number in range(layer.num_layers):
            skips = number and layer.options.connections == "skip"
            source = g.node("Concat", x, first, axis=2) if skips else x
            here = layer.weights()[number * layer.directions : (number + 1) * layer.directions]
            start = {name: values[number] for name, values in starts.items()}
            if self.operator is not None:
                output, new = self._native(self.operator, here, source, start, guard)
            else:
                output, new = self._scans(here, source, start, guard)
            for name, value in new.items():
                last[name].append(value)
            x = self._joined(output, source, number, here[0].input_size, guard)
        return x, last

    def _joined(self, output: str, source: str, number: int, width: int, guard: _Guard | None) -> str:
        """What stands between this layer and the next."""
        layer, g, x = self.layer, self.graph, output
        if layer.options.connections == "residual" and width == layer.hidden_size * layer.directions:
            x = g.node("Add", x, source)
        if layer.options.layer_norm and number < layer.num_layers - 1:
            norm = layer.norms[number]
            assert isinstance(norm, nn.LayerNorm)
            gain, shift = g.constant(_array(norm.weight)), g.constant(_array(norm.bias))
            x = g.node("LayerNormalization", x, gain, shift, axis=-1, epsilon=norm.eps)
            x = x if guard is None else self._blank(x, guard)
        return x

    def _native(
        self, operator: Operator, here: list[Weights], x: str, start: dict[str, str], guard: _Guard | None
    ) -> tuple[str, dict[str, str]]:
        """All directions of a layer by ONNX's operator."""
        g, directions = self.graph, len(here)
        tensors = {name: g.constant(array) for name, array in operator.weights(here).items()}
        steps = "" if guard is None else guard.steps
        inputs = [x, tensors["W"], tensors["R"], tensors["B"], steps, *(start[name] for name in operator.states)]
        inputs += [tensors["P"]] if "P" in tensors else []
        attributes: dict[str, Any] = {"hidden_size": self.layer.hidden_size, **operator.attributes}
        if operator.activations:
            attributes["activations"] = list(operator.activations) * directions
        if directions == 2:
            attributes["direction"] = "bidirectional"
        y, *states = g.node_of(operator.name, inputs, 1 + len(operator.states), **attributes)
        if directions == 1:
            output = g.node("Squeeze", y, g.ints(1))
        else:  # (time, directions, batch, hidden)
            beside = g.node("Transpose", y, perm=[0, 2, 1, 3])
            output = g.node("Reshape", beside, g.ints(0, 0, directions * self.layer.hidden_size))
        new = dict(zip(operator.states, states, strict=True))
        if guard is not None:
            new = {name: g.node("Where", guard.empty, start[name], value) for name, value in new.items()}
        return output, new

    def _scans(
        self, here: list[Weights], x: str, start: dict[str, str], guard: _Guard | None
    ) -> tuple[str, dict[str, str]]:
        """Each direction of a layer by a `Scan` of its own."""
        g, outputs, ends = self.graph, [], []
        for direction, weights in enumerate(here):
            place = g.constant(direction, np.int64)
            own = {name: g.node("Gather", value, place, axis=0) for name, value in start.items()}
            output, new = self._scan(weights, x, own, guard, backward=direction == 1)
            outputs.append(output)
            ends.append({name: g.node("Unsqueeze", value, g.ints(0)) for name, value in new.items()})
        if len(here) == 1:
            return outputs[0], ends[0]
        joined = {name: g.node("Concat", *(end[name] for end in ends), axis=0) for name in start}
        return g.node("Concat", *outputs, axis=2), joined

    def _scan(
        self, weights: Weights, x: str, start: dict[str, str], guard: _Guard | None, *, backward: bool
    ) -> tuple[str, dict[str, str]]:
        g, body, states = self.graph, Graph(self.graph), tuple(start)
        step = self._step = self._step or TracedStep(weights, guarded=guard is not None)
        inputs = {f"state {name}": body.input(body.fresh(f"{name}_old"), FLOAT) for name in states}
        inputs["share"] = body.input(body.fresh("share"), FLOAT)
        scanned = [self._projected(weights, x)]
        if guard is not None:
            inputs["valid"] = body.input(body.fresh("valid"), BOOL)
            scanned.append(guard.valid)
        output, *new = step.write(body, inputs | self._parameters(weights))
        for stem, value in zip((*(f"{name}_new" for name in states), "output"), (*new, output), strict=True):
            body.output(body.fresh(stem), value, FLOAT)
        way = int(backward)
        ends = g.node_of(
            "Scan",
            [*start.values(), *scanned],
            len(states) + 1,
            body=body.finish("step"),
            num_scan_inputs=len(scanned),
            scan_input_directions=[way] * len(scanned),
            scan_output_directions=[way],
        )
        return ends[-1], dict(zip(states, ends, strict=False))

    def _projected(self, weights: Weights, x: str) -> str:
        """The input's share of every gate, one product for all steps, (time, batch, gates * hidden)."""
        matrix, shift = _affine(weights)
        return self.graph.node(
            "Add", self.graph.node("MatMul", x, self.graph.constant(matrix)), self.graph.constant(shift)
        )

    def _parameters(self, weights: Weights) -> dict[str, str]:
        g = self.graph
        found = {f"matrix {name}": _array(matrix.t()) for name, matrix in weights.matrices().items()}
        found |= {f"parameter {name}": _array(value) for name, value in weights.step_parameters().items()}
        found |= {f"part bias {name}": _array(value) for name, value in weights.part_bias.items()}
        return {name: g.constant(array) for name, array in found.items()}


def _told(start: NDArray[Any]) -> str:
    """What a state starts from, for the input's description."""
    return f"{start.flat[0]:g} everywhere" if np.ptp(start) == 0 else "the layer's own, learned start"


def _affine(weights: Weights) -> tuple[NDArray[Any], NDArray[Any]]:
    """W^T (input, gates * hidden) and b of the input's share, got from what it does to zero and to each unit vector.

    So gates that get x itself, biases that the step adds and second biases are right without being named here. In
    float64, where adding b and taking it off again leaves every float32 weight as it was.
    """
    with torch.no_grad():
        exact = copy.deepcopy(weights).double()
        unit = torch.eye(weights.input_size, dtype=torch.float64, device=weights.input_weight.device)
        shift = exact.project(torch.zeros_like(unit[:1]))
        return _array(exact.project(unit) - shift), _array(shift[0])


def _array(value: torch.Tensor) -> NDArray[Any]:
    found: NDArray[Any] = value.detach().double().cpu().numpy()
    return found
