"""Losses are their formulas in float64; a question without an answer in the vocabulary leaves the cross entropy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cellwise.tasks.vqa.losses import lost
from cellwise.tasks.vqa.questions import OUTSIDE, Batch
from tests.tasks.vqa.made_up import ANSWERS, MadeUp

ROWS = np.array([0, 1, 2, 3, 6])


def drawn() -> tuple[Batch, torch.Tensor]:
    return MadeUp()[ROWS], torch.randn(len(ROWS), len(ANSWERS), dtype=torch.float64, requires_grad=True)


def test_cross_entropy_is_its_formula_on_the_questions_that_have_an_answer() -> None:
    batch, logits = drawn()
    found = lost("cross_entropy", logits, batch)
    x = logits.detach().numpy()
    log_softmax = x - np.log(np.exp(x).sum(1, keepdims=True))
    expected = [0.0 if mode == OUTSIDE else -row[mode] for row, mode in zip(log_softmax, batch.mode, strict=True)]
    np.testing.assert_allclose(found.of_question.detach(), expected, rtol=1e-12)
    assert found.questions == 4
    assert found.mean().item() == pytest.approx(sum(expected) / 4, rel=1e-12)


def test_soft_targets_are_summed_over_answers_and_averaged_over_questions() -> None:
    batch, logits = drawn()
    found = lost("soft_target_bce", logits, batch)
    p, credit = 1 / (1 + np.exp(-logits.detach().numpy())), batch.credit.double().numpy()
    expected = -(credit * np.log(p) + (1 - credit) * np.log1p(-p)).sum(1)
    np.testing.assert_allclose(found.of_question.detach(), expected, rtol=1e-12)
    assert (credit == np.float32(0.6)).any() and not credit[0].any()  # soft targets, and a question with none
    assert found.mean().item() == pytest.approx(expected.mean(), rel=1e-12)


def test_questions_without_an_answer_alone_cost_nothing_and_teach_nothing() -> None:
    batch, logits = drawn()
    found = lost("cross_entropy", logits, batch._replace(mode=torch.full_like(batch.mode, OUTSIDE)))
    assert (found.questions, found.mean().item()) == (0, 0.0)
    [gradient] = torch.autograd.grad(found.mean(), logits)
    assert not gradient.any()
