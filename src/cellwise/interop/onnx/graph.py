"""A graph under construction: nodes with fresh names, and constants that are stored once.

Values are strings, the names ONNX knows them by. The body of a `Scan` is a graph inside another one; it sees the outer
one's values, so constants always go to the outermost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

FLOAT, INT32, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL


class Graph:
    """Nodes in order, constants, inputs and outputs.

    Args:
        outer: the graph this one is the body of a node of.
    """

    def __init__(self, outer: Graph | None = None):
        self.outermost: Graph = self if outer is None else outer.outermost
        self.nodes: list[NodeProto] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[tuple[Any, ...], Any] = {}
        self._defaults: list[Any] = []
        self._count = 0

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return it; an input that is not given is ``""``."""
        return self.node_of(op, inputs, 1, **attributes)[0]

    def node_of(self, op: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node and return its outputs."""
        names = [self.fresh(op.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=names[0], **attributes))
        return names

    def fresh(self, stem: str) -> str:
        """Return a name that nothing in any of the graphs has."""
        self.outermost._count += 1
        return f"{stem}_{self.outermost._count}"

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Return a constant; equal ones are one."""
        array: NDArray[Any] = np.asarray(value, dtype)
        constants = self.outermost._constants
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in constants:
            constants[key] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), self.fresh("w"))
        name: str = constants[key].name
        return name

    def ints(self, *values: int) -> str:
        """Return a constant list of whole numbers: axes, sizes."""
        return self.constant(list(values), np.int64)

    def input(
        self,
        name: str,
        kind: int,
        shape: Sequence[int | str] | None = None,
        doc: str = "",
        default: NDArray[Any] | None = None,
    ) -> str:
        """Declare an input; a symbolic axis is a name.

        One with a default may be left out: ONNX has an input of an initializer's name take its value from there.
        """
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape, doc))
        if default is not None:
            self._defaults.append(numpy_helper.from_array(default.astype(np.float32), name))
        return name

    def output(self, name: str, value: str, kind: int, shape: Sequence[int | str] | None = None, doc: str = "") -> None:
        """Declare an output with a value of this graph or of one around it."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=self.fresh("identity")))
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape, doc))

    def finish(self, name: str) -> Any:
        """Return the graph as ONNX has it."""
        initializers = [*self._defaults, *self._constants.values()]
        return helper.make_graph(self.nodes, name, self._inputs, self._outputs, initializers)
