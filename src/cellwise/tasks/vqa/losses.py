"""What training minimises: by question, so that probes can look at each.

    cross_entropy      -log softmax(logits)[mode answer]                       Antol et al. 2015, arXiv 1505.00468
    soft_target_bce    sum over answers of BCE(sigmoid(logit), credit)         Teney et al. 2018, arXiv 1708.02711

A question whose mode answer is not in the vocabulary leaves the cross entropy: there is nothing that it could teach.
It stays in the other, where it teaches which answers are wrong. Both are means over the questions that are left.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from cellwise.tasks.vqa.questions import OUTSIDE, Batch
from cellwise.tasks.vqa.settings import LossName


class Lost(NamedTuple):
    """A loss before it is divided.

    Attributes:
        of_question: (batch,), 0 where a question is left out.
        questions: how many are not.
    """

    of_question: Tensor
    questions: int

    def mean(self) -> Tensor:
        """Return the mean over questions, scalar; 0 of none."""
        return self.of_question.sum() / max(self.questions, 1)


def lost(loss: LossName, logits: Tensor, batch: Batch) -> Lost:
    """Return a loss by question.

    Args:
        loss: which.
        logits: (batch, answers).
        batch: its `mode`, or its `credit`.
    """
    if loss == "soft_target_bce":
        each = F.binary_cross_entropy_with_logits(logits, batch.credit.to(logits.dtype), reduction="none")
        return Lost(each.sum(1), len(logits))
    nats = F.cross_entropy(logits, batch.mode, ignore_index=OUTSIDE, reduction="none")
    return Lost(nats, int((batch.mode != OUTSIDE).sum()))
