"""The evidence of answers: which questions they are right on, what they are taken for, and some to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from cellwise.records.schema import Axis, Column, Curves, Gallery, Heatmap, Series, Table, View
from cellwise.tasks.vqa.answers import Said
from cellwise.tasks.vqa.floors import Credits, percent
from cellwise.tasks.vqa.questions import ANSWER_TYPES, UNSCORED, Question, Questions

_FEWEST = 5  # questions of one point: below, a mean says little
_MOST_LENGTHS = 25
_MOST_TYPES = 20
_MOST_CONFUSED = 12
_EXAMPLES = 12
_MOST_PIXELS = 128  # a side of a picture that is stored

_ACCURACY = Axis("accuracy", "%", least=0.0, most=100.0)


def of_test(said: Said, questions: Questions, floors: Mapping[str, Credits]) -> list[View]:
    """Return accuracy by answer type, question type and length; what is taken for what; and examples.

    Args:
        said: of the network, of each test question.
        questions: of the test split.
        floors: what trivial answers count for each test question, by name.
    """
    asked = [questions.question(row) for row in range(len(questions))]
    found: list[View] = [examples(said, questions, asked)]
    if np.isnan(said.credit).all():  # nobody published the answers
        return found
    credits = {"model": said.credit, **floors}
    by_type = [_by_question_type(credits, asked)] if len({each.question_type for each in asked}) > 1 else []
    return [
        _by_answer_type(credits, asked),
        *by_type,
        *_by_length(credits, asked),
        *_confusion(said, questions, asked),
        *found,
    ]


def examples(said: Said, questions: Questions, asked: Sequence[Question]) -> Gallery:
    """Return some questions with their pictures and best answers: the same ones whatever the network says."""
    rows = _spread_over_types(asked)
    pictures = [questions.pixels(row) for row in rows]
    shown = [_thumbnail(each.numpy()) for each in pictures if each is not None]
    classes = questions.vocabulary.answers
    several = any(len(each.answers) > 1 for each in asked)
    return Gallery(
        name="examples",
        title="Some test questions, and the most probable answers",
        question="Is what each cell gets wrong at least near?"
        + (" Right is here what most people said." if several else ""),
        value=Axis("probability", "%", least=0.0, most=100.0),
        captions=tuple(asked[row].text for row in rows),
        right=tuple(asked[row].mode if asked[row].answers else "" for row in rows),
        answers=tuple(tuple(classes[best] for best in said.best[row].tolist()) for row in rows),
        values=100 * said.probability[rows],
        images=np.stack(shown) if shown and len(shown) == len(rows) else None,
        redistributable=questions.redistributable,
    )


def _by_answer_type(credits: Mapping[str, Credits], asked: Sequence[Question]) -> Table:
    kinds = np.array([each.scored_as for each in asked])
    rows: list[tuple[str | int | float, ...]] = []
    for name, of in [*((name, kinds == place) for place, name in enumerate(ANSWER_TYPES)), ("all", kinds != UNSCORED)]:
        count = int(of.sum())
        if count:
            rows.append((name, count, *(percent(each[of]) for each in credits.values())))
    return Table(
        name="accuracy_by_answer_type",
        title="Accuracy by type of answer, beside the floors",
        question="Which answers does each cell get right, and are they more than guesses?",
        columns=(Column("answer"), Column("questions"), *(Column(_worded(name), "%") for name in credits)),
        rows=tuple(rows),
    )


def _by_question_type(credits: Mapping[str, Credits], asked: Sequence[Question]) -> Curves:
    """Types as the data have them, the most frequent first."""
    kinds = np.array([each.question_type for each in asked])
    names = [name for name, _ in Counter(kinds.tolist()).most_common(_MOST_TYPES)]
    return Curves(
        name="accuracy_by_question_type",
        title="Accuracy by type of question"
        + (f", the {_MOST_TYPES} most frequent" if len(names) == _MOST_TYPES else ""),
        question="Which questions is each cell good at, and on which is it no better than the floors?",
        x=Axis("type of question", scale="category"),
        y=_ACCURACY,
        series=_lines(credits, np.array(names), [kinds == name for name in names]),
    )


def _by_length(credits: Mapping[str, Credits], asked: Sequence[Question]) -> list[View]:
    lengths = np.array([len(each.tokens) for each in asked])
    width = -(-int(np.ptp(lengths) + 1) // _MOST_LENGTHS)
    part = (lengths - lengths.min()) // width
    at, counts = np.unique(part, return_counts=True)
    at = at[counts >= _FEWEST]
    if len(at) < 2:
        return []
    middle = lengths.min() + at * width + (width - 1) / 2
    return [
        Curves(
            name="accuracy_by_question_length",
            title="Accuracy by length of the question",
            question="How long may a question be before each cell has forgotten how it began?",
            x=Axis("length of the question", "words"),
            y=_ACCURACY,
            series=_lines(credits, middle, [part == one for one in at]),
        )
    ]


def _lines(
    credits: Mapping[str, Credits], x: npt.NDArray[np.generic], of: Sequence[npt.NDArray[np.bool_]]
) -> tuple[Series, ...]:
    """The model's accuracy in each part, then the floors'."""
    return tuple(
        Series(
            _worded(name),
            x,
            np.array([percent(each[part]) for part in of]),
            role="measured" if name == "model" else "floor",
        )
        for name, each in credits.items()
    )


def _confusion(said: Said, questions: Questions, asked: Sequence[Question]) -> list[View]:
    """What the network says where most people gave one of the most frequent answers."""
    right = np.array([each.mode for each in asked])
    given = np.array(questions.vocabulary.answers)[said.best[:, 0]]
    scored = ~np.isnan(said.credit)
    names = [name for name, _ in Counter(right[scored].tolist()).most_common(_MOST_CONFUSED)]
    if len(names) < 2:
        return []
    columns = [given == name for name in names]
    columns.append(~np.logical_or.reduce(columns))  # anything else
    rows = [scored & (right == name) for name in names]
    return [
        Heatmap(
            name="confusion",
            title="What is said of questions with one of the most frequent answers",
            question="Which answers does each cell take for each other?",
            x=Axis("answer of the network", scale="category"),
            y=Axis("right answer", scale="category"),
            value=Axis("share of a row's questions", "%", least=0.0, most=100.0),
            x_values=np.array([*names, "any other"]),
            y_values=np.array(names),
            values=np.array([[100 * float((row & column).sum() / row.sum()) for column in columns] for row in rows]),
        )
    ]


def _spread_over_types(asked: Sequence[Question]) -> list[int]:
    """Rows of examples: of each type of question in turn, the most frequent type first."""
    by_type: dict[str, list[int]] = {}
    for row, each in enumerate(asked):
        by_type.setdefault(each.question_type, []).append(row)
    types = sorted(by_type.values(), key=len, reverse=True)
    longest = len(types[0])
    return [rows[place] for place in range(min(longest, _EXAMPLES)) for rows in types if place < len(rows)][:_EXAMPLES]


def _thumbnail(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A picture (height, width, 3) as means over squares, so that no side is longer than `_MOST_PIXELS`."""
    times = -(-max(pixels.shape[:2]) // _MOST_PIXELS)
    if times == 1:
        return pixels
    planes = torch.from_numpy(pixels).permute(2, 0, 1).float()
    smaller: npt.NDArray[np.uint8] = F.avg_pool2d(planes, times, ceil_mode=True).round().byte().permute(1, 2, 0).numpy()
    return smaller


def _worded(name: str) -> str:
    return name.replace("_", " ")
