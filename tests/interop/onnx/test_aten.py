"""Each translation of a torch operation, inside a step: onnxruntime computes what torch computes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import cellwise as cw
from cellwise.errors import CellwiseError
from cellwise.interop.onnx.aten import TABLE
from cellwise.interop.onnx.step import TracedStep
from cellwise.testing.layers import HIDDEN, dense
from tests.interop.onnx.session import assert_same, exported

# Of an input and the state, (batch, hidden), and a parameter, (hidden,).
Expression = Callable[[Any, Any, Any], Any]

# Every one gives (batch, hidden), finite for any numbers.
EXPRESSIONS: dict[str, Expression] = {
    "arithmetic": lambda x, h, p: 1 - (x + 2 * h - p) * (h - 0.5) / (3 + x * x) - x.neg(),
    "scaled sum": lambda x, h, p: torch.add(x, h, alpha=0.3) - torch.sub(p, x, alpha=2),
    "numbers and truth values": lambda x, h, p: (x > 0) * h + (h <= 0) * x + 2,
    "sigmoid": lambda x, h, p: x.sigmoid(),
    "tanh and relu": lambda x, h, p: x.tanh() + h.relu(),
    "exp and log": lambda x, h, p: (-x.abs()).exp() + (1 + x * x).log(),
    "log1p": lambda x, h, p: (x * x).log1p() + (1e-9 * x * x).log1p() * 1e9 + (1e-4 * x).log1p() * 1e4,
    "log1p of much": lambda x, h, p: (x.abs() * 1e38 * 1e3).log1p().clamp(max=1.0),
    "expm1": lambda x, h, p: x.clamp(-3, 3).expm1(),
    "roots": lambda x, h, p: (1 + x * x).sqrt() + (1 + h * h).rsqrt() + (2 + x.abs()).reciprocal(),
    "powers": lambda x, h, p: x**2 + x.abs() ** p + 2**h + x.square(),
    "trigonometry": lambda x, h, p: x.sin() + x.cos() + (0.1 * x).tanh().tan() + x.atan() + x.tanh().asin(),
    "hyperbolic": lambda x, h, p: x.tanh().sinh() + x.tanh().cosh() + x.asinh() + (0.9 * x.tanh()).atanh(),
    "inverse cosines": lambda x, h, p: (0.9 * x.tanh()).acos() + (1.5 + x * x).acosh(),
    "rounding": lambda x, h, p: (3 * x).floor() + (3 * x).ceil() + (3 * x).round() + x.sign(),
    "erf and gelu": lambda x, h, p: x.erf() + F.gelu(h) + F.gelu(x, approximate='tanh'),
    "whole quotients": lambda x, h, p: torch.div(3 * x, p, rounding_mode="floor")
    + torch.div(h, 0.1, rounding_mode="trunc"),
    "extremes": lambda x, h, p: x.maximum(h) - x.minimum(p),
    "clamps": lambda x, h, p: x.clamp(-0.5, 0.5) + h.clamp(min=0) + h.clamp(max=p),
    "hard sigmoid": lambda x, h, p: F.hardsigmoid(x) + F.hardtanh(h),
    "softplus": lambda x, h, p: F.softplus(x) + F.softplus(h, beta=2.0) + F.softplus(50 * x),
    "log sigmoid": lambda x, h, p: F.logsigmoid(x) + F.logsigmoid(90 * x),
    "silu, elu, leaky relu": lambda x, h, p: F.silu(x) + F.elu(h, 0.7) + F.selu(x) + F.leaky_relu(x, 0.1),
    "softmax": lambda x, h, p: x.softmax(-1) + h.log_softmax(-1),
    "sum of exponentials": lambda x, h, p: h + x.logsumexp(-1, keepdim=True),
    "lerp and addcmul": lambda x, h, p: torch.lerp(x, h, 0.3) + torch.addcmul(x, h, p, value=0.5),
    "choice": lambda x, h, p: torch.where(x > h, x, 0.0) + torch.where((x < 0) | (h >= 0), p, h),
    "comparisons": lambda x, h, p: torch.where((x == h) & ~(x != h), x, h) + torch.where(x.isnan() | h.isinf(), p, x),
    "logic": lambda x, h, p: torch.where(torch.logical_and(x > 0, torch.logical_not(h > 0)), x, h)
    + torch.where(torch.logical_or(x > 0, h > 0), x, p),
    "mean and variance": lambda x, h, p: x - x.mean(-1, keepdim=True)
    + x.var(-1, keepdim=True) + x.std(-1, keepdim=True),
    "all kinds of sums": lambda x, h, p: h + x.sum(-1, keepdim=True)
    + x.amax(-1, keepdim=True) - x.amin(-1).unsqueeze(-1),
    "product over units": lambda x, h, p: h + x.prod(-1, keepdim=True),
    "running sum": lambda x, h, p: x.cumsum(-1),
    "layer norm": lambda x, h, p: F.layer_norm(x, (HIDDEN,), p)
    + F.layer_norm(h, (HIDDEN,)) + F.layer_norm(x, (HIDDEN,), p, p),
    "split and join": lambda x, h, p: torch.cat([x.chunk(2, -1)[1], h.split([1, 1, HIDDEN - 2], -1)[2]], -1),
    "slices": lambda x, h, p: torch.cat([x[:, 1:], h[..., :1]], -1) + torch.cat([x[:, ::2], h[:, -2:]], -1),
    "one unit": lambda x, h, p: h * x[:, 0].unsqueeze(-1) + x[..., -1, None] + x.select(-1, 1)[:, None],
    "stacks": lambda x, h, p: torch.stack([x, h], 1).mean(1) + torch.stack([x, h], -1).sum(-1),
    "heads": lambda x, h, p: (x.unflatten(-1, (2, HIDDEN // 2)) * h.view(h.shape[0], 2, -1)).flatten(-2),
    "rows and heads": lambda x, h, p: x.reshape(x.shape[0] * 2, HIDDEN // 2).softmax(-1).reshape(x.shape),
    "block-diagonal product": lambda x, h, p: torch.bmm(
        h.unflatten(-1, (2, HIDDEN // 2)).transpose(0, 1), p.reshape(2, 1, 2).expand(2, 2, 2)
    ).permute(1, 0, 2).flatten(1) + x,
    "outer product": lambda x, h, p: (x.unsqueeze(2) * h.unsqueeze(1)).sum(1) + x.unsqueeze(1).squeeze(1),
    "products of matrices": lambda x, h, p: x @ torch.outer(p, p)
    + torch.addmm(h, x, p[:, None] * p, beta=0.5, alpha=2.0),
    "repeats": lambda x, h, p: p.expand(x.shape[0], HIDDEN) + x[:, :2].repeat(1, HIDDEN // 2) + h,
    "new tensors": lambda x, h, p: x
    + torch.zeros_like(h)
    + h.new_full(h.shape, 2.0)
    + torch.tensor(0.5)
    + h.new_ones(HIDDEN) * torch.full_like(p, 3.0),
    "a copy": lambda x, h, p: x.clone().contiguous() + h.detach()
    + p.to(torch.float64).exp().to(torch.float32) + x.double().float(),
    "transposed": lambda x, h, p: h.t().t() + x.transpose(0, 1).transpose(-1, -2),
}  # fmt: skip


class Expressed(cw.Cell):
    gates = ("candidate",)
    extras = {"p": (0.2, 0.9)}  # noqa: RUF012

    def __init__(self, expression: Expression):
        self.expression = expression

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        n = self.expression(x["candidate"], s["h"], p["p"])
        return {"h": 0.5 * s["h"] + 0.1 * n}, {"candidate": n}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_translation_computes_what_torch_computes(name: str, tmp_path: Path) -> None:
    layer = dense(lambda: Expressed(EXPRESSIONS[name]), dtype=torch.float32).eval()
    model = exported(layer, tmp_path / "cell.onnx")
    assert_same(layer, model, 6, [6, 0, 2, 5])
    assert_same(layer, model, 2, [2])


def test_every_translation_is_tried_here() -> None:
    tried = set()
    for expression in EXPRESSIONS.values():
        [weights] = dense(lambda expression=expression: Expressed(expression), dtype=torch.float32).weights()  # type: ignore[misc]
        graph = TracedStep(weights, guarded=True)._module.graph
        calls = [node.target for node in graph.nodes if node.op == "call_function"]
        tried |= {call.overloadpacket.__name__ for call in calls if call is not operator.getitem}
    assert set(TABLE) - tried == set()


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (lambda x, h, p: x.round(decimals=2) + h, "round to decimals; write"),
        (lambda x, h, p: x * (x.to(torch.int32) & 3) + h, "bitwise operations on whole numbers"),
        (lambda x, h, p: x.sort(-1).values + h, "no translation of torch's 'sort', which Expressed.step uses"),
    ],
)
def test_what_would_be_translated_wrongly_is_refused(expression: Expression, said: str, tmp_path: Path) -> None:
    with pytest.raises(CellwiseError, match=said):
        cw.export_onnx(dense(lambda: Expressed(expression), dtype=torch.float32), tmp_path / "cell.onnx")
