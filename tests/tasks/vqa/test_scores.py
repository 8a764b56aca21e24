"""Scores and floors of made-up questions, told by hand; the same under any batching."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cellwise.data.bucketed import by_length
from cellwise.tasks.vqa.answers import said_of
from cellwise.tasks.vqa.evaluation import Annotation, judge
from cellwise.tasks.vqa.floors import credits_of_floors, floors_of
from cellwise.tasks.vqa.metrics import official_accuracy
from cellwise.tasks.vqa.scores import AnswerScores
from tests.tasks.vqa.eval_made_up import TEST, TRAIN, UNPUBLISHED, Says, answer, made_up

SAID = ("red", "yes", "two", "blue", "no")
# "Red!" is red where people differ; 3 of 10 say yes: 0.9; all say "2", so "two" is wrong; 2 of 10: 0.6; all say no.
CREDIT = (1.0, 0.9, 0.0, 0.6, 1.0)


def scores_of(batch_size: int, asked: tuple = TEST, said: tuple[str, ...] = SAID) -> dict[str, float]:  # type: ignore[type-arg]
    questions = made_up(asked)["test"]
    scores, network = AnswerScores(answer), Says(questions, said)
    for batch in by_length(questions, batch_size):
        scores.update(network, batch, None)
    return scores.compute()


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_scores_are_sums_over_questions_by_type_and_length(batch_size: int) -> None:
    assert scores_of(batch_size) == pytest.approx(
        {
            "accuracy": 100 * 3.5 / 5,
            "accuracy_yes_no": 100 * 1.9 / 2,
            "accuracy_number": 0.0,
            "accuracy_other": 100 * 1.6 / 2,
            "accuracy_words_1_to_5": 100 * 2.5 / 4,
            "accuracy_words_11_to_20": 100.0,
        },
        abs=1e-5,
    )


def test_the_score_of_a_network_is_the_official_accuracy_of_what_it_says() -> None:
    questions = made_up()["test"]
    network = Says(questions, SAID)
    said = said_of(network, answer, "cross_entropy", by_length(questions, 2))
    assert [questions.vocabulary.answers[best] for best in said.best[:, 0]] == list(SAID)
    expected = [official_accuracy(one, humans) for one, (_, humans, _, _) in zip(SAID, TEST, strict=True)]
    assert said.credit == pytest.approx(expected, abs=1e-7) and expected == pytest.approx(CREDIT)
    annotations = [Annotation(row, tuple(humans), kind, of) for row, (_, humans, kind, of) in enumerate(TEST)]
    judged = judge(dict(enumerate(SAID)), annotations)
    assert judged.overall == pytest.approx(scores_of(3)["accuracy"], abs=0.005)


def test_questions_whose_answers_nobody_published_count_in_no_score() -> None:
    assert scores_of(2, (*TEST, UNPUBLISHED), (*SAID, "no")) == scores_of(2)
    nothing = scores_of(2, (UNPUBLISHED,), ("no",))
    assert list(nothing) == ["accuracy"] and math.isnan(nothing["accuracy"])
    hidden = made_up((UNPUBLISHED,))
    assert all(math.isnan(value) for value in floors_of(hidden["train"], hidden["test"]).values())


def test_floors_answer_as_train_does_and_are_scored_on_test() -> None:
    """`no` is most often the mode answer of `is` (2 of 3), `red` of `what`, and of all, for it comes before `no`."""
    questions = made_up((*TEST, UNPUBLISHED))
    credits = credits_of_floors(questions["train"], questions["test"])
    # red: 8 of 10; nobody; nobody; 1 of 10; nobody.
    np.testing.assert_allclose(credits["majority"], [1.0, 0.0, 0.0, 0.3, 0.0, np.nan])
    # red to what, no to is (7 of 10), two to how many (all say "2"), red to why, which train does not have, no to is.
    np.testing.assert_allclose(credits["question_type_prior"], [1.0, 1.0, 0.0, 0.3, 1.0, np.nan])
    assert floors_of(questions["train"], questions["test"]) == pytest.approx(
        {"majority": 26.0, "question_type_prior": 66.0}
    )
    assert [len(split) for split in questions.values()] == [len(TRAIN), 6, 6]


def test_probabilities_are_those_that_the_loss_means() -> None:
    questions = made_up()["test"]
    network = Says(questions, SAID)
    said = said_of(network, answer, "cross_entropy", by_length(questions, 5))
    classes = len(questions.vocabulary.answers)
    assert said.best.shape == (5, min(5, classes)) and (np.diff(said.probability, axis=1) <= 0).all()
    assert said.probability.sum(1) == pytest.approx(np.ones(5), abs=0.02)
    own = said_of(network, answer, "soft_target_bce", by_length(questions, 5))
    assert (own.best == said.best).all()
    assert own.probability[:, 0] == pytest.approx(np.full(5, 1 / (1 + math.exp(-2))), abs=1e-6)
