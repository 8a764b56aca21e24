"""Perplexity and bits per character against torch's cross entropy in float64, however the text is batched."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torchmetrics.text
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from cellwise.errors import CellwiseError
from cellwise.tasks.language.columns import IGNORED
from cellwise.tasks.language.metrics import (
    BitsPerCharacter,
    Perplexity,
    bits_per_character,
    perplexity,
    summed_nll_nats,
)


def some_logits(*shape: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Return logits (*shape, 11) and targets (*shape), about a quarter of them ignored."""
    generator = torch.Generator().manual_seed(5)
    logits = scale * torch.randn(*shape, 11, generator=generator)
    targets = torch.randint(0, 11, shape, generator=generator)
    ignored = torch.rand(shape, generator=generator) < 0.25
    return logits, torch.where(ignored, IGNORED, targets)


def oracle(logits: Tensor, targets: Tensor) -> tuple[float, int]:
    flat = logits.double().reshape(-1, logits.shape[-1])
    total = functional.cross_entropy(flat, targets.reshape(-1), reduction="sum", ignore_index=IGNORED)
    return total.item(), int((targets != IGNORED).sum())


@pytest.mark.parametrize("shape", [(1,), (17,), (5, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_the_sum_is_that_of_torchs_cross_entropy_in_float64(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    logits, targets = some_logits(*shape)
    logits = logits.to(dtype)
    total, count = summed_nll_nats(logits, targets)
    assert total.dtype == torch.float64
    expected, scored = oracle(logits, targets)
    assert total.item() == pytest.approx(expected, rel=1e-14)
    assert count.item() == scored


def test_a_vocabulary_of_any_size_is_summed_whole() -> None:
    logits = torch.randn(9, 70_000, generator=torch.Generator().manual_seed(1))  # more than fits in a piece
    targets = torch.tensor([0, 69_999, IGNORED, 5, 6, 7, 8, 9, 10])
    total, count = summed_nll_nats(logits, targets)
    assert total.item() == pytest.approx(oracle(logits, targets)[0], rel=1e-14)
    assert count.item() == 8


def test_a_gradient_flows_through_the_sum() -> None:
    logits = some_logits(4)[0].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: summed_nll_nats(z, torch.tensor([1, IGNORED, 0, 10]))[0], logits)


def test_perplexity_and_bits_by_plain_arithmetic() -> None:
    assert perplexity(3 * math.log(8), 3) == pytest.approx(8, rel=1e-15)
    assert bits_per_character(3 * math.log(8), 3) == pytest.approx(3, rel=1e-15)
    uniform = torch.zeros(6, 32), torch.arange(6)
    total, count = summed_nll_nats(*uniform)
    assert perplexity(total.item(), int(count)) == pytest.approx(32, rel=1e-14)
    assert bits_per_character(total.item(), int(count)) == pytest.approx(5, rel=1e-14)


@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.sampled_from([Perplexity, BitsPerCharacter]))
def test_no_batching_changes_the_value(cuts: list[int], kind: type[Perplexity | BitsPerCharacter]) -> None:
    logits, targets = some_logits(sum(cuts), 4)
    metric = kind()
    for batch_logits, batch_targets in zip(torch.split(logits, cuts), torch.split(targets, cuts), strict=True):
        metric.update(batch_logits, batch_targets)
    total, count = oracle(logits, targets)
    expected = math.exp(total / count) if kind is Perplexity else total / count / math.log(2)
    assert metric.compute().item() == pytest.approx(expected, rel=1e-13)
    assert metric.compute().dtype == torch.float64


def test_the_value_is_no_average_of_batch_averages() -> None:
    logits, targets = some_logits(8, 1)
    metric = Perplexity()
    values = []
    for batch in (slice(0, 7), slice(7, 8)):
        values.append(metric(logits[batch], targets[batch]).item())  # forward: the batch's own value
    assert values[0] == pytest.approx(math.exp(oracle(logits[:7], targets[:7])[0] / oracle(logits[:7], targets[:7])[1]))
    assert abs(metric.compute().item() - sum(values) / 2) > 0.1


@pytest.mark.parametrize("gap", [120.0, 200.0, 600.0])
def test_a_large_logit_gap_is_finite_where_torchmetrics_is_not(gap: float) -> None:
    logits = torch.tensor([[[gap, 0.0, 0.0]]])
    targets = torch.tensor([[1]])
    ours, theirs = Perplexity(), torchmetrics.text.Perplexity()
    ours.update(logits, targets)
    theirs.update(logits, targets)
    assert ours.compute().item() == pytest.approx(math.exp(gap), rel=1e-12)
    assert theirs.compute().isinf()
    bits = BitsPerCharacter()
    bits.update(logits, targets)
    assert bits.compute().item() == pytest.approx(gap / math.log(2), rel=1e-14)


def test_beyond_float64_perplexity_is_infinite_and_bits_are_not() -> None:
    assert perplexity(1e4, 1) == math.inf
    assert bits_per_character(1e4, 1) == pytest.approx(14426.95, rel=1e-6)


def test_many_small_updates_after_many_large_ones_are_not_lost() -> None:
    metric = Perplexity()
    metric.update(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    metric.count += 2**24  # where a float32 counter stops counting
    metric.update(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    assert metric.count.item() == 2**24 + 2


CASTS: dict[str, Callable[[nn.Module], object]] = {
    "float": lambda module: module.float(),
    "half": lambda module: module.half(),
    "bfloat16": lambda module: module.bfloat16(),
    "to float16": lambda module: module.to(torch.float16),
    "to bfloat16 and device": lambda module: module.to("cpu", torch.bfloat16),
    "type": lambda module: module.type(torch.float32),
}


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("kind", [Perplexity, BitsPerCharacter])
def test_sums_stay_exact_through_every_cast_of_the_module(cast: str, kind: type[Perplexity]) -> None:
    module = nn.ModuleDict({"metric": kind(), "linear": nn.Linear(2, 2)})
    metric = module["metric"]
    assert isinstance(metric, kind)
    logits, targets = some_logits(50, 3)
    CASTS[cast](module)
    for _ in range(2):  # a reset brings back the defaults, which must be float64 too
        metric.reset()
        metric.update(logits[:20], targets[:20])
        CASTS[cast](module)
        metric.update(logits[20:], targets[20:])
        assert metric.nll_nats_sum.dtype == torch.float64
        assert metric.count.dtype == torch.int64
        assert metric.nll_nats_sum.item() == pytest.approx(oracle(logits, targets)[0], rel=1e-14)
    assert metric.compute().dtype == torch.float64


def test_scoring_nothing_is_an_error_that_says_so() -> None:
    metric = Perplexity()
    metric.update(torch.zeros(3, 2), torch.full((3,), IGNORED))
    with pytest.raises(CellwiseError, match="no token was scored"):
        metric.compute()
    with pytest.raises(CellwiseError, match="no token was scored"):
        bits_per_character(0.0, 0)
    with (
        pytest.warns(UserWarning, match="before the ``update`` method"),
        pytest.raises(CellwiseError, match="no token was scored"),
    ):
        BitsPerCharacter().compute()
