"""Made-up questions of several people, in the data's own arrays: what each answer counts can be told by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.encoded import EncodedQuestions, encode
from cellwise.tasks.vqa.images import PixelImages
from cellwise.tasks.vqa.questions import Batch
from cellwise.tasks.vqa.table import QuestionTable, mode_of

Asked = tuple[str, Sequence[str], str, str]
"""Text, everyone's answers, type of question, type of answer."""

COLOURS = ["red"] * 6 + ["Red!"] * 2 + ["blue"] * 2
TRAIN: tuple[Asked, ...] = (
    ("what colour is it ?", ["red"] * 10, "what", "other"),
    ("what colour is the car ?", ["red"] * 9 + ["blue"], "what", "other"),
    ("is it red ?", ["yes"] * 8 + ["no"] * 2, "is", "yes/no"),
    ("is it a cat or is it a dog ?", ["no"] * 10, "is", "yes/no"),
    ("is it blue ?", ["no"] * 10, "is", "yes/no"),
    ("how many ?", ["two"] * 5 + ["2"] * 5, "how many", "number"),
    ("what is it ?", ["red"] * 4 + ["blue"] * 6, "what", "other"),
)
TEST: tuple[Asked, ...] = (
    ("what colour is the dog ?", COLOURS, "what", "other"),
    ("is it a dog ?", ["yes"] * 3 + ["no"] * 7, "is", "yes/no"),
    ("how many ?", ["2"] * 10, "how many", "number"),
    ("why ?", ["blue"] * 2 + ["red"] + ["no"] * 7, "why", "other"),
    ("and is it what it is or is it not what it is ?", ["no"] * 10, "is", "yes/no"),
)
UNPUBLISHED: Asked = ("is it secret ?", [], "is", "other")


def table(asked: Sequence[Asked]) -> QuestionTable:
    found = QuestionTable.empty()
    for number, (text, answers, question_type, answer_type) in enumerate(asked):
        row = (100 + number, "a picture", text, tuple(answers), mode_of(answers), question_type, answer_type)
        for column, value in zip(found.columns(), row, strict=True):
            column.append(value)
    return found


def made_up(
    test: Sequence[Asked] = TEST, train: Sequence[Asked] = TRAIN, *, redistributable: bool = True
) -> dict[Split, EncodedQuestions]:
    """Questions about one picture, whose left half is red and whose right half is blue."""
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    pixels[0, :, :4, 0] = pixels[0, :, 4:, 2] = 200
    images = PixelImages(pixels, {"a picture": 0}, redistributable=redistributable)
    splits: dict[Split, Sequence[Asked]] = {"train": train, "valid": test, "test": test}
    return encode({split: table(asked) for split, asked in splits.items()}, {split: images for split in splits})


class Says(nn.Module):
    """Answers each row of a split with a given answer, then with the others in the vocabulary's order."""

    def __init__(self, questions: EncodedQuestions, answers: Sequence[str]) -> None:
        super().__init__()
        classes = questions.vocabulary.answers
        logits = -torch.arange(float(len(classes))).repeat(len(answers), 1)
        for row, answer in enumerate(answers):
            logits[row, classes.index(answer)] = 2.0
        self.logits = nn.Parameter(logits)


def answer(network: nn.Module, batch: Batch) -> Tensor:
    assert isinstance(network, Says)
    return network.logits[batch.rows]
