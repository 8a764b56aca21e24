"""Images and questions of the user's own, in a CSV file; and two published sets in their own formats.

A CSV file (UTF-8, comma) has a line of column names and a line a question. It must have the columns

``image``
    its path below the folder of images, its file's name, or that without the ending;
``question``
    one word or more;
``answer``
    the answer, or those of several people, parted by ``|``. There may be several such columns (``answer_1``,
    ``answer_2``, ...; or ``answer`` again and again). With several answers the official accuracy of VQA counts.

It may have ``id``, ``split``, ``question_type`` and ``answer_type``. Where ``split`` is missing, images are split by a
hash of their names, so an image is in one split alone, and stays there when others are added.

DAQUAR and NLVR are read by `daquar` and `nlvr`.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cellwise.data.cache import cache_folder
from cellwise.data.get import unpacked
from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.assemble import Found, assemble, share_of, with_validation
from cellwise.tasks.vqa.daquar import read_daquar
from cellwise.tasks.vqa.data_settings import ImageQa
from cellwise.tasks.vqa.encoded import EncodedQuestions
from cellwise.tasks.vqa.files import named_files, require_planned
from cellwise.tasks.vqa.image_files import ImageFiles, by_name
from cellwise.tasks.vqa.nlvr import read_nlvr
from cellwise.tasks.vqa.pictures import find_pictures
from cellwise.tasks.vqa.questions import ANSWER_TYPES
from cellwise.tasks.vqa.table import Bad, QuestionTable, answer_type_of, mode_of, question_type_of, words_of

SEVERAL = "|"
"""What parts the answers of several people."""

_NEEDED = ("image", "question", "answer")
_ALLOWED = ("id", "split", "question_type", "answer_type")


@dataclass
class _Read:
    """What a file gave: questions by split, and what must be said of it."""

    tables: dict[Split, QuestionTable] = field(
        default_factory=lambda: {
            "train": QuestionTable.empty(),
            "valid": QuestionTable.empty(),
            "test": QuestionTable.empty(),
        }
    )
    bad: list[Bad] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_image_qa(data: ImageQa, data_dir: str | None) -> dict[Split, EncodedQuestions]:
    """Return the questions of each split.

    Raises:
        CellwiseError: files that are missing, of another form, other than planned, or that do not fit each other.
    """
    files = named_files(data, data_dir)
    require_planned(data, files)
    path = files["path"][0].path
    places = split_names(data)
    remarks: list[str] = []
    if data.format == "csv":
        tables, remarks = read_csv(path, data, places)
    elif data.format == "daquar":
        tables = read_daquar(path, places)
    else:
        tables = read_nlvr(path, places)
    images = files["images"][0].path if "images" in files else path.parent if data.format == "csv" else path
    pictures = ImageFiles(images)
    size = data.image_size, data.image_width or data.image_size
    kept, redistributable = cache_folder(data.cache_dir, "vqa"), data.redistributable

    def find(split: Split, names: set[str]) -> Found:
        return find_pictures(pictures, names, by_name, size, kept, redistributable=redistributable)

    return assemble(
        with_validation(tables, data.valid_share, data.seed),
        find,
        bad_questions=data.bad_questions,
        answers=data.answers,
        answers_min_count=data.answers_min_count,
        words_min_count=data.words_min_count,
        remarks=remarks,
    )


def split_names(data: ImageQa) -> dict[str, Split]:
    """Return which split each name of one belongs to.

    Raises:
        CellwiseError: two splits are called the same.
    """
    found: dict[str, Split] = {}
    splits: tuple[Split, ...] = ("train", "valid", "test")
    for split in splits:
        for name in getattr(data, split):
            if name in found:
                raise CellwiseError(f"data.{found[name]} and data.{split} both name {name!r}; it can be one alone")
            found[name] = split
    return found


def read_csv(path: Path, data: ImageQa, places: Mapping[str, Split]) -> tuple[dict[Split, QuestionTable], list[str]]:
    """Return the questions of a CSV file by split, and what the record must say of it.

    Raises:
        CellwiseError: it is no UTF-8 text, or lacks a column. What is wrong in single lines is in train's `bad`.
    """
    try:
        text = unpacked(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CellwiseError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        numbered = [(lines.line_num, line) for line in lines if line]
    except csv.Error as error:
        raise CellwiseError(f"{path}, line {lines.line_num}: {error}") from error
    columns = _columns(path, numbered[0][1] if numbered else [])
    read, left_out = _Read(), Counter[str]()
    for number, line in numbered[1:]:
        row = _Row(number, line, columns)
        wrong = row.wrong()
        if wrong:
            read.bad.append(Bad(f"{path}, line {number},", wrong))
            continue
        split = _split_of(row, data, places)
        if split is None:
            left_out[row.one("split")] += 1
            continue
        row.add_to(read.tables[split])
    read.tables["train"] = read.tables["train"].with_bad(read.bad)
    unused = [name for name in columns if name not in (*_NEEDED, *_ALLOWED)]
    if unused:
        read.remarks.append(f"columns that are not used: {', '.join(unused)}")
    if left_out:
        named = ", ".join(f"{name!r} ({count:,})" for name, count in sorted(left_out.items()))
        read.remarks.append(f"lines of other splits than data.train, data.valid and data.test are left out: {named}")
    return read.tables, read.remarks


def _columns(path: Path, header: Sequence[str]) -> dict[str, list[int]]:
    """Return where each column is; all that begin with ``answer_`` and a number are ``answer``."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(each.strip().lower() for each in header):
        answer = name.removeprefix("answer").lstrip("_ ")
        found.setdefault("answer" if name.startswith("answer") and answer.isdigit() else name, []).append(place)
    lacking = [name for name in _NEEDED if name not in found]
    twice = [name for name, places in found.items() if len(places) > 1 and name in (*_NEEDED[:2], *_ALLOWED)]
    if lacking or twice:
        wrong = f"has no column {', '.join(lacking)}" if lacking else f"has the column {', '.join(twice)} twice"
        raise CellwiseError(
            f"{path} {wrong}; its first line is {','.join(header)!r}, and must name {', '.join(_NEEDED)}; "
            f"allowed are also {', '.join(_ALLOWED)}"
        )
    return found


def _split_of(row: _Row, data: ImageQa, places: Mapping[str, Split]) -> Split | None:
    if "split" in row.columns:
        return places.get(row.one("split"))
    place = share_of(row.one("image"), data.seed)
    if place < data.test_share:
        return "test"
    return "valid" if place < data.test_share + data.valid_share else "train"


@dataclass(frozen=True)
class _Row:
    number: int
    line: Sequence[str]
    columns: Mapping[str, Sequence[int]]

    def all(self, column: str) -> list[str]:
        return [self.line[place].strip() for place in self.columns.get(column, ())]

    def one(self, column: str) -> str:
        return next(iter(self.all(column)), "")

    def answers(self) -> tuple[str, ...]:
        parts: Iterable[str] = (part.strip() for cell in self.all("answer") for part in cell.split(SEVERAL))
        return tuple(part for part in parts if part)

    def wrong(self) -> str:
        width = sum(map(len, self.columns.values()))
        if len(self.line) != width:
            return f"has {len(self.line)} fields, the first line {width} (quote a text that has commas)"
        if not self.one("image"):
            return "names no image"
        if not words_of(self.one("question")):
            return "has no words in its question"
        if self.one("answer_type") not in ("", *ANSWER_TYPES):
            return f"has answer_type {self.one('answer_type')!r}; allowed: {', '.join(ANSWER_TYPES)}"
        return "" if self.answers() else "has no answer"

    def add_to(self, table: QuestionTable) -> None:
        text, answers = self.one("question"), self.answers()
        table.ids.append(self.one("id") or f"line {self.number}")
        table.images.append(self.one("image"))
        table.texts.append(text)
        table.answers.append(answers)
        table.modes.append(mode_of(answers))
        table.question_types.append(self.one("question_type") or question_type_of(text))
        table.answer_types.append(self.one("answer_type") or answer_type_of(mode_of(answers)))
