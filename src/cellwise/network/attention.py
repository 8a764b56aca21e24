"""Attention over the steps of a sequence: additive and scaled dot product, with a given or a learned query.

Sources: Bahdanau, Cho and Bengio, ICLR 2015, arXiv 1409.0473, appendix A.1.2 (additive score); Luong, Pham and Manning,
EMNLP 2015, arXiv 1508.04025, section 3.1 (the score `general`); Vaswani et al. 2017, arXiv 1706.03762, equation (1)
(the scale); Yang et al., NAACL 2016, pages 1480 to 1489, equations (5) to (7) (learned query).

With outputs h_j of the steps and a query q:

    additive, given query      e_j = v . tanh(W h_j + V q)
    additive, learned query    e_j = u . tanh(W h_j + b)
    dot, given query           e_j = (V q) . h_j / sqrt(units)
    dot, learned query         e_j = u . h_j / sqrt(units)
    weights                    a = softmax of e over the valid steps, 0 elsewhere
    context                    sum_j a_j h_j

Differences: the dot product maps the query alone (Luong's `general`, scaled); Vaswani et al. map keys and values too.
A row of length 0 has weights and context 0. For dense states only.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from cellwise.errors import CellwiseError, unknown
from cellwise.network.checks import check_shape, lengths_of
from cellwise.recurrent.checks import check_sizes
from cellwise.recurrent.guard import blank

Score = Literal["additive", "dot"]
SCORES: tuple[str, ...] = get_args(Score)


def masked_softmax(scores: Tensor, valid: Tensor) -> Tensor:
    """Return weights over steps: they sum to one over a row's valid steps and are 0 elsewhere.

    Args:
        scores: (..., time, batch).
        valid: (time, batch) bool; a row with no valid step gets zeros, not NaN.
    """
    scores = scores.masked_fill(~valid, -math.inf)
    scores = torch.where(valid.any(0), scores, torch.zeros_like(scores))  # softmax of -inf alone is NaN
    return torch.where(valid, scores.softmax(-2), torch.zeros_like(scores))


class Attention(nn.Module):
    """Attention with a given query, as decoders use it.

    Args:
        units: features of the outputs that are attended to.
        query_size: features of the query.
        score: `additive` or `dot`.
        attention_size: width of the additive score; None for `units`. The dot product has none.

    Raises:
        CellwiseError: unknown score; a size that is not a whole number of 1 or more.
    """

    def __init__(self, units: int, query_size: int, *, score: Score = "additive", attention_size: int | None = None):
        super().__init__()
        width = _width(units, score, attention_size)
        check_sizes(query_size=query_size)
        self.units, self.query_size, self.score = units, query_size, score
        self.query = nn.Linear(query_size, width, bias=False)
        if score == "additive":
            self.key = nn.Linear(units, width, bias=False)
            self.energy = nn.Linear(width, 1, bias=False)

    def forward(
        self, outputs: Tensor, query: Tensor, lengths: Tensor | list[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend to the valid steps.

        Args:
            outputs: (time, batch, units).
            query: (batch, query size), or (steps, batch, query size) for one query per step of a decoder.
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full.

        Returns:
            Context (batch, units) and weights (time, batch); with steps: (steps, batch, units), (steps, time, batch).

        Raises:
            ValueError: a shape or length that does not fit.
        """
        check_shape(outputs, "time, batch, units", self.units, "units")
        if query.dim() not in (2, 3) or tuple(query.shape[-2:]) != (outputs.shape[1], self.query_size):
            raise ValueError(
                f"query must be (batch, query) = ({outputs.shape[1]}, {self.query_size}), or (steps, batch, query), "
                f"not of shape {tuple(query.shape)}"
            )
        valid = lengths_of(outputs, lengths).valid
        outputs = blank(outputs, valid)
        asked = self.query(query)
        if self.score == "additive":
            mapped = torch.tanh(self.key(outputs) + asked.unsqueeze(-3))  # (..., time, batch, attention)
            scores = self.energy(mapped).squeeze(-1)
        else:
            scores = torch.einsum("...bu,tbu->...tb", asked, outputs) / math.sqrt(self.units)
        weights = masked_softmax(scores, valid)
        return torch.einsum("...tb,tbu->...bu", weights, outputs), weights


class AttentionPooling(nn.Module):
    """Attention with a learned query: one vector for a row.

    Args:
        units: features of the outputs that are attended to.
        score: `additive` (Yang et al. 2016) or `dot`.
        attention_size: width of the additive score; None for `units`. The dot product has none.

    Raises:
        CellwiseError: unknown score; a size that is not a whole number of 1 or more.
    """

    def __init__(self, units: int, *, score: Score = "additive", attention_size: int | None = None):
        super().__init__()
        width = _width(units, score, attention_size)
        self.units, self.score = units, score
        if score == "additive":
            self.key = nn.Linear(units, width)
        # Not 0: an additive key would get no gradient at the first step.
        self.query = nn.Parameter(nn.init.uniform_(torch.empty(width), -1 / math.sqrt(width), 1 / math.sqrt(width)))

    def forward(self, outputs: Tensor, lengths: Tensor | list[int] | None = None) -> tuple[Tensor, Tensor]:
        """Attend to the valid steps.

        Args:
            outputs: (time, batch, units).
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full.

        Returns:
            Context (batch, units) and weights (time, batch).

        Raises:
            ValueError: a shape or length that does not fit.
        """
        check_shape(outputs, "time, batch, units", self.units, "units")
        valid = lengths_of(outputs, lengths).valid
        outputs = blank(outputs, valid)
        if self.score == "additive":
            scores = torch.tanh(self.key(outputs)) @ self.query
        else:
            scores = outputs @ self.query / math.sqrt(self.units)
        weights = masked_softmax(scores, valid)
        return torch.einsum("tb,tbu->bu", weights, outputs), weights


def _width(units: int, score: str, attention_size: int | None) -> int:
    """The width of a score, checked."""
    if score not in SCORES:
        raise unknown("score", score, SCORES)
    if score == "dot" and attention_size is not None:
        raise CellwiseError(
            f"attention_size={attention_size} is the additive score's; leave it out, or take score='additive'"
        )
    width = units if attention_size is None else attention_size
    check_sizes(units=units, attention_size=width)
    return width
