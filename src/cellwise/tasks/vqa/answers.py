"""What a trained network says of a split's questions: its best answers, their probability, and what the best counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cellwise.data.shuffled import Rows
from cellwise.tasks.vqa.questions import UNSCORED, Batch, Questions
from cellwise.tasks.vqa.results import QuestionId
from cellwise.tasks.vqa.scores import Answer
from cellwise.tasks.vqa.settings import LossName

MOST_ANSWERS = 5


class Said(NamedTuple):
    """Answers by question, in the order of the split.

    Attributes:
        best: int64 (questions, answers), the classes of at most `MOST_ANSWERS` answers, the most probable first.
        probability: float32, the same shape.
        credit: float64 (questions,), what the first counts, 0 to 1; NaN where nobody published an answer.
    """

    best: Rows
    probability: npt.NDArray[np.float32]
    credit: npt.NDArray[np.float64]


def best_of(logits: Tensor, loss: LossName) -> tuple[Tensor, Tensor]:
    """Return the classes of the best answers and their probability, each (batch, answers).

    Of a network trained with `cross_entropy` the probabilities of all answers add up to 1; with `soft_target_bce` each
    is that of the answer counting, whatever the others.
    """
    # By logits, stable: the first is `argmax`'s, which scores go by, even where probabilities round to the same.
    best = logits.sort(dim=1, descending=True, stable=True).indices[:, :MOST_ANSWERS]
    wide = logits.float()
    probability = wide.softmax(1) if loss == "cross_entropy" else wide.sigmoid()
    return best, probability.gather(1, best)


@torch.no_grad()
def said_of(network: nn.Module, answer: Answer, loss: LossName, batches: Iterable[Batch]) -> Said:
    """Return what a network says of all questions of a split.

    Args:
        network: in evaluation.
        answer: what it says of a batch.
        loss: that it was trained with.
        batches: of the whole split, in any order.
    """
    device = next(network.parameters()).device
    rows, found = [], []
    for each in batches:
        batch = on_device(each, device)
        best, probability = best_of(answer(network, batch), loss)
        credit = batch.credit.gather(1, best[:, :1]).squeeze(1).double()
        credit = credit.masked_fill(batch.answer_type == UNSCORED, torch.nan)
        rows.append(each.rows)
        found.append((best.cpu(), probability.cpu(), credit.cpu()))
    order = torch.cat(rows).cpu().argsort()
    return Said(*(torch.cat(parts)[order].numpy() for parts in zip(*found, strict=True)))


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on the device of a network."""
    return Batch(*(each.to(device) for each in batch))


def answers_of(said: Said, questions: Questions) -> dict[QuestionId, str]:
    """Return the answer to each question, by its id."""
    classes = questions.vocabulary.answers
    return {questions.question(row).id: classes[best] for row, best in enumerate(said.best[:, 0].tolist())}
