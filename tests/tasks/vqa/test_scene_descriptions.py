"""Described scenes say of each object what the image shows; questions, answers and images are those of the pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from cellwise.tasks.vqa.data_settings import ShapesQA, build_questions
from cellwise.tasks.vqa.scene_descriptions import FEATURES, described
from cellwise.tasks.vqa.scenes import COLOURS, SHAPES, Scene

SMALL = ShapesQA(train_questions=40, valid_questions=2, test_questions=2)


def test_a_row_is_an_object_and_what_is_not_there_is_zero() -> None:
    scene = Scene((2, 0), (3, 1), np.array([[0.0, 0.25], [0.5, 1.0]]))
    [found] = described([scene], 3)
    assert found.shape == (3, FEATURES)
    assert [list(COLOURS)[k] for k in found[:2, :6].argmax(1)] == ["blue", "red"]
    assert [SHAPES[k] for k in found[:2, 6:10].argmax(1)] == ["cross", "square"]
    np.testing.assert_array_equal(found[:2, :10].sum(1), 2)
    np.testing.assert_array_equal(found[:, 10:], [[-1, -0.5], [0, 1], [0, 0]])
    assert not found[2].any()


def test_nothing_else_changes() -> None:
    drawn = build_questions(SMALL)["train"]
    told = build_questions(dataclasses.replace(SMALL, images="objects"))["train"]
    rows = np.arange(40)
    one, other = drawn[rows], told[rows]
    assert (told.image_kind, told.image_shape) == ("regions", (4, FEATURES)) == ("regions", other.images.shape[1:])
    for name in ("words", "lengths", "mode", "credit", "rows", "answer_type"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert [told.question(row) for row in range(40)] == [drawn.question(row) for row in range(40)]
    shown, seen = drawn.pixels(3), told.pixels(3)
    assert shown is not None and seen is not None and torch.equal(shown, seen)
    assert drawn.sha256() != told.sha256()
