"""What a network can know: words and answers of train alone, and how much each answer counts for each question."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
import torch

from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.credit import credit_of
from cellwise.tasks.vqa.encoded import EncodedQuestions, encode
from cellwise.tasks.vqa.images import PixelImages
from cellwise.tasks.vqa.metrics import official_accuracy
from cellwise.tasks.vqa.questions import OUTSIDE, PADDING, UNKNOWN, UNSCORED
from cellwise.tasks.vqa.table import QuestionTable, answer_type_of, mode_of, question_type_of, words_of
from cellwise.tasks.vqa.vocabulary import fit_vocabulary


def table(*asked: tuple[str, tuple[str, ...]]) -> QuestionTable:
    """Questions with their answers, about one image."""
    found = QuestionTable.empty()
    for number, (text, answers) in enumerate(asked):
        mode = mode_of(answers)
        row = (number, "i", text, answers, mode, question_type_of(text), answer_type_of(mode))
        for column, value in zip(found.columns(), row, strict=True):
            column.append(value)
    return found


TRAIN = table(
    ("What is it?", ("cat",)), ("What is this?", ("cat",)), ("Is it big?", ("no",)), ("Is it red?", ("dog",))
)  # fmt: skip


def encoded(test: QuestionTable, **options: int) -> dict[Split, EncodedQuestions]:
    images = PixelImages(np.zeros((1, 2, 2, 3), np.uint8), {"i": 0})
    splits: tuple[Split, ...] = ("train", "valid", "test")
    tables = {"train": TRAIN, "valid": TRAIN, "test": test}
    return encode(tables, dict.fromkeys(splits, images), **options)  # type: ignore[arg-type]


def test_words_are_letters_and_digits_in_lower_case() -> None:
    assert words_of("What's the man's T-shirt, in 2 COLOURS?") == (
        "what's",
        "the",
        "man's",
        "t",
        "shirt",
        "in",
        "2",
        "colours",
    )
    assert words_of("Où est-il ?") == ("où", "est", "il")
    assert words_of(" ?! ") == ()


def test_a_vocabulary_is_trains_alone_the_most_frequent_first() -> None:
    vocabulary = fit_vocabulary(TRAIN)
    assert vocabulary.answers == ("cat", "dog", "no")
    assert (vocabulary.words[PADDING], vocabulary.words[UNKNOWN]) == ("<pad>", "<unk>")
    assert vocabulary.words[2:] == ("is", "it", "what", "big", "red", "this")
    assert fit_vocabulary(TRAIN, answers=2, words_min_count=2).words[2:] == ("is", "it", "what")
    with pytest.raises(CellwiseError, match=r"train has 1 answers that are frequent enough.*answers_min_count=2"):
        fit_vocabulary(TRAIN, answers_min_count=2)


def test_what_no_network_can_know_is_counted() -> None:
    test = table(("Is the red cat big?", ("no",)), ("What is it?", ("horse",)), ("Who?", ()))
    questions = encoded(test)["test"]
    batch = questions[np.array([0, 1, 2])]
    assert batch.words[:, 0].tolist() == [2, UNKNOWN, 6, UNKNOWN, 5]
    assert batch.mode.tolist() == [2, OUTSIDE, OUTSIDE]
    assert batch.answer_type.tolist() == [0, 2, UNSCORED]
    assert batch.credit.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert questions.upper_bound() == 0.5
    assert questions.remarks == (
        "test: 3 of 9 words unknown, in 2 questions",
        "test: the mode answer of 1 of 2 questions is outside the vocabulary of 3; "
        "the best possible accuracy is 50.00 %",
    )
    assert encoded(TRAIN)["test"].remarks == ()
    # The vocabulary is no part of what the data are.
    assert questions.sha256() == encoded(test, answers=2)["test"].sha256()


def test_credit_is_the_official_accuracy_of_every_answer_of_the_vocabulary() -> None:
    rng = random.Random(0)
    spoken = [
        "yes",
        "Yes",
        "no",
        "2",
        "two",
        "none",
        "0",
        "a cat",
        "cat",
        "T-shirt",
        "t shirt",
        "n/a",
        " no ",
        "it's",
        "its",
    ]
    answers = [tuple(rng.choices(spoken[: rng.randrange(1, 15)], k=10)) for _ in range(400)]
    answers += [(rng.choice(spoken),) for _ in range(50)] + [()]
    vocabulary = [*spoken, "dog", "the cat"]
    credit = credit_of(answers, vocabulary)
    wanted = np.zeros((len(answers), len(vocabulary)), np.float32)
    for row, given in enumerate(answers):
        for number, answer in enumerate(vocabulary):
            certain = float(answer == given[0]) if given else 0.0
            wanted[row, number] = official_accuracy(answer, given) if len(given) > 1 else certain
    order = np.array(rng.sample(range(len(answers)), len(answers)))
    assert torch.equal(credit.dense(order), torch.from_numpy(wanted[order]))
    assert credit.best().tolist() == wanted.max(1).tolist()
    assert len(credit.values) < 0.5 * wanted.size


def test_the_same_answers_are_scored_once_in_whatever_order_they_were_given() -> None:
    rng = random.Random(1)
    people = ("yes",) * 6 + ("no",) * 3 + ("maybe",)
    answers = [tuple(rng.sample(people, 10)) for _ in range(20_000)]
    began = time.process_time()
    credit = credit_of(answers, ["yes", "no"])
    assert time.process_time() - began < 2  # one by one it would take longer by far
    assert len(credit.values) == 40_000
    assert credit.dense(np.array([0, 19_999])).tolist() == [[1, pytest.approx(0.9)]] * 2
