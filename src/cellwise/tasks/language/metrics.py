"""Perplexity and bits per character, exact in float64 under any batching.

Perplexity is exp(sum of -ln p / count), bits per character sum of -log2 p / count; both sum over all tokens
and divide once at the end.

Differences: torchmetrics 1.9's `Perplexity` takes the logarithm of a float32 softmax, which is infinite once
the target's logit lies about 104 below the largest, and sums in float32. Here the logits go to float64 first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from cellwise.errors import CellwiseError
from cellwise.tasks.language.columns import IGNORED

# Logits that go to float64 at a time: 2 MB stay in the cache, which is about 3 times as fast as all at once
# (35 x 20 predictions of 10,000 words on two cores).
_CACHED_LOGITS = 1 << 18


def perplexity(nll_nats_sum: float, count: int) -> float:
    """Return exp of the mean negative log-likelihood; infinite where that is beyond float64.

    Raises:
        CellwiseError: no token was scored.
    """
    mean = _mean(nll_nats_sum, count)
    return math.exp(mean) if mean < 709.0 else math.inf  # exp(709.8) leaves float64


def bits_per_character(nll_nats_sum: float, count: int) -> float:
    """Return the mean negative log-likelihood in bits.

    Raises:
        CellwiseError: no token was scored.
    """
    return _mean(nll_nats_sum, count) / math.log(2)


def summed_nll_nats(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sum -ln softmax(logits)[target] over the targets that are not `IGNORED`.

    Args:
        logits: any floating type, (..., vocabulary).
        targets: int64 (...).

    Returns:
        The sum, float64 (), and how many targets it is over, int64 ().
    """
    flat = logits.reshape(-1, logits.shape[-1])  # (tokens, vocabulary)
    scored = targets.reshape(-1) != IGNORED
    wanted = torch.where(scored, targets.reshape(-1), 0).unsqueeze(-1)
    rows = max(1, _CACHED_LOGITS // flat.shape[-1])
    normaliser = torch.cat([torch.logsumexp(piece.double(), dim=-1) for piece in torch.split(flat, rows)])
    nll_nats = normaliser - flat.gather(-1, wanted).squeeze(-1).double()  # (tokens,)
    return torch.where(scored, nll_nats, 0.0).sum(), scored.sum()


class _MeanNll(Metric):
    """Sums that stay float64 and int64 through every cast of the module they live in."""

    full_state_update = False
    higher_is_better = False
    is_differentiable = False

    nll_nats_sum: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("nll_nats_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add a batch: logits (..., vocabulary) and targets int64 (...), `IGNORED` where there is none."""
        nll_nats, count = summed_nll_nats(logits.detach(), targets)
        self.nll_nats_sum = self.nll_nats_sum + nll_nats
        self.count = self.count + count

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> nn.Module:
        # torchmetrics guards its states against .float() and .half() but not against .to(dtype), which is
        # what Lightning's precision="bf16-true" calls. Only the device is taken over.
        def keep_dtype(state: Tensor) -> Tensor:
            moved = fn(state)
            return moved if moved.dtype == state.dtype else state.to(moved.device)

        return super()._apply(keep_dtype, exclude_state)


class Perplexity(_MeanNll):
    """exp of the mean negative log-likelihood over everything seen since the last reset."""

    def compute(self) -> Tensor:
        """Return the perplexity, float64 ().

        Raises:
            CellwiseError: no token was scored.
        """
        return self.nll_nats_sum.new_tensor(perplexity(self.nll_nats_sum.item(), int(self.count)))


class BitsPerCharacter(_MeanNll):
    """Mean negative log-likelihood in bits over everything seen since the last reset."""

    def compute(self) -> Tensor:
        """Return bits per character, float64 ().

        Raises:
            CellwiseError: no token was scored.
        """
        return self.nll_nats_sum.new_tensor(bits_per_character(self.nll_nats_sum.item(), int(self.count)))


def _mean(nll_nats_sum: float, count: int) -> float:
    if count < 1:
        raise CellwiseError("no token was scored, so there is no perplexity; give at least one batch with a target")
    return nll_nats_sum / count
