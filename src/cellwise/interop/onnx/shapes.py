"""Translations of what moves numbers and makes none, and of new tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from cellwise.interop.onnx.operands import Arguments, Operands, Translation


def _full(t: Operands, a: Arguments, result: Any) -> str:
    number = t.value(a.get("fill_value", a.get("s", 0)), result.dtype)
    return t.graph.node("Expand", number, t.shape(result.shape)) if result.dim() else number


def _reshape(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node("Reshape", t.value(a["self"]), t.shape(result.shape), allowzero=1)


def _expand(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node("Expand", t.value(a["self"]), t.shape(result.shape))


def _repeat(t: Operands, a: Arguments, result: Any) -> str:
    missing = [1] * (len(a["repeats"]) - a["self"].meta["val"].dim())
    whole = t.graph.node("Reshape", t.value(a["self"]), t.shape([*missing, *a["self"].meta["val"].shape]), allowzero=1)
    return t.graph.node("Tile", whole, t.shape(a["repeats"]))


def _permute(t: Operands, a: Arguments, result: Any) -> str:
    axes = a["self"].meta["val"].dim()
    return t.graph.node("Transpose", t.value(a["self"]), perm=[axis % axes for axis in a["dims"]])


def _transpose(t: Operands, a: Arguments, result: Any) -> str:
    order = list(range(result.dim()))
    first, second = a.get("dim0", 0), a.get("dim1", -1)
    if order:
        order[first], order[second] = order[second], order[first]
    return t.graph.node("Transpose", t.value(a["self"]), perm=order)


def _split(t: Operands, a: Arguments, result: Any) -> list[str]:
    sizes = t.graph.ints(*(part.shape[a["dim"]] for part in result))
    return t.graph.node_of("Split", [t.value(a["self"]), sizes], len(result), axis=a["dim"])


def _join(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node("Concat", *(t.value(part, result.dtype) for part in a["tensors"]), axis=a["dim"])


def _stack(t: Operands, a: Arguments, result: Any) -> str:
    axis = a["dim"] % result.dim()
    parts = [t.graph.node("Unsqueeze", t.value(part, result.dtype), t.graph.ints(axis)) for part in a["tensors"]]
    return t.graph.node("Concat", *parts, axis=axis)


def _slice(t: Operands, a: Arguments, result: Any) -> str:
    g, start, end = t.graph, a["start"] or 0, a["end"]
    bounds = (
        g.ints(start),
        g.ints(np.iinfo(np.int64).max if end is None else end),
        g.ints(a["dim"]),
        g.ints(a["step"]),
    )
    return g.node("Slice", t.value(a["self"]), *bounds)


def _select(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node("Gather", t.value(a["self"]), t.graph.constant(a["index"], np.int64), axis=a["dim"])


def _unsqueeze(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node("Unsqueeze", t.value(a["self"]), t.graph.ints(a["dim"] % result.dim()))


# By the operation's name without its overload.
SHAPES: dict[str, Translation] = {
    **dict.fromkeys(("full", "full_like", "scalar_tensor"), _full),
    **dict.fromkeys(("view", "_unsafe_view", "squeeze"), _reshape),
    "expand": _expand,
    "repeat": _repeat,
    "permute": _permute,
    **dict.fromkeys(("t", "transpose"), _transpose),
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "cat": _join,
    "stack": _stack,
    "slice": _slice,
    "select": _select,
    "unsqueeze": _unsqueeze,
}
