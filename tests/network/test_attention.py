"""Attention against the sums written out in NumPy, row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cellwise.errors import CellwiseError
from cellwise.network.attention import SCORES, Attention, AttentionPooling, masked_softmax
from cellwise.testing.layers import numbers
from tests.network.padding import assert_every_parameter_gets_a_gradient, assert_padding_is_nothing, some_lengths

few = settings(max_examples=15, deadline=None)
scores = pytest.mark.parametrize("score", SCORES)
UNITS, QUERY = 4, 3


def attention(score: Any) -> Attention:
    torch.manual_seed(3)
    return Attention(UNITS, QUERY, score=score, attention_size=5 if score == "additive" else None).double()


def pooling(score: Any) -> AttentionPooling:
    torch.manual_seed(3)
    return AttentionPooling(UNITS, score=score, attention_size=5 if score == "additive" else None).double()


def arrays(module: torch.nn.Module) -> dict[str, Any]:
    return {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}


def energies(p: dict[str, Any], h: Any, query: Any) -> Any:
    """Energy of each step of one row; `query` is None where it is learned."""
    if "query.weight" in p:
        asked = p["query.weight"] @ query
        if "key.weight" in p:
            return [p["energy.weight"][0] @ np.tanh(p["key.weight"] @ step + asked) for step in h]
        return [asked @ step / math.sqrt(UNITS) for step in h]
    if "key.weight" in p:
        return [p["query"] @ np.tanh(p["key.weight"] @ step + p["key.bias"]) for step in h]
    return [p["query"] @ step / math.sqrt(UNITS) for step in h]


def assert_row(context: Tensor, weights: Tensor, p: dict[str, Any], h: Tensor, query: Any, length: int) -> None:
    e = np.array(energies(p, h.numpy()[:length], query))
    a = np.exp(e) / np.exp(e).sum()
    np.testing.assert_allclose(weights[:length].detach().numpy(), a, rtol=1e-12)
    assert weights[length:].eq(0).all()
    expected = sum((w * step for w, step in zip(a, h.numpy(), strict=False)), np.zeros(UNITS))
    np.testing.assert_allclose(context.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


@scores
def test_a_given_query_attends_as_written_out(score: str) -> None:
    module, h, query = attention(score), numbers(5, 3, UNITS), numbers(2, 3, QUERY)
    lengths = [5, 2, 1]
    context, weights = module(h, query, lengths)
    assert (context.shape, weights.shape) == ((2, 3, UNITS), (2, 5, 3))
    for step in range(2):
        for row, length in enumerate(lengths):
            one = (context[step, row], weights[step, :, row])
            assert_row(*one, arrays(module), h[:, row], query[step, row].numpy(), length)
        torch.testing.assert_close(module(h, query[step], lengths), (context[step], weights[step]))


@scores
def test_a_learned_query_attends_as_written_out(score: str) -> None:
    module, h = pooling(score), numbers(5, 3, UNITS)
    lengths = [5, 2, 1]
    context, weights = module(h, lengths)
    assert (context.shape, weights.shape) == ((3, UNITS), (5, 3))
    for row, length in enumerate(lengths):
        assert_row(context[row], weights[:, row], arrays(module), h[:, row], None, length)


@few
@given(some_lengths(), st.sampled_from([1.0, 1e4]))
def test_weights_sum_to_one_over_valid_steps_and_are_zero_elsewhere(case: tuple[int, list[int]], scale: float) -> None:
    time, lengths = case
    valid = torch.arange(time)[:, None] < torch.tensor(lengths, dtype=torch.int64)
    weights = masked_softmax(scale * numbers(2, time, len(lengths)), valid)
    assert weights[:, ~valid].eq(0).all()
    torch.testing.assert_close(weights.sum(1), valid.any(0).double().expand(2, -1))


@scores
@few
@given(some_lengths())
def test_padding_is_nothing_to_a_given_query(score: str, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = attention(score), case

    def run(h: Tensor, lengths: list[int] | None) -> Tensor:
        context: Tensor = module(h, torch.linspace(-1, 1, QUERY).double().expand(h.shape[1], -1), lengths)[0]
        return context

    assert_padding_is_nothing(module, run, time, lengths, UNITS, per_step=False)


@scores
@few
@given(some_lengths())
def test_padding_is_nothing_to_a_learned_query(score: str, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = pooling(score), case
    assert_padding_is_nothing(module, lambda h, n: module(h, n)[0], time, lengths, UNITS, per_step=False)


@scores
def test_every_parameter_gets_a_gradient(score: str) -> None:
    h, given_one, learned = numbers(4, 2, UNITS), attention(score), pooling(score)
    assert_every_parameter_gets_a_gradient(given_one, lambda h, n: given_one(h, numbers(2, QUERY), n)[0], h)
    assert_every_parameter_gets_a_gradient(learned, lambda h, n: learned(h, n)[0], h)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CellwiseError, match="unknown score 'dott'; did you mean 'dot'"):
        Attention(4, 3, score="dott")  # type: ignore[arg-type]
    with pytest.raises(CellwiseError, match="attention_size=5 is the additive score's"):
        AttentionPooling(4, score="dot", attention_size=5)
    with pytest.raises(CellwiseError, match="units=0 must be a whole number, 1 or more"):
        Attention(0, 3)
    with pytest.raises(ValueError, match=r"query must be \(batch, query\) = \(2, 3\)"):
        attention("dot")(numbers(4, 2, UNITS), numbers(3, QUERY))
    with pytest.raises(ValueError, match="input has 3 units; this module takes 4"):
        pooling("dot")(numbers(4, 2, 3))
