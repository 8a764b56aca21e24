"""The Transformer encoder against its equations written out for one row at a time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from cellwise.errors import CellwiseError
from cellwise.network.transformer import NORMS, TransformerEncoder
from cellwise.testing.layers import numbers
from tests.network.padding import assert_every_parameter_gets_a_gradient, assert_padding_is_nothing, some_lengths

few = settings(max_examples=10, deadline=None)
UNITS, HEADS = 4, 2
norms = pytest.mark.parametrize("norm", NORMS)
causals = pytest.mark.parametrize("causal", [True, False])


def encoder(norm: Any = "after", causal: bool = False, layers: int = 2) -> TransformerEncoder:
    torch.manual_seed(1)
    return TransformerEncoder(UNITS, layers, heads=HEADS, feedforward_size=6, norm=norm, causal=causal).double()


def self_attention(x: Tensor, p: dict[str, Tensor], causal: bool) -> Tensor:
    """Vaswani et al. 2017, section 3.2.2, for x (steps, units)."""
    q, k, v = (x @ p["self_attn.in_proj_weight"].T + p["self_attn.in_proj_bias"]).chunk(3, dim=1)
    found = []
    for head in range(HEADS):
        of = slice(head * UNITS // HEADS, (head + 1) * UNITS // HEADS)
        rows = []
        for t in range(len(x)):
            seen = t + 1 if causal else len(x)
            weights = (k[:seen, of] @ q[t, of] / math.sqrt(UNITS / HEADS)).softmax(0)
            rows.append(weights @ v[:seen, of])
        found.append(torch.stack(rows))
    return torch.cat(found, dim=1) @ p["self_attn.out_proj.weight"].T + p["self_attn.out_proj.bias"]


def layer_norm(x: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    scaled = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]


def feed_forward(x: Tensor, p: dict[str, Tensor]) -> Tensor:
    return F.relu(x @ p["linear1.weight"].T + p["linear1.bias"]) @ p["linear2.weight"].T + p["linear2.bias"]


def written_out(module: TransformerEncoder, x: Tensor, norm: str, causal: bool) -> Tensor:
    for layer in module.encoder.layers:
        p = dict(layer.named_parameters())
        if norm == "after":
            x = layer_norm(x + self_attention(x, p, causal), p, "norm1")
            x = layer_norm(x + feed_forward(x, p), p, "norm2")
        else:
            x = x + self_attention(layer_norm(x, p, "norm1"), p, causal)
            x = x + feed_forward(layer_norm(x, p, "norm2"), p)
    return x if norm == "after" else layer_norm(x, dict(module.encoder.named_parameters()), "norm")


@norms
@causals
def test_each_row_is_what_the_equations_say(norm: str, causal: bool) -> None:
    module, x, lengths = encoder(norm, causal), numbers(5, 4, UNITS), [5, 1, 0, 3]
    for training in (True, False):
        y = module.train(training)(x, lengths)
        for row, length in enumerate(lengths):
            if length:
                expected = written_out(module, x[:length, row], norm, causal)
                torch.testing.assert_close(y[:length, row], expected)
            assert y[length:, row].eq(0).all()


@norms
@causals
@few
@given(case=some_lengths())
def test_padding_is_nothing(norm: str, causal: bool, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = encoder(norm, causal), case
    assert_padding_is_nothing(module, module, time, lengths, UNITS, per_step=True)


@norms
def test_every_parameter_gets_a_gradient(norm: str) -> None:
    module = encoder(norm)
    assert_every_parameter_gets_a_gradient(module, lambda x, n: module(x, n), numbers(4, 2, UNITS))


def test_layers_start_different() -> None:
    first, second = encoder().encoder.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        CellwiseError,
        match=r"5 attention heads \(network.transformer_heads\) do not divide 12 .*; allowed: 1, 2, 3, 4, 6, 12",
    ):
        TransformerEncoder(12, heads=5)
    with pytest.raises(CellwiseError, match="unknown norm 'befor'; did you mean 'before'"):
        encoder("befor")
    with pytest.raises(ValueError, match="input has 3 units; this module takes 4"):
        encoder()(numbers(2, 2, 3))
