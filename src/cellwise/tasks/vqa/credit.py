"""How much each answer of a vocabulary counts for each question, known before training and stored sparse.

With one human answer, which is then certain, that answer counts 1 and all others 0. With several it is the official
accuracy (Antol et al. 2015), computed once for all questions with the same answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwise.data.shuffled import Rows


@dataclass(frozen=True, eq=False)
class Credit:
    """The answers that count, question by question (compressed rows).

    Attributes:
        answers: of the vocabulary.
        ends: int64 (questions + 1,), row k has entries ends[k] to ends[k + 1].
        classes: int32, of each entry, all rows one after the other.
        values: float32, how much it counts, more than 0 to 1.
    """

    answers: int
    ends: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    def dense(self, rows: Rows) -> Tensor:
        """Return how much each answer counts for some questions, float32 (rows, answers)."""
        starts, counts = self.ends[rows], self.ends[rows + 1] - self.ends[rows]
        row = np.repeat(np.arange(len(rows)), counts)
        entry = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(len(row))
        found = np.zeros((len(rows), self.answers), dtype=np.float32)
        found[row, self.classes[entry]] = self.values[entry]
        return torch.from_numpy(found)

    def best(self) -> npt.NDArray[np.float32]:
        """Return the most that an answer of the vocabulary counts, float32 (questions,)."""
        found = np.zeros(len(self.ends) - 1, dtype=np.float32)
        np.maximum.at(found, np.repeat(np.arange(len(found)), np.diff(self.ends)), self.values)
        return found


def credit_of(answers: Sequence[tuple[str, ...]], classes: Sequence[str]) -> Credit:
    """Return what counts for each question.

    Args:
        answers: of all people, for each question.
        classes: the vocabulary's answers.
    """
    number = {answer: k for k, answer in enumerate(classes)}
    several = any(len(each) > 1 for each in answers)
    of_people = _OfPeople(classes) if several else None
    # The order of people decides the last bit of a sum at most, which float32 does not hold: one for all orders.
    known: dict[tuple[str, ...], Mapping[int, float]] = {}
    found: list[Mapping[int, float]] = []
    for each in answers:
        key = tuple(sorted(each))
        if key not in known:
            if len(each) > 1 and of_people is not None:
                known[key] = of_people.counted(each)
            else:
                known[key] = {number[answer]: 1.0 for answer in each if answer in number}
        found.append(known[key])
    ends = np.concatenate([[0], np.cumsum([len(each) for each in found], dtype=np.int64)]).astype(np.int64)
    numbers = np.fromiter((number for each in found for number in each), dtype=np.int32)
    values = np.fromiter((value for each in found for value in each.values()), dtype=np.float32)
    return Credit(len(classes), ends, numbers, values)


class _OfPeople:
    """The official accuracy of the few answers of a vocabulary that people's answers can agree with."""

    def __init__(self, classes: Sequence[str]) -> None:
        # Imported here: data sets with certain answers do without.
        from cellwise.tasks.vqa.metrics import official_accuracy
        from cellwise.tasks.vqa.metrics.normalisation import normalised, stripped

        self._accuracy, self._normalised, self._stripped = official_accuracy, normalised, stripped
        self._classes = classes
        # Two answers of the vocabulary may be one to the official script ("none" and "0"): all of them count.
        self._alike: dict[str, list[int]] = defaultdict(list)
        for number, answer in enumerate(classes):
            for spelling in {stripped(answer), normalised(stripped(answer))}:
                self._alike[spelling].append(number)

    def counted(self, answers: tuple[str, ...]) -> Mapping[int, float]:
        spellings = {
            s for answer in set(answers) for s in (self._stripped(answer), self._normalised(self._stripped(answer)))
        }
        near = sorted({number for spelling in spellings for number in self._alike.get(spelling, ())})
        scored = {number: self._accuracy(self._classes[number], answers) for number in near}
        return {number: score for number, score in scored.items() if score > 0}
