"""One step of any cell in ONNX: torch traces the cell's own `step` once, and each operation is translated by a table.

What depends on the parameters alone (a time constant's exponential, say) is put outside the loop.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import default_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError
from cellwise.interop.onnx.aten import TABLE
from cellwise.interop.onnx.graph import Graph
from cellwise.recurrent.engines.reference import input_shares
from cellwise.recurrent.weights import Weights

# The batch at tracing: a prime above every size of a layer, so that a size it divides came from the batch.
_BATCH = 1_000_003
_ONNX_DTYPES = {torch.float32: 1, torch.float64: 11, torch.float16: 10, torch.int32: 6, torch.int64: 7, torch.bool: 9}


class TracedStep:
    """The step of one layer and direction as a graph of torch operations, to be written into any ONNX graph.

    Args:
        weights: of the layer and direction; their sizes count here, not their values.
        guarded: whether the step holds the state where it is told that a row is past its end.

    Raises:
        CellwiseError: a step that decides by the values of its tensors, or with an operation that has no translation.
    """

    def __init__(self, weights: Weights, *, guarded: bool):
        cell, hidden = weights.cell, weights.hidden_size
        matrices, parameters = weights.matrices(), weights.step_parameters()
        shapes: dict[str, Sequence[int]] = {"share": (_BATCH, len(cell.gates) * hidden)}
        shapes |= {f"state {name}": (_BATCH, hidden) for name in cell.states}
        shapes |= {f"matrix {name}": matrix.t().shape for name, matrix in matrices.items()}
        shapes |= {f"parameter {name}": value.shape for name, value in parameters.items()}
        shapes |= {f"part bias {name}": value.shape for name, value in weights.part_bias.items()}
        examples = {name: torch.empty(*shape, device="meta") for name, shape in shapes.items()}
        if guarded:
            examples["valid"] = torch.empty(_BATCH, 1, dtype=torch.bool, device="meta")
        self.cell, self.inputs = cell, tuple(examples)
        self._module = _trace(_wrapped(weights, self.inputs), list(examples.values()), cell)

    def write(self, graph: Graph, inputs: Mapping[str, str]) -> list[str]:
        """Write the step into a graph.

        Args:
            graph: the body of the loop.
            inputs: by name as in `self.inputs`, values of this graph or, for parameters, of the outermost.

        Returns:
            The output, (batch, hidden), and the new states in the cell's order.
        """
        return _Writer(self.cell, self._module, graph, inputs).write(self.inputs)


def _wrapped(weights: Weights, names: Sequence[str]) -> Callable[..., tuple[Tensor, ...]]:
    """The step with its products, zoneout's expectation and the guard of lengths, as a function of plain tensors."""
    cell = weights.cell
    rates = weights.options.zoneout_rates(cell)

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, tensors, strict=True))
        x = input_shares(cell, given["share"])
        old = {name: given[f"state {name}"] for name in cell.states}

        def product(name: str, operand: Tensor) -> dict[str, Tensor]:
            feeds, _ = cell.products[name]
            fed = operand @ given[f"matrix {name}"]
            if feeds == cell.gates:  # one sum, not one a gate
                return dict(zip(feeds, (fed + given["share"]).chunk(len(feeds), dim=-1), strict=True))
            shares = dict(zip(feeds, fed.chunk(len(feeds), dim=-1), strict=True))
            added = {n: x[n] if n in x else given.get(f"part bias {n}") for n in feeds}
            return {n: v if (more := added[n]) is None else more + v for n, v in shares.items()}

        own = {n.removeprefix("parameter "): v for n, v in given.items() if n.startswith("parameter ")}
        new, _ = cell.step(x, product, old, own)
        for name, rate in rates.items():
            new[name] = new[name] + rate * (old[name] - new[name])
        output = new[cell.states[0]]
        if "valid" in given:
            new = {name: torch.where(given["valid"], value, old[name]) for name, value in new.items()}
            output = torch.where(given["valid"], output, 0.0)
        return (output, *(new[name] for name in cell.states))

    return run


def _trace(run: Callable[..., Any], examples: Sequence[Tensor], cell: Cell) -> fx.GraphModule:
    try:
        with torch.no_grad():
            module: fx.GraphModule = make_fx(run, decomposition_table=_decompositions())(*examples)
    except Exception as error:  # whatever the step does with tensors that have no data
        said = " ".join(str(error).split("\n")[0].split())
        raise CellwiseError(
            f"export_onnx can't trace a step of {type(cell).__name__}: {type(error).__name__}: {said}; a step must "
            "not decide by the values of its tensors"
        ) from error
    module.graph.eliminate_dead_code()
    for node in module.graph.nodes:
        if node.op == "call_function" and node.target is not operator.getitem and _name(node) not in TABLE:
            raise CellwiseError(
                f"export_onnx has no translation of torch's {_name(node)!r}, which {type(cell).__name__}.step uses; "
                "write the step with other operations"
            )
    return module


@functools.cache
def _decompositions() -> dict[Any, Any]:
    """Return torch's own, but for what ONNX has itself."""
    known: Any = default_decompositions()
    return {op: rule for op, rule in known.items() if op.overloadpacket.__name__ not in TABLE}


def _name(node: fx.Node) -> str:
    name: str = getattr(node.target, "overloadpacket", node.target).__name__  # type: ignore[union-attr]
    return name


class _Writer:
    """Writes a traced step node by node; the `Operands` of its translations."""

    def __init__(self, cell: Cell, module: fx.GraphModule, graph: Graph, inputs: Mapping[str, str]):
        self._cell, self._module, self._body, self._inputs = cell, module, graph, inputs
        self.graph = graph
        self._values: dict[fx.Node, Any] = {}
        self._fixed: set[fx.Node] = set()  # nodes that are the same at every step

    def write(self, names: Sequence[str]) -> list[str]:
        """Write all nodes and return the step's outputs."""
        given = iter(names)
        for node in self._module.graph.nodes:
            if node.op == "placeholder":
                self._place(node, next(given))
            elif node.op == "get_attr":
                self._values[node] = self._body.constant(getattr(self._module, str(node.target)).cpu(), None)
                self._fixed.add(node)
            elif node.op == "call_function":
                self._call(node)
            else:
                returned = node.args[0]
        self.graph = self._body
        return [self.value(value) for value in returned]

    def value(self, given: Any, dtype: torch.dtype | None = None) -> str:
        """Return a tensor or number as a value, cast to `dtype` where that is given."""
        if not isinstance(given, fx.Node):
            kind = dtype or torch.get_default_dtype()
            return self.graph.constant(given, str(kind).removeprefix("torch."))
        value: str = self._values[given]
        if dtype is not None and given.meta["val"].dtype != dtype:
            return self.graph.node("Cast", value, to=_ONNX_DTYPES[dtype])
        return value

    def shape(self, sizes: Sequence[int]) -> str:
        """Return a shape as a value; a size that came from the batch is that of the batch at hand."""
        if not any(size % _BATCH == 0 for size in sizes if size):
            return self.graph.ints(*sizes)
        self.graph = self._body
        batch = self.graph.node("Shape", self._inputs[f"state {self._cell.states[0]}"], start=0, end=1)
        pieces = [
            self.graph.node("Mul", batch, self.graph.ints(size // _BATCH))
            if size and size % _BATCH == 0
            else self.graph.ints(size)
            for size in sizes
        ]
        return self.graph.node("Concat", *pieces, axis=0)

    def _place(self, node: fx.Node, name: str) -> None:
        self._values[node] = self._inputs[name]
        if not name.startswith(("share", "state", "valid")):
            self._fixed.add(node)

    def _call(self, node: fx.Node) -> None:
        if node.target is operator.getitem:
            source, place = node.args
            self._values[node] = self._values[source][place]  # type: ignore[index]
            if source in self._fixed:
                self._fixed.add(node)
            return
        fixed = all(source in self._fixed for source in node.all_input_nodes) and not _depends_on_batch(node)
        if fixed:
            self._fixed.add(node)
        self.graph = self._body.outermost if fixed else self._body
        self._values[node] = TABLE[_name(node)](self, _arguments(node), _result(node))


def _result(node: fx.Node) -> Any:
    return node.meta["val"]


def _depends_on_batch(node: fx.Node) -> bool:
    result = _result(node)
    parts = result if isinstance(result, list | tuple) else [result]
    return any(size and size % _BATCH == 0 for part in parts for size in part.shape)


def _arguments(node: fx.Node) -> dict[str, Any]:
    """The operation's arguments by name, defaults included."""
    declared = node.target._schema.arguments  # type: ignore[union-attr]
    found = {argument.name: argument.default_value for argument in declared if argument.has_default_value()}
    found |= {argument.name: value for argument, value in zip(declared, node.args, strict=False)}
    return found | node.kwargs
