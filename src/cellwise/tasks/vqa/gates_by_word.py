"""Which words move the gates: how far each gate goes, on average, when the cell reads a word.

At a word the change of a gate is the mean over units of |g(t) - g(t - 1)|; of a word it is the mean over all its
occurrences in some test questions. A question's first word is left out, for no gate was anywhere before it. Of a layer
that reads backward, the word before is the one after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cellwise.probes.insides import Insides, Place, look, places
from cellwise.records.schema import Axis, Heatmap
from cellwise.recurrent.layer import Recurrent
from cellwise.tasks.vqa.answers import on_device
from cellwise.tasks.vqa.questions import PADDING, Batch, Questions, Vocabulary
from cellwise.tasks.vqa.scores import Answer

_MOST_QUESTIONS, _AT_ONCE = 2_000, 256
_FEWEST = 5  # occurrences of a word: below, a mean says little
_MOST_WORDS = 40

_Floats = npt.NDArray[np.float64]


@torch.no_grad()
def gates_by_word(
    network: nn.Module, layers: Sequence[Recurrent], answer: Answer, questions: Questions
) -> list[Heatmap]:
    """Return the change of each gate at each frequent word, one view for each layer and direction.

    Args:
        network: in evaluation.
        layers: its recurrent layers; those that it does not run have no view.
        answer: runs it on a batch.
        questions: of the test split; 2,000 of them at most, evenly spread over it, are looked at.
    """
    device = next(network.parameters()).device
    rows = np.unique(np.linspace(0, len(questions) - 1, _MOST_QUESTIONS).round().astype(np.int64))
    rows = rows[np.argsort(questions.lengths()[rows], kind="stable")]  # so that little is padded
    vocabulary = questions.vocabulary
    counts: dict[str, _Floats] = {}  # by layer and direction: which word is a question's first depends on it
    sums: dict[str, dict[str, _Floats]] = {}
    for start in range(0, len(rows), _AT_ONCE):
        batch = on_device(questions[rows[start : start + _AT_ONCE]], device)
        _, found = look(layers, lambda batch=batch: answer(network, batch))  # type: ignore[misc]
        for one in found:
            words = _words_in_time(batch, turned=one.turned)[1:][one.valid[1:]].cpu().numpy()
            _add(counts, one.key, np.bincount(words, minlength=len(vocabulary.words)))
            for gate, moved in _moved(one).items():
                of_gate = np.bincount(words, moved, minlength=len(vocabulary.words))
                _add(sums.setdefault(one.key, {}), gate, of_gate)
    named = places(layers)
    each = [_view(sums[key], counts[key], vocabulary, named[key]) for key in sums if _shown(counts[key]).size]
    return sorted(each, key=lambda view: view.name)


def _add(totals: dict[str, _Floats], name: str, more: npt.NDArray[Any]) -> None:
    totals[name] = totals.get(name, np.zeros(len(more))) + more


def _moved(one: Insides) -> dict[str, _Floats]:
    """How far each gate goes at each word but the questions' first, (words,), questions side by side."""
    found = {}
    for gate, steps in one.gates.items():
        values = torch.stack(list(steps))  # (steps, batch, hidden)
        change = (values[1:] - values[:-1]).abs().double().mean(-1)
        found[gate] = change[one.valid[1:]].cpu().numpy()
    return found


def _words_in_time(batch: Batch, *, turned: bool) -> Tensor:
    """The words in the order in which a layer reads them, (steps, batch)."""
    if not turned:
        return batch.words
    step = torch.arange(len(batch.words), device=batch.words.device)[:, None]
    return batch.words.gather(0, (batch.lengths - 1 - step).clamp(min=0))


def _shown(counts: _Floats) -> npt.NDArray[np.int64]:
    """The words that are shown, the most frequent first: they are the same for every cell."""
    frequent = np.argsort(-counts, kind="stable")[:_MOST_WORDS]
    shown: npt.NDArray[np.int64] = frequent[(counts[frequent] >= _FEWEST) & (frequent != PADDING)]
    return shown


def _view(of_gate: dict[str, _Floats], counts: _Floats, vocabulary: Vocabulary, place: Place) -> Heatmap:
    shown = _shown(counts)
    return Heatmap(
        name=f"gates_by_word{place.name}",
        title=f"How far each gate moves at a word{place.words}",
        question="Which words do the gates react to? The most frequent words stand to the left.",
        x=Axis("word", scale="category"),
        y=Axis("gate", scale="category"),
        value=Axis("mean |gate - gate a word before|", least=0.0),
        x_values=np.arange(1, len(shown) + 1),
        y_values=np.array([gate.replace("_", " ") for gate in of_gate]),
        values=np.stack([sums[shown] / counts[shown] for sums in of_gate.values()]),
        about="cell",
        words=tuple(vocabulary.words[word] for word in shown),
    )
