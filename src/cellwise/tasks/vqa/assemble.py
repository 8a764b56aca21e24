"""From tables as they were read to questions: splits by images, images found and decoded, bad questions left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.data_settings import Bad as Action
from cellwise.tasks.vqa.encoded import EncodedQuestions, encode
from cellwise.tasks.vqa.images import Images
from cellwise.tasks.vqa.table import Bad, QuestionTable, refuse_or_skip

Tables = Mapping[Split, QuestionTable]
_OF_A_HASH = 1 << 64


@dataclass(frozen=True)
class Found:
    """Images that were looked for.

    Attributes:
        images: those that are good, by the name that questions call them by.
        bad: why others are not, in words that follow an image's name.
    """

    images: Images
    bad: Mapping[str, str]


def share_of(image: str, seed: int) -> float:
    """Return a number of [0, 1) that depends on an image's name and the seed alone, whatever other images there are."""
    digest = hashlib.sha256(f"{seed}\0{image}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / _OF_A_HASH


def with_validation(tables: Tables, share: float, seed: int) -> dict[Split, QuestionTable]:
    """Return the tables with validation; where it has no question, it gets a share of train's images, whole."""
    if len(tables["valid"]):
        return dict(tables)
    train = tables["train"]
    held = [share_of(image, seed) < share for image in train.images]
    rest = replace(train, bad=())  # what is bad is train's to tell
    return {
        "train": train.at([row for row, out in enumerate(held) if not out]),
        "valid": rest.at([row for row, out in enumerate(held) if out], more=tables["valid"].bad),
        "test": tables["test"],
    }


def assemble(
    tables: Tables,
    find: Callable[[Split, set[str]], Found],
    *,
    bad_questions: Action,
    answers: int | None = None,
    answers_min_count: int = 1,
    words_min_count: int = 1,
    remarks: Sequence[str] = (),
) -> dict[Split, EncodedQuestions]:
    """Return the questions of each split.

    Args:
        tables: of each split.
        find: gives the images of a split by name.
        bad_questions: what is done with questions that can't be used.
        answers: see `encode`, as for the others.
        answers_min_count: see there.
        words_min_count: see there.
        remarks: see there.

    Raises:
        CellwiseError: a bad question, where it is refused; ids that are not unique; a split without questions.
    """
    good: dict[Split, QuestionTable] = {}
    images: dict[Split, Images] = {}
    for split in get_args(Split):
        table = _unique(tables[split])
        refuse_or_skip(table.bad, bad_questions)
        found = find(split, set(table.images))
        kept, bad = [], []
        for row, image in enumerate(table.images):
            if image in found.bad:
                bad.append(Bad(f"question {table.ids[row]}", f"is about image {image}, which {found.bad[image]}"))
            else:
                kept.append(row)
        refuse_or_skip(bad, bad_questions)
        good[split], images[split] = table.at(kept, bad), found.images
        if not kept:
            left_out = good[split].remark(split)
            raise CellwiseError("; ".join([f"{split} has no question that can be used", *left_out]))
    return encode(
        good,
        images,
        answers=answers,
        answers_min_count=answers_min_count,
        words_min_count=words_min_count,
        remarks=(*remarks, *_shared_images(good)),
    )


def _unique(table: QuestionTable) -> QuestionTable:
    """Return the first question of each id, the others as bad."""
    if len(set(table.ids)) == len(table.ids):
        return table
    seen: set[int | str] = set()
    kept, bad = [], []
    for row, each in enumerate(table.ids):
        if each in seen:
            bad.append(Bad(f"question {each}", "is there twice"))
        else:
            seen.add(each)
            kept.append(row)
    return table.at(kept, bad)


def _shared_images(tables: Tables) -> list[str]:
    """Return what must be known of a test whose images training has seen."""
    seen = {image for split in ("train", "valid") for image in tables[split].images}
    own = set(tables["test"].images)
    return [f"test: {len(own & seen):,} of its {len(own):,} images are train's or validation's too"] * bool(own & seen)
