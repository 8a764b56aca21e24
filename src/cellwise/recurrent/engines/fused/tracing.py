"""The graphs of a form, traced for any number of rows, and what each of their arguments looks like."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.graphs import Stage, backward, backward_stages, forward, forward_stages

_ROWS = 32
"""How many rows, or few more, a graph is traced with: never the batch seen first, which code and bits would follow."""

_aten = torch.ops.aten
_ZEROS = (_aten.zeros_like.default, _aten.zeros.default, _aten.new_zeros.default)

_CONSTANTS = ("parameter", "part_bias", "d_parameter")


@dataclass
class Traced:
    """A stage as a graph of torch's operators.

    Attributes:
        names: of its arguments that lie in buffers, in order.
        late: of those after them, results of products.
        graph: takes tensors in this order; writes into some of them and returns nothing.
        any_rows: whether it is right for any number of rows; not where the step itself asks for that number.
    """

    names: list[str]
    late: tuple[str, ...]
    graph: GraphModule
    any_rows: bool


@dataclass
class Graphs:
    """All graphs of a form.

    Attributes:
        forward, backward: by stage, in the order in which a step runs them.
        saved: names of the buffers that they share beyond those of the form, (..., rows, hidden).
    """

    forward: dict[int, Traced]
    backward: dict[int, Traced]
    saved: list[str] = field(default_factory=list)

    @property
    def any_rows(self) -> bool:
        """Whether all of them are right for any number of rows."""
        return all(each.any_rows for each in (*self.forward.values(), *self.backward.values()))


def traced(form: Form, like: Tensor, rows: int | None) -> Graphs:
    """Return the graphs of a form as they stand in `graphs`.

    Args:
        form: of the step.
        like: a tensor of the dtype and on the device of the layer.
        rows: for so many rows alone, which is traced faster; None for any number but 1, for which torch has rules of
            its own.
    """
    some = _traced_rows(form) if rows is None else rows

    def trace(stage: Stage) -> Traced:
        examples = [example(form, name, like, some) for name in (*stage.names, *stage.late)]
        found = Traced([*stage.names], stage.late, *_graph(stage, examples, any_rows=rows is None))
        _leave_zeros(found, f"d_new:{form.start}")
        return found

    return Graphs(
        {number: trace(forward(form, number)) for number in forward_stages(form)},
        {number: trace(backward(form, number)) for number in backward_stages(form)},
    )


def _traced_rows(form: Form) -> int:
    """A number of rows that is no stride too: torch would take both for one symbol."""
    cell = form.cell
    widths = {1, len(cell.gates), *(n for feeds, width in cell.products.values() for n in (len(feeds), width))}
    strides = {width * form.hidden for width in widths}
    return next(rows for rows in itertools.count(_ROWS) if rows not in strides)


def example(form: Form, name: str, like: Tensor, rows: int) -> Tensor:
    """Return a tensor without numbers of the shape and strides of an argument, by its name."""
    kind, _, of = name.partition(":")
    lead = (form.replicas, rows) if form.replicas else (rows,)

    def empty(hiddens: int) -> Tensor:
        return like.new_empty(*lead, hiddens * form.hidden)

    def piece(names: tuple[str, ...], one: str) -> Tensor:
        first = names.index(one) * form.hidden
        return empty(len(names))[..., first : first + form.hidden]

    if kind in ("d_parameter", "d_fresh"):
        like = like.to(sum_dtype(like.dtype))
    if kind in _CONSTANTS:
        return like.new_empty((form.replicas, 1, form.hidden) if form.replicas else form.hidden)
    if kind in ("valid", "reset"):
        return torch.empty(lead, dtype=torch.bool, device=like.device)
    if kind == "share":
        return piece(form.cell.gates, of)
    if kind in ("part", "d_part", "d_share"):
        pieces = next(
            form.pieces(product) for product in form.products if name.removeprefix("d_") in form.pieces(product)
        )
        return piece(pieces, name.removeprefix("d_"))
    return empty(_hiddens(form, kind, of))


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of sums over steps: added to one by one, a sum in 8 or 11 bits would soon stand still."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def _hiddens(form: Form, kind: str, of: str) -> int:
    if kind == "product":
        return len(form.cell.products[of][0])
    return form.cell.products[of][1] if kind in ("operand", "d_operand", "mask") else 1


def _graph(stage: Stage, examples: Sequence[Tensor], *, any_rows: bool) -> tuple[GraphModule, bool]:
    """A stage as a graph, in which the number of rows is a symbol or a number, and whether it is right for any number.

    Nothing is computed.
    """
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    shapes = ShapeEnv()
    mode = FakeTensorMode(shape_env=shapes)
    fakes, rows = [], []
    for number, (name, value) in enumerate(zip((*stage.names, *stage.late), examples, strict=True)):
        dims = [DimDynamic.STATIC] * value.dim()
        axis = _rows_axis(name) if any_rows else None
        if axis is not None:
            dims[axis] = DimDynamic.DUCK  # equal sizes are one symbol
        context: Any = StatelessSymbolicContext(dynamic_sizes=dims)
        fake = mode.from_tensor(value, source=ConstantSource(f"argument_{number}"), symbolic_context=context)
        if axis is not None:
            rows.append(fake.shape[axis])
        if axis == -2:
            int(fake.stride(-2))  # how far apart rows lie is a number, or becomes one by being asked for
        fakes.append(fake)
    with mode:
        graph = make_fx(stage, tracing_mode="real")(*fakes)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph, any_rows and _unasked(rows, shapes)


def _unasked(rows: Sequence[Any], shapes: Any) -> bool:
    """Whether these sizes are symbols still, and nothing has compared them with a number: a step may ask for them."""
    symbols = [size.node.expr.free_symbols if isinstance(size, torch.SymInt) else set() for size in rows]
    asked = {symbol for guard in shapes.guards for symbol in guard.expr.free_symbols}
    return all(symbols) and asked.isdisjoint(set().union(*symbols))


def _leave_zeros(traced: Traced, name: str) -> None:
    """Let a graph not write zeros where there are zeros: on a GPU that would be a launch of its own."""
    nodes = traced.graph.graph.nodes
    places = dict(zip((node for node in nodes if node.op == "placeholder"), traced.names, strict=False))
    for node in list(nodes):
        if node.target is _aten.copy_.default and places.get(node.args[0]) == name and node.args[1].target in _ZEROS:
            traced.graph.graph.erase_node(node)
    traced.graph.graph.eliminate_dead_code()
    traced.graph.recompile()


def _rows_axis(name: str) -> int | None:
    kind = name.partition(":")[0]
    if kind in _CONSTANTS:
        return None
    return -1 if kind in ("valid", "reset") else -2
