"""A file of results held against official annotations, with the numbers that the official script prints.

Source: GT-Vision-Lab/VQA, `vqaEval.py` at commit a013f004, run by Python 2.7: the accuracy of each question, its mean
over questions, over those of an answer type and of a question type, all in percent and rounded to two digits.

Differences: people are told apart by place, not by `answer_id`, see `metrics/accuracy.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple

from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.metrics import official_accuracy
from cellwise.tasks.vqa.results import QuestionId, is_id, named, read_official_json, require_once


class Annotation(NamedTuple):
    """What people answered to a question, and of which types it is."""

    question: QuestionId
    answers: tuple[str, ...]
    question_type: str
    answer_type: str


@dataclass(frozen=True)
class Judged:
    """Accuracy in percent, rounded to two digits as the official script rounds.

    Attributes:
        overall: over all questions.
        by_answer_type: over those of a type, by its name, in the order of the annotations.
        by_question_type: likewise.
        by_question: of each one.
        questions: how many of each answer type, and of each question type, by name.
    """

    overall: float
    by_answer_type: Mapping[str, float]
    by_question_type: Mapping[str, float]
    by_question: Mapping[QuestionId, float]
    questions: tuple[Mapping[str, int], Mapping[str, int]]

    def lines(self) -> list[str]:
        """Return what to tell the user."""
        found = [f"accuracy {self.overall:.2f} % over {len(self.by_question):,} questions"]
        for kind, means, counts in (
            ("answer type", self.by_answer_type, self.questions[0]),
            ("question type", self.by_question_type, self.questions[1]),
        ):
            frequent = sorted(counts, key=counts.__getitem__, reverse=True)
            found += [f"by {kind}:", *(f"  {name:28} {means[name]:6.2f} %  {counts[name]:7,}" for name in frequent)]
        return found

    def to_plain(self) -> dict[str, Any]:
        """Return the numbers under the official script's own names."""
        return {
            "overall": self.overall,
            "perAnswerType": dict(self.by_answer_type),
            "perQuestionType": dict(self.by_question_type),
            "evalQA": {str(question): accuracy for question, accuracy in self.by_question.items()},
        }


def read_annotations(path: Path) -> list[Annotation]:
    """Return official annotations, plain or gzipped.

    Raises:
        CellwiseError: a file that can't be read or is of another form; a question that stands twice or without answers.
    """
    found = [
        _annotation(each, f"{path}: annotation {place}") for place, each in enumerate(_listed(path, "annotations"), 1)
    ]
    require_once((each.question for each in found), f"{path}: annotated twice")
    if not found:
        raise CellwiseError(f"{path} has no annotations, so nothing can be scored")
    return found


def require_same_questions(annotations: Sequence[Annotation], path: Path) -> None:
    """Refuse annotations that are not of an official file of questions.

    Raises:
        CellwiseError: a file that can't be read; a question without annotation, or the other way round.
    """
    asked: list[QuestionId] = []
    for place, each in enumerate(_listed(path, "questions"), 1):
        if not isinstance(each, dict) or not is_id(each.get("question_id")):
            raise CellwiseError(f"{path}: question {place} has no question_id; give an official file of questions")
        asked.append(each["question_id"])
    require_once(asked, f"{path}: asked twice")
    known = {each.question for each in annotations}
    if without := [each for each in asked if each not in known]:
        raise CellwiseError(f"{path}: {named(without)} without annotation; give the annotations of these questions")
    if beyond := known - set(asked):
        raise CellwiseError(f"{path} lacks {named(sorted(beyond, key=str))} that are annotated; give their questions")


def judge(answers: Mapping[QuestionId, str], annotations: Sequence[Annotation]) -> Judged:
    """Score answers as the official script does.

    Args:
        answers: by question, of all questions that are annotated and of no others.
        annotations: at least one.

    Raises:
        CellwiseError: an annotated question that is not answered, or an answer to an unknown question.
    """
    _require_covered(answers, annotations)
    accuracies = {each.question: official_accuracy(answers[each.question], each.answers) for each in annotations}
    by_answer_type: dict[str, list[float]] = {}
    by_question_type: dict[str, list[float]] = {}
    for each in annotations:
        by_answer_type.setdefault(each.answer_type, []).append(accuracies[each.question])
        by_question_type.setdefault(each.question_type, []).append(accuracies[each.question])
    by_types = (by_answer_type, by_question_type)
    means = [{name: _percent(_added(values), len(values)) for name, values in types.items()} for types in by_types]
    counts = [{name: len(values) for name, values in types.items()} for types in by_types]
    return Judged(
        overall=_percent(_added(list(accuracies.values())), len(accuracies)),
        by_answer_type=means[0],
        by_question_type=means[1],
        by_question={question: _percent(accuracy, 1) for question, accuracy in accuracies.items()},
        questions=(counts[0], counts[1]),
    )


def _listed(path: Path, key: str) -> list[Any]:
    content = read_official_json(path)
    listed = content.get(key) if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise CellwiseError(f'{path} has no list "{key}"; give an official file of {key}')
    return listed


def _annotation(plain: Any, where: str) -> Annotation:
    try:
        people = tuple(person["answer"] for person in plain["answers"])
        found = Annotation(plain["question_id"], people, plain["question_type"], plain["answer_type"])
    except (TypeError, KeyError) as error:
        raise CellwiseError(
            f"{where} is not of the official form ({type(error).__name__}: {error}); it must have question_id, answers "
            "(each with an answer), question_type and answer_type"
        ) from error
    texts = (*found.answers, found.question_type, found.answer_type)
    if not is_id(found.question) or not people or not all(isinstance(text, str) for text in texts):
        raise CellwiseError(f"{where} needs a question_id, at least one answer, and texts as answers and types")
    return found


def _require_covered(answers: Mapping[QuestionId, str], annotations: Sequence[Annotation]) -> None:
    known = {each.question for each in annotations}
    if unknown := [question for question in answers if question not in known]:
        raise CellwiseError(
            f"the results answer {named(unknown)} that the annotations do not have; give the results of these "
            "questions and of no others, as the official script demands"
        )
    if missing := [each.question for each in annotations if each.question not in answers]:
        raise CellwiseError(
            f"the results lack {named(missing)} of {len(known):,}; the official script scores none unless all are "
            'answered; an answer may be ""'
        )


def _added(values: Sequence[float]) -> float:
    """Add in order, rounding each time: from Python 3.12 on `sum` compensates for that, which Python 2.7's did not."""
    total = 0.0
    for value in values:
        total += value
    return total


def _percent(total: float, count: int) -> float:
    """Round to two digits; of two that are equally near the one further from 0, as Python 2.7 did and 3 does not."""
    return float(Decimal(100 * total / count).quantize(Decimal("0.01"), ROUND_HALF_UP))
