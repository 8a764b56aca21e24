"""The questions of a split as they were read: a column each, however many; and what is refused in them."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from cellwise.errors import CellwiseError

_NAMED = 3  # of questions that were left out, in a remark
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*")


class Bad(NamedTuple):
    """A question that can't be used: where it is, and why, in words that follow."""

    where: str
    reason: str


@dataclass(frozen=True)
class QuestionTable:
    """Questions in columns; row k is question k. See `cellwise.tasks.vqa.questions.Question` for what each means.

    Attributes:
        ids: unique.
        images: what each question's image is called.
        texts: as asked, at least a word each.
        answers: of all people; empty where nobody published any.
        modes: the most frequent answer, "" where there is none.
        question_types: of each.
        answer_types: of each.
        bad: questions of the files that are left out.
    """

    ids: list[int | str]
    images: list[str]
    texts: list[str]
    answers: list[tuple[str, ...]]
    modes: list[str]
    question_types: list[str]
    answer_types: list[str]
    bad: tuple[Bad, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls) -> QuestionTable:
        """Return a table whose columns are lists to be filled."""
        return cls([], [], [], [], [], [], [])

    def columns(self) -> tuple[list[Any], ...]:
        """Return the columns in the order of the attributes."""
        return (
            *(self.ids, self.images, self.texts, self.answers),
            *(self.modes, self.question_types, self.answer_types),
        )

    def with_bad(self, more: Sequence[Bad]) -> QuestionTable:
        """Return the same questions, with others that are bad."""
        return replace(self, bad=(*self.bad, *more))

    def at(self, rows: Sequence[int], more: Sequence[Bad] = ()) -> QuestionTable:
        """Return a table of some rows, and of others that are bad."""
        found = QuestionTable.empty()
        for column, own in zip(found.columns(), self.columns(), strict=True):
            column.extend(own[row] for row in rows)
        return found.with_bad((*self.bad, *more))

    def sha256(self) -> str:
        """Return the checksum of all columns."""
        digest = hashlib.sha256()
        for row in zip(*self.columns(), strict=True):
            digest.update(repr(row).encode())
        return digest.hexdigest()

    def remark(self, split: str) -> list[str]:
        """Return what the record must say of questions that were left out."""
        if not self.bad:
            return []
        named = "; ".join(f"{where} {reason}" for where, reason in self.bad[:_NAMED])
        more = f"; and {len(self.bad) - _NAMED:,} more" if len(self.bad) > _NAMED else ""
        return [f"{split}: questions skipped: {len(self.bad):,}; {named}{more}"]


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a question: letters and digits, lower case, apostrophes inside; nothing of punctuation."""
    return tuple(_WORD.findall(text.lower()))


def mode_of(answers: Sequence[str]) -> str:
    """Return the most frequent answer, of several the first given; "" where there is none."""
    return Counter(answers).most_common(1)[0][0] if answers else ""


def answer_type_of(answer: str) -> str:
    """Return what VQA calls the kind of an answer, where the data do not say it: yes/no, number or other."""
    if answer.lower() in ("yes", "no", "true", "false"):
        return "yes/no"
    return "number" if _NUMBER.fullmatch(answer) else "other"


def question_type_of(text: str) -> str:
    """Return a question's first two words, its type where the data do not say one."""
    return " ".join(words_of(text)[:2])


def refuse_or_skip(bad: Sequence[Bad], action: str) -> None:
    """Refuse bad questions, unless they are to be skipped.

    Raises:
        CellwiseError: there is one, and `action` is not ``skip``.
    """
    if bad and action != "skip":
        more = f" (and {len(bad) - 1:,} more)" if len(bad) > 1 else ""
        raise CellwiseError(f"{bad[0].where} {bad[0].reason}{more}; mend the data, or type data.bad_questions=skip")
