"""easy-VQA: 48,248 short questions about 5,000 images of one shape (V. Zhou 2019, github.com/vzhou842/easy-VQA, MIT).

It comes with the package `easy-vqa`, or as the tar of its folder ``data``. Its counts are asserted. It has no
validation: a share of train's images, with all their questions, becomes one.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from cellwise.data.cache import cache_folder
from cellwise.data.get import data_folder
from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.assemble import Found, assemble, with_validation
from cellwise.tasks.vqa.data_settings import EasyVqa
from cellwise.tasks.vqa.encoded import EncodedQuestions
from cellwise.tasks.vqa.image_files import ImageFiles, by_name
from cellwise.tasks.vqa.pictures import find_pictures
from cellwise.tasks.vqa.table import QuestionTable, answer_type_of, question_type_of

TAR = "easy-vqa/easy_vqa_data.tar.gz"
QUESTIONS = {"train": 38_575, "test": 9_673}
IMAGES = {"train": 4_000, "test": 1_000}


def read_easy_vqa(data: EasyVqa, data_dir: str | None) -> dict[Split, EncodedQuestions]:
    """Return the questions of each split.

    Raises:
        CellwiseError: neither the package nor the tar is here, or it has other counts than published.
    """
    path, below = _place(data_dir)
    files = ImageFiles(path, below)
    read = dict(files.contents([_questions(part) for part in QUESTIONS]))
    train, test = (_table(files.path, part, read.get(_questions(part), b"")) for part in ("train", "test"))
    tables = with_validation(
        {"train": train, "valid": QuestionTable.empty(), "test": test}, data.valid_share, data.seed
    )
    size, kept = (data.image_size, data.image_size), cache_folder(data.cache_dir, "vqa")

    def find(split: Split, names: set[str]) -> Found:
        return find_pictures(files, names, by_name, size, kept, redistributable=True)

    return assemble(tables, find, bad_questions="refuse")


def _place(data_dir: str | None) -> tuple[Path, str]:
    """Return the tar or the package's folder, and the folder of it that holds train and test."""
    tar = data_folder(data_dir) / TAR
    if tar.is_file():
        return tar, "data/"
    package = importlib.util.find_spec("easy_vqa")  # found, not imported: all that it has are files
    if package is None or package.origin is None:
        raise CellwiseError(
            f"data=easy_vqa needs the package easy-vqa; type `pip install 'cellwise[vqa]'`, or put {tar}"
        )
    return Path(package.origin).parent / "data", ""


def _questions(part: str) -> str:
    return f"{part}/questions.json"


def _table(path: Path, part: str, content: bytes) -> QuestionTable:
    """Return the questions of train or test: records of question, answer and number of the image."""
    try:
        records: list[Any] = json.loads(content)
        asked = [(str(text), str(answer), int(image)) for text, answer, image in records]
    except (ValueError, TypeError) as error:
        raise CellwiseError(f"{path} has no readable {_questions(part)} ({error}); install easy-vqa again") from error
    images = [f"{part}/images/{image}.png" for _, _, image in asked]
    for what, found, published in (("questions", len(asked), QUESTIONS), ("images", len(set(images)), IMAGES)):
        if found != published[part]:
            raise CellwiseError(f"{path}: {part} has {found:,} {what}, published are {published[part]:,}")
    return QuestionTable(
        ids=[f"{part}-{number}" for number in range(len(asked))],
        images=images,
        texts=[text for text, _, _ in asked],
        answers=[(answer,) for _, answer, _ in asked],
        modes=[answer for _, answer, _ in asked],
        question_types=[question_type_of(text) for text, _, _ in asked],
        answer_types=[answer_type_of(answer) for _, answer, _ in asked],
    )
