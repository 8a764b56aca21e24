"""The words and answers that a network knows: of the train split alone.

Words are lower case (`table.words_of`). Answers are train's mode answers as they are, not normalised: the official
accuracy normalises by itself, but only where people do not all agree, so an answer that was normalised here could be
right nowhere (Antol et al. 2015, arXiv:1505.00468, section 4.1, take the 1,000 most frequent; bottom-up attention,
Anderson et al. 2018, arXiv:1707.07998, those of at least nine questions, normalised).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.questions import PADDING, UNKNOWN, Vocabulary
from cellwise.tasks.vqa.table import QuestionTable, words_of

_SPECIAL = {PADDING: "<pad>", UNKNOWN: "<unk>"}


def fit_vocabulary(
    train: QuestionTable, *, answers: int | None = None, answers_min_count: int = 1, words_min_count: int = 1
) -> Vocabulary:
    """Return the vocabulary of train's questions, the most frequent first.

    Args:
        train: its questions.
        answers: so many at most; None: all.
        answers_min_count: questions that an answer must be the mode of.
        words_min_count: times that a word must occur.

    Raises:
        CellwiseError: fewer than two answers are left.
    """
    words = _frequent((word for text in train.texts for word in words_of(text)), words_min_count)
    classes = _frequent((mode for mode in train.modes if mode), answers_min_count)[:answers]
    if len(classes) < 2:
        raise CellwiseError(
            f"train has {len(classes)} answers that are frequent enough, and there must be two to choose from; "
            f"lower data.answers_min_count={answers_min_count}, raise data.answers, or give other data"
        )
    return Vocabulary((*(_SPECIAL[number] for number in sorted(_SPECIAL)), *words), tuple(classes))


def _frequent(items: Iterable[str], least: int) -> list[str]:
    """Return what occurs so often, the most frequent first, of as frequent ones by the alphabet."""
    counted = Counter(items)
    return sorted((item for item, count in counted.items() if count >= least), key=lambda item: (-counted[item], item))
