"""Trivial answers, which look at neither the image nor the words of a question.

* `majority`: the most frequent answer of the train split, to everything.
* `question_type_prior`: the most frequent answer of train to questions of the same type; of a type that train does not
  have, the majority.

Source: Antol et al. 2015, arXiv:1505.00468, section 4.1 ("prior" and "per question-type prior"). An answer's frequency
is that of the questions whose mode answer it is; of equally frequent ones the first in train counts.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from cellwise.tasks.vqa.metrics import credit_of
from cellwise.tasks.vqa.questions import Questions

Credits = npt.NDArray[np.float64]


def floors_of(train: Questions, test: Questions) -> dict[str, float]:
    """Return the accuracy of each floor on the test questions, in percent; NaN where nobody published their answers."""
    return {name: percent(credits) for name, credits in credits_of_floors(train, test).items()}


def credits_of_floors(train: Questions, test: Questions) -> dict[str, Credits]:
    """Return what each floor's answer counts for each test question, (questions,); NaN where nobody published any."""
    of_type: dict[str, Counter[str]] = {}
    of_all: Counter[str] = Counter()
    for row in range(len(train)):
        question = train.question(row)
        if question.answers:
            of_all[question.mode] += 1
            of_type.setdefault(question.question_type, Counter())[question.mode] += 1
    majority = _most_frequent(of_all)
    prior = {name: _most_frequent(counts) for name, counts in of_type.items()}
    found: dict[str, list[float]] = {"majority": [], "question_type_prior": []}
    for row in range(len(test)):
        question = test.question(row)
        said = majority, prior.get(question.question_type, majority)
        for credits, answer in zip(found.values(), said, strict=True):
            credits.append(credit_of(answer, question.answers) if question.answers else np.nan)
    return {name: np.array(credits) for name, credits in found.items()}


def percent(credits: Credits) -> float:
    """Return the mean of what is known, in percent; NaN where nothing is."""
    known = credits[~np.isnan(credits)]
    return 100 * float(known.sum()) / len(known) if len(known) else float("nan")


def _most_frequent(counts: Counter[str]) -> str:
    return counts.most_common(1)[0][0] if counts else ""
