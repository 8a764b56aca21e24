"""The scores of one pass over questions: accuracy of all, of each answer type, and by the length of the question."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from cellwise.tasks.contract import Scores
from cellwise.tasks.vqa.questions import ANSWER_TYPES, Batch

Answer = Callable[[nn.Module, Batch], Tensor]
"""What a network says of a batch: logits (batch, answers)."""

LONGEST_WORDS = (5, 10, 20, 40)
"""Questions of up to so many words are scored together; the last part has no end."""


class AnswerScores(Scores):
    """Accuracy in percent: the credit of each question's most probable answer, a mean over questions.

    `accuracy` is over all; `accuracy_yes_no`, `accuracy_number`, `accuracy_other` and `accuracy_words_6_to_10` are over
    those of an answer type, and of a length, that there are. The credit is the official accuracy where several people
    answered. Questions whose answers nobody published count in none; where there are no others, `accuracy` is NaN.

    Args:
        answer: what a network says of a batch.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._sums: Tensor | None = None  # float64 (credit and questions, parts), on the device of the batches

    def update(self, network: nn.Module, batch: Batch, state: None) -> None:
        """Score one batch."""
        said = self._answer(network, batch).argmax(1, keepdim=True)
        credit = batch.credit.gather(1, said).squeeze(1).double()  # (batch,)
        parts = _parts(batch)
        sums = torch.stack([credit @ parts, parts.sum(0)])
        self._sums = sums if self._sums is None else self._sums + sums

    def compute(self) -> dict[str, float]:
        """Return the scores."""
        total = torch.zeros(2, len(_NAMES)) if self._sums is None else self._sums
        scores = {
            name: 100 * credit / max(count, 1)
            for name, credit, count in zip(_NAMES, *total.tolist(), strict=True)
            if count
        }
        return scores or {_NAMES[0]: math.nan}


def _named() -> list[str]:
    edges = [0, *LONGEST_WORDS]
    lengths = [f"words_{low + 1}_to_{high}" for low, high in zip(edges, LONGEST_WORDS, strict=False)]
    kinds = [kind.replace("/", "_") for kind in ANSWER_TYPES]
    return ["accuracy", *(f"accuracy_{part}" for part in (*kinds, *lengths, f"words_{edges[-1] + 1}_and_more"))]


_NAMES = _named()


def _parts(batch: Batch) -> Tensor:
    """Which questions each score is over: all, by answer type, by length; float64 (batch, parts) of 0 and 1."""
    scored = batch.answer_type >= 0
    kinds = batch.answer_type[:, None] == torch.arange(len(ANSWER_TYPES)).to(batch.answer_type)
    length = torch.bucketize(batch.lengths, torch.tensor(LONGEST_WORDS).to(batch.lengths))
    lengths = length[:, None] == torch.arange(len(LONGEST_WORDS) + 1).to(length)
    return (torch.cat([scored[:, None], kinds, lengths], 1) & scored[:, None]).double()
