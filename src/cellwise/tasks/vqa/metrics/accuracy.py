"""The accuracy of one answer against those of several people, bit for bit as the official script of VQA.

Source: Antol et al. 2015, arXiv:1505.00468, section 5, in the form of GT-Vision-Lab/VQA, `vqaEval.py` at commit
a013f004: the mean over people of min(1, matches among the others / 3). With m of ten people matched that is 0, 0.3,
0.6, 0.9, 1, 1, ... for m = 0, 1, 2, ..., not m / 3.

Differences: people are told apart by their place. The script tells them apart by comparing their records, which is the
same as long as each has an `answer_id`, as all official files do; without one it would leave out all who agree at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.metrics.normalisation import normalised, stripped


def official_accuracy(answer: str, human_answers: Sequence[str]) -> float:
    """Return how right an answer is, 0 to 1, not rounded.

    Answers are normalised only where the people do not all say the same; where they do, an answer must be theirs
    letter for letter but for blanks around it ("Yes" is wrong where all say "yes").

    Args:
        answer: of a network, as it is, not normalised before.
        human_answers: of each person, in the annotations' order, as they are. With one person nobody is left to agree
            with, so the accuracy is 0.

    Raises:
        CellwiseError: no human answers.
    """
    if not human_answers:
        raise CellwiseError("official_accuracy needs human answers; VQA has ten of them for each question")
    people, given = [stripped(human) for human in human_answers], stripped(answer)
    if len(set(people)) > 1:
        people, given = [normalised(human) for human in people], normalised(given)
    matches = [human == given for human in people]
    total = sum(matches)
    # Added up in the people's order by plain additions, which decide the last bit; `sum` of floats compensates for
    # rounding from Python 3.12 on.
    accuracy = 0.0
    for match in matches:
        accuracy += min(1.0, (total - match) / 3)
    return accuracy / len(people)


def credit_of(answer: str, human_answers: Sequence[str]) -> float:
    """Return how much an answer counts for a question, 0 to 1.

    Of several people's answers it is the official accuracy. An answer that is known for certain is one, and right is
    that letter for letter. Where nobody published any, nothing counts.
    """
    if len(human_answers) > 1:
        return official_accuracy(answer, human_answers)
    return float(answer in human_answers)
