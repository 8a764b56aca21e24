"""shapes_qa: the embedded data set. Question and image of a number are a pure function of (seed, split, number).

What is asked and drawn is told by `shapes_language` and `scenes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np

from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.data_settings import ShapesQA
from cellwise.tasks.vqa.encoded import EncodedQuestions, encode
from cellwise.tasks.vqa.images import Images, PixelImages
from cellwise.tasks.vqa.questions import Questions
from cellwise.tasks.vqa.scene_descriptions import SceneDescriptions, described
from cellwise.tasks.vqa.scenes import draw
from cellwise.tasks.vqa.shapes_language import Asked, QuestionType, ask
from cellwise.tasks.vqa.table import QuestionTable


def draw_questions(data: ShapesQA) -> Mapping[Split, Questions]:
    """Return the questions of each split with their images."""
    tables: dict[Split, QuestionTable] = {}
    images: dict[Split, Images] = {}
    for split in get_args(Split):
        asked = asked_of(data, split)
        names = [f"{split}_{number}" for number in range(len(asked))]
        tables[split], scenes = table_of(asked, names), [each.scene for each in asked]
        drawn = PixelImages(draw(scenes, data.size), {name: row for row, name in enumerate(names)})
        seen = data.images == "pixels"
        images[split] = drawn if seen else SceneDescriptions(described(scenes, data.objects_max), drawn)
    found: Mapping[Split, EncodedQuestions] = encode(tables, images)
    return found


def asked_of(data: ShapesQA, split: Split) -> list[Asked]:
    """Return all questions of a split with their scenes."""
    return [asked_at(data, split, number) for number in range(getattr(data, f"{split}_questions"))]


def asked_at(data: ShapesQA, split: Split, number: int) -> Asked:
    """Return one question with its scene, a pure function of its arguments."""
    rng = np.random.default_rng([data.seed, get_args(Split).index(split), number])
    share = rng.random()
    question_type: QuestionType = "non_relational"
    if share < data.compositional:
        question_type = "compositional"
    elif share < data.compositional + data.relational:
        question_type = "relational"
    words = int(rng.integers(data.words_min, data.words_max + 1))
    return ask(rng, question_type, (data.objects_min, data.objects_max), words)


def table_of(asked: list[Asked], names: list[str]) -> QuestionTable:
    """Return questions as a table, each with an image of its own."""
    return QuestionTable(
        ids=list(range(len(asked))),
        images=names,
        texts=[each.text for each in asked],
        answers=[(each.answer,) for each in asked],
        modes=[each.answer for each in asked],
        question_types=[each.question_type for each in asked],
        answer_types=[each.answer_type for each in asked],
    )
