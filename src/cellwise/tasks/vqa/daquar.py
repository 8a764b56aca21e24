"""DAQUAR: 12,468 questions about 1,449 photographs of rooms (Malinowski & Fritz 2014, arXiv:1410.0210).

Its files in the form of triples: three lines a question, the question, its answer, the image's name. Several answers
stand in one line, parted by commas: all belong to the answer, so the line is one class here, and counts when it is said
whole, as in the accuracy of the paper; its other score, WUPS, needs WordNet and is not computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cellwise.data.get import unpacked
from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.table import Bad, QuestionTable, answer_type_of, question_type_of, words_of

_IMAGE = re.compile(r"image[0-9]+")


def read_daquar(folder: Path, places: Mapping[str, Split]) -> dict[Split, QuestionTable]:
    """Return the questions of a folder by split.

    Args:
        folder: that has files such as ``qa.894.raw.train.format_triple``, plain or gzipped.
        places: which split each name of one belongs to.

    Raises:
        CellwiseError: no folder, no such file, or lines that are no triples.
    """
    if not folder.is_dir():
        raise CellwiseError(f"{folder} is no folder; data.format=daquar needs the one of its .format_triple files")
    found: dict[Split, QuestionTable] = {split: QuestionTable.empty() for split in ("train", "valid", "test")}
    files = sorted(each for each in folder.iterdir() if "format_triple" in each.name)
    for file in files:
        for name, split in places.items():
            if name in file.name.split("."):
                read = read_triples(file)
                for column, more in zip(found[split].columns(), read.columns(), strict=True):
                    column.extend(more)
                found[split] = found[split].with_bad(read.bad)
    for split in ("train", "test"):
        if not len(found[split]):
            named = ", ".join(name for name, place in places.items() if place == split)
            there = ", ".join(file.name for file in files) or "none"
            raise CellwiseError(f"{folder} has no .format_triple file of {named} with questions; there are: {there}")
    return found


def read_triples(file: Path) -> QuestionTable:
    """Return the questions of one file.

    Raises:
        CellwiseError: its lines are no triples from some line on.
    """
    lines = [line.strip() for line in unpacked(file).decode("utf-8", errors="replace").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    table, bad = QuestionTable.empty(), []
    for first in range(0, len(lines), 3):
        text, answer, image = (*lines[first : first + 3], "", "")[:3]
        if not _IMAGE.fullmatch(image):
            raise CellwiseError(
                f"{file}, line {min(first + 3, len(lines))}: {image!r} is no image's name (image1, image2, ...); lines "
                "must come in threes: question, answer, image"
            )
        if not words_of(text) or not answer:
            bad.append(Bad(f"{file}, line {first + 1},", "has no question" if answer else "has no answer"))
            continue
        table.ids.append(f"{file.name.removesuffix('.gz')} line {first + 1}")
        table.images.append(image)
        table.texts.append(text)
        table.answers.append((answer,))
        table.modes.append(answer)
        table.question_types.append(question_type_of(text))
        table.answer_types.append(answer_type_of(answer))
    return table.with_bad(bad)
