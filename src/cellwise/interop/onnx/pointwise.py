"""Translations of arithmetic: elementwise operations, reductions and products of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from cellwise.errors import CellwiseError
from cellwise.interop.onnx.operands import Arguments, Operands, Translation


def _same(op: str) -> Translation:
    return lambda t, a, result: t.graph.node(op, t.value(a["self"], result.dtype))


def _binary(op: str, left: str = "self", right: str = "other") -> Translation:
    """Both sides in the dtype of the result; `alpha` multiplies the second."""

    def translate(t: Operands, a: Arguments, result: Any) -> str:
        second = t.value(a[right], result.dtype)
        if a.get("alpha", 1) != 1:
            second = t.graph.node("Mul", second, t.value(a["alpha"], result.dtype))
        return t.graph.node(op, t.value(a[left], result.dtype), second)

    return translate


def _comparison(op: str, *, negated: bool = False) -> Translation:
    def translate(t: Operands, a: Arguments, result: Any) -> str:
        left, right = (v.meta["val"] if hasattr(v, "meta") else v for v in (a["self"], a["other"]))
        dtype = torch.result_type(left, right)
        found = t.graph.node(op, t.value(a["self"], dtype), t.value(a["other"], dtype))
        return t.graph.node("Not", found) if negated else found

    return translate


def _logical(op: str) -> Translation:
    def translate(t: Operands, a: Arguments, result: Any) -> str:
        if result.dtype != torch.bool:
            raise CellwiseError("export_onnx has no translation of torch's bitwise operations on whole numbers")
        return t.graph.node(op, *(t.value(a[side], torch.bool) for side in ("self", "other") if side in a))

    return translate


def _divided(t: Operands, a: Arguments, result: Any) -> str:
    quotient, g = _binary("Div")(t, a, result), t.graph
    assert isinstance(quotient, str)
    if a.get("rounding_mode") is None:
        return quotient
    if a["rounding_mode"] == "floor":
        return g.node("Floor", quotient)
    return g.node("Mul", g.node("Sign", quotient), g.node("Floor", g.node("Abs", quotient)))


def _rounded(t: Operands, a: Arguments, result: Any) -> str:
    if a.get("decimals"):
        raise CellwiseError(
            "export_onnx has no translation of torch's round to decimals; write x.mul(10).round().div(10)"
        )
    return t.graph.node("Round", t.value(a["self"], result.dtype))


def _unchanged(t: Operands, a: Arguments, result: Any) -> str:
    return t.value(a["self"], result.dtype)


def _reduction(op: str) -> Translation:
    def translate(t: Operands, a: Arguments, result: Any) -> str:
        axes = a.get("dim")
        axes = list(range(a["self"].meta["val"].dim())) if axes is None or axes == [] else axes
        axes = [axes] if isinstance(axes, int) else axes
        return t.graph.node(op, t.value(a["self"], result.dtype), t.graph.ints(*axes), keepdims=int(a["keepdim"]))

    return translate


def _variance(t: Operands, a: Arguments, result: Any) -> str:
    axes = list(range(a["self"].meta["val"].dim())) if not a["dim"] else list(a["dim"])
    x, g = t.value(a["self"], result.dtype), t.graph
    centred = g.node("Sub", x, g.node("ReduceMean", x, g.ints(*axes), keepdims=1))
    mean = g.node("ReduceMean", g.node("Mul", centred, centred), g.ints(*axes), keepdims=int(a["keepdim"]))
    count = math.prod(a["self"].meta["val"].shape[axis] for axis in axes)
    correction = 1 if a["correction"] is None else a["correction"]
    return g.node("Mul", mean, t.value(count / (count - correction), result.dtype))


def _clamp(t: Operands, a: Arguments, result: Any) -> str:
    """By maximum and minimum, because their bounds may be tensors."""
    found = t.value(a["self"], result.dtype)
    for op, bound in (("Max", a.get("min")), ("Min", a.get("max"))):
        if bound is not None:
            found = t.graph.node(op, found, t.value(bound, result.dtype))
    return found


def _layer_norm(t: Operands, a: Arguments, result: Any) -> list[str]:
    x, axes, g = t.value(a["input"]), len(a["normalized_shape"]), t.graph
    gain = g.constant(np.ones(a["normalized_shape"])) if a["weight"] is None else t.value(a["weight"])
    shift = [] if a["bias"] is None else [t.value(a["bias"])]
    return [g.node("LayerNormalization", x, gain, *shift, axis=-axes, epsilon=a["eps"])]


def _softplus(t: Operands, a: Arguments, result: Any) -> str:
    """Torch returns x itself above a threshold; in float32 that is the same number."""
    beta, g = t.value(a["beta"], result.dtype), t.graph
    return g.node("Div", g.node("Softplus", g.node("Mul", t.value(a["self"]), beta)), beta)


def _log_sigmoid(t: Operands, a: Arguments, result: Any) -> list[str]:
    g = t.graph
    return [g.node("Neg", g.node("Softplus", g.node("Neg", t.value(a["self"]))))]


def _hard_tanh(t: Operands, a: Arguments, result: Any) -> str:
    return _clamp(t, {"self": a["self"], "min": a["min_val"], "max": a["max_val"]}, result)


def _elu(t: Operands, a: Arguments, result: Any) -> str:
    """Return scale * (x where x > 0, alpha * (exp(input_scale * x) - 1) elsewhere), which is selu too."""
    x, zero, g = t.value(a["self"]), t.value(0.0, result.dtype), t.graph
    below = g.node("Mul", g.node("Min", x, zero), t.value(a["input_scale"], result.dtype))
    below = g.node("Mul", g.node("Elu", below), t.value(a["alpha"], result.dtype))
    return g.node("Mul", g.node("Add", g.node("Relu", x), below), t.value(a["scale"], result.dtype))


def _log1p(t: Operands, a: Arguments, result: Any) -> str:
    """log(u) x / (u - 1) with u = 1 + x rounded: exact to the last digits for small x too (Kahan)."""
    x, one, g = t.value(a["self"], result.dtype), t.value(1.0, result.dtype), t.graph
    u = g.node("Add", one, x)
    tiny = g.node("Equal", u, one)
    less = g.node("Where", tiny, one, g.node("Sub", u, one))
    infinite = g.node("IsInf", u)
    return g.node(
        "Where",
        tiny,
        x,
        g.node("Where", infinite, u, g.node("Mul", g.node("Log", u), g.node("Div", x, less))),
    )


def _expm1(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node("Sub", t.graph.node("Exp", t.value(a["self"], result.dtype)), t.value(1.0, result.dtype))


def _rsqrt(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node("Reciprocal", t.graph.node("Sqrt", t.value(a["self"], result.dtype)))


def _addmm(t: Operands, a: Arguments, result: Any) -> str:
    product = t.graph.node("MatMul", t.value(a["mat1"]), t.value(a["mat2"]))
    added = t.value(a["self"])
    if a.get("beta", 1) != 1:
        added = t.graph.node("Mul", added, t.value(a["beta"], result.dtype))
    if a.get("alpha", 1) != 1:
        product = t.graph.node("Mul", product, t.value(a["alpha"], result.dtype))
    return t.graph.node("Add", added, product)


def _where(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node(
        "Where", t.value(a["condition"]), t.value(a["self"], result.dtype), t.value(a["other"], result.dtype)
    )


def _along(op: str) -> Translation:
    return lambda t, a, result: t.graph.node(op, t.value(a["self"], result.dtype), axis=a["dim"])


def _cumulative_sum(t: Operands, a: Arguments, result: Any) -> str:
    return t.graph.node("CumSum", t.value(a["self"], result.dtype), t.graph.constant(a["dim"], np.int64))


_SAME = {
    **{name: name.capitalize() for name in ("sigmoid", "tanh", "relu", "exp", "log", "sqrt", "abs", "neg", "erf")},
    **{name: name.capitalize() for name in ("sin", "cos", "tan", "sinh", "cosh", "sign", "floor", "ceil")},
    **{name: name.capitalize() for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh", "reciprocal")},
}
_BINARY = {"add": "Add", "sub": "Sub", "mul": "Mul", "maximum": "Max", "minimum": "Min"}
_REDUCTIONS = {"mean": "ReduceMean", "sum": "ReduceSum", "amax": "ReduceMax", "amin": "ReduceMin", "prod": "ReduceProd"}

# By the operation's name without its overload.
POINTWISE: dict[str, Translation] = {
    **{name: _same(op) for name, op in _SAME.items()},
    **{name: _binary(op) for name, op in _BINARY.items()},
    **{name: _reduction(op) for name, op in _REDUCTIONS.items()},
    "div": _divided,
    "round": _rounded,
    "pow": _binary("Pow", "self", "exponent"),
    **dict.fromkeys(("mm", "bmm"), lambda t, a, result: t.graph.node("MatMul", t.value(a["self"]), t.value(a["mat2"]))),
    "addmm": _addmm,
    "gt": _comparison("Greater"),
    "lt": _comparison("Less"),
    "ge": _comparison("GreaterOrEqual"),
    "le": _comparison("LessOrEqual"),
    "eq": _comparison("Equal"),
    "ne": _comparison("Equal", negated=True),
    **dict.fromkeys(("logical_and", "bitwise_and"), _logical("And")),
    **dict.fromkeys(("logical_or", "bitwise_or"), _logical("Or")),
    **dict.fromkeys(("logical_not", "bitwise_not"), _logical("Not")),
    "isnan": lambda t, a, result: t.graph.node("IsNaN", t.value(a["self"])),
    "isinf": lambda t, a, result: t.graph.node("IsInf", t.value(a["self"])),
    "log1p": _log1p,
    "expm1": _expm1,
    "rsqrt": _rsqrt,
    "softplus": _softplus,
    "log_sigmoid_forward": _log_sigmoid,
    "clamp": _clamp,
    "where": _where,
    "var": _variance,
    "native_layer_norm": _layer_norm,
    "_softmax": _along("Softmax"),
    "_log_softmax": _along("LogSoftmax"),
    "gelu": lambda t, a, result: t.graph.node("Gelu", t.value(a["self"]), approximate=a["approximate"]),
    "elu": _elu,
    "leaky_relu": lambda t, a, result: t.graph.node("LeakyRelu", t.value(a["self"]), alpha=a["negative_slope"]),
    "hardtanh": _hard_tanh,
    **dict.fromkeys(("clone", "detach", "_to_copy", "lift_fresh_copy"), _unchanged),
    "cumsum": _cumulative_sum,
}
