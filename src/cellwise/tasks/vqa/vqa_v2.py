"""VQA v2 in its official JSON: questions and annotations of a split, with images or with features of them.

Sources: Antol et al. 2015, arXiv:1505.00468; Goyal et al. 2017, arXiv:1612.00837 (v2); https://visualqa.org. A file has
the official keys around its list of ``questions`` or ``annotations``, or that key alone, or is the list; it may be any
part of the official one. Images are found by COCO's number. Validation, where it has no files, gets images of train;
the official test split has no published answers, so its validation split is the test of this task by default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cellwise.data.cache import cache_folder
from cellwise.data.get import unpacked
from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.assemble import Found, assemble, with_validation
from cellwise.tasks.vqa.data_settings import VqaV2
from cellwise.tasks.vqa.encoded import EncodedQuestions
from cellwise.tasks.vqa.features import open_features
from cellwise.tasks.vqa.files import named_files, require_planned
from cellwise.tasks.vqa.image_files import ImageFiles, by_number
from cellwise.tasks.vqa.pictures import find_pictures
from cellwise.tasks.vqa.questions import ANSWER_TYPES
from cellwise.tasks.vqa.sources import OFFICIAL_QUESTIONS
from cellwise.tasks.vqa.table import (
    Bad,
    QuestionTable,
    answer_type_of,
    mode_of,
    question_type_of,
    refuse_or_skip,
    words_of,
)
from cellwise.tasks.vqa.table_cache import kept_table

_SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def read_vqa_v2(data: VqaV2, data_dir: str | None) -> dict[Split, EncodedQuestions]:
    """Return the questions of each split.

    Raises:
        CellwiseError: files that are missing, of another form, other than planned, or that do not fit each other.
    """
    files = named_files(data, data_dir)
    require_planned(data, files)
    tables: dict[Split, QuestionTable] = {}
    remarks: list[str] = []
    for split in _SPLITS:
        named = [files[key][0].path for key in (f"{split}_questions", f"{split}_annotations") if key in files]
        tables[split] = _kept(named, cache_folder(data.cache_dir, "vqa")) if named else QuestionTable.empty()
        refuse_or_skip(tables[split].bad, data.bad_questions)
        remarks += _counted(named, tables[split], split)
    if data.test_annotations is None:
        remarks.append("test: nobody gave answers to its questions, so no score of it counts")

    pictures = ImageFiles(files["images"][0].path) if "images" in files else None

    def find(split: Split, names: set[str]) -> Found:
        if pictures is not None:
            size = data.image_size, data.image_width or data.image_size
            kept, redistributable = cache_folder(data.cache_dir, "vqa"), data.redistributable
            return find_pictures(pictures, names, by_number, size, kept, redistributable=redistributable)
        places = files["features"]
        place = places[_SPLITS.index(split) if len(places) > 1 else 0]
        features = open_features(place.path, cache_folder(data.cache_dir, "vqa"))
        return Found(features, {name: f"is not in {place.path}" for name in names if name not in features.rows})

    return assemble(
        with_validation(tables, data.valid_share, data.seed),
        find,
        bad_questions=data.bad_questions,
        answers=data.answers,
        answers_min_count=data.answers_min_count,
        words_min_count=data.words_min_count,
        remarks=remarks,
    )


def _kept(named: Sequence[Path], kept: Path) -> QuestionTable:
    return kept_table(named, kept, lambda: read_table(named[0], named[1] if len(named) > 1 else None))


def _counted(named: Sequence[Path], table: QuestionTable, split: Split) -> list[str]:
    """Return that a file with an official name does not have the official number of questions."""
    official = OFFICIAL_QUESTIONS.get(named[0].name.removesuffix(".gz")) if named else None
    found = len(table) + len(table.bad)
    if official is None or found == official:
        return []
    return [f"{split}: {named[0].name} has {found:,} questions, the official file of this name {official:,}"]


def read_table(questions: Path, annotations: Path | None) -> QuestionTable:
    """Return the questions of two official files, in the order of the questions' file.

    Args:
        questions: of each, `question_id`, `image_id`, `question`.
        annotations: of each question, its `answers`; `multiple_choice_answer`, `question_type` and `answer_type` if
            they are there. None: nobody published any.

    Raises:
        CellwiseError: a file that is no such JSON. What is wrong in single questions is in the table's `bad`.
    """
    answered: dict[int | str, Mapping[str, Any]] = {}
    bad: list[Bad] = []
    for number, record in enumerate(_records(annotations, "annotations") if annotations else ()):
        wrong = _wrong_annotation(record)
        if not wrong and record["question_id"] in answered:
            wrong = f"has a second annotation for question {record['question_id']}"
        if wrong:
            bad.append(Bad(f"{annotations}, annotation {number},", wrong))
        else:
            answered[record["question_id"]] = record
    table = QuestionTable.empty()
    # One object for each of the few distinct answers and types: there are millions of them.
    once: dict[Any, Any] = {}
    for number, record in enumerate(_records(questions, "questions")):
        wrong = _wrong_question(record)
        told = None if wrong else answered.pop(record["question_id"], None)
        if not wrong and annotations:
            wrong = _unmatched(record, told, annotations)
        if wrong:
            bad.append(Bad(f"{questions}, question {number},", wrong))
            continue
        answers = tuple(once.setdefault(each["answer"], each["answer"]) for each in told["answers"]) if told else ()
        mode = (told or {}).get("multiple_choice_answer") or mode_of(answers)
        text = record["question"]
        for column, value in zip(
            table.columns(),
            (
                record["question_id"],
                str(record["image_id"]),
                text,
                once.setdefault(answers, answers),
                mode,
                (told or {}).get("question_type") or question_type_of(text),
                (told or {}).get("answer_type") or answer_type_of(mode),
            ),
            strict=True,
        ):
            column.append(once.setdefault(value, value) if isinstance(value, str) and value is not text else value)
    bad += [Bad(f"{annotations}, question {left},", f"is not asked in {questions}") for left in answered]
    return table.with_bad(bad)


def _records(path: Path, key: str) -> list[Any]:
    """Return the list of a JSON file, whatever is around it."""
    content = unpacked(path)
    try:
        read = json.loads(content)
    except ValueError as error:
        raise CellwiseError(f"{path} is no JSON ({error})") from error
    records = read.get(key) if isinstance(read, dict) else read
    if not isinstance(records, list):
        has = f"it has {', '.join(map(repr, list(read)[:8]))}" if isinstance(read, dict) else "it is something else"
        raise CellwiseError(f"{path} must be official JSON of VQA with a list {key!r}, or that list; {has}")
    return records


def _wrong_question(record: Any) -> str:
    if not isinstance(record, dict):
        return "is no record"
    lacking = [key for key in ("question_id", "image_id", "question") if key not in record]
    if lacking:
        return f"has no {', '.join(lacking)}"
    if not isinstance(record["question_id"], int | str) or not isinstance(record["image_id"], int | str):
        return "has a question_id or image_id that is neither a number nor a text"
    if not isinstance(record["question"], str) or not words_of(record["question"]):
        return f"has no words (question_id {record['question_id']})"
    return ""


def _wrong_annotation(record: Any) -> str:
    if not isinstance(record, dict) or not isinstance(record.get("question_id"), int | str):
        return "has no question_id"
    answers = record.get("answers")
    named = f"(question_id {record['question_id']})"
    if not isinstance(answers, list) or not answers:
        return f"has no list of answers {named}"
    if not all(isinstance(each, dict) and isinstance(each.get("answer"), str) for each in answers):
        return f"has an answer without its text {named}"
    if record.get("answer_type", ANSWER_TYPES[0]) not in ANSWER_TYPES:
        return f"has answer_type {record['answer_type']!r} {named}; allowed: {', '.join(ANSWER_TYPES)}"
    return ""


def _unmatched(record: Mapping[str, Any], told: Mapping[str, Any] | None, annotations: Path) -> str:
    if told is None:
        return f"(question_id {record['question_id']}) has no annotation in {annotations}"
    if told.get("image_id", record["image_id"]) != record["image_id"]:
        return (
            f"(question_id {record['question_id']}) is about image {record['image_id']}, its annotation in "
            f"{annotations} about {told['image_id']}"
        )
    return ""
