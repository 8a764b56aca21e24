"""The evidence of a language model: where it is good and where it is not, read against the best possible."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cellwise.records.schema import Axis, Column, Curves, Series, Table, View
from cellwise.tasks.language.corpus import Corpus
from cellwise.tasks.language.grammar import ROLES
from cellwise.tasks.language.metrics import perplexity
from cellwise.tasks.language.sentences import Sentences
from cellwise.tasks.language.stories import Text

_Floats = npt.NDArray[np.float64]

_FEWEST = 5  # effects at one distance: below, a mean says little


def of_sentences(nll_nats: Tensor, story: Text, settings: Sentences) -> list[View]:
    """Return the views of the embedded text.

    Args:
        nll_nats: of each test token but the first, float64 (tokens - 1,).
        story: the test text with its true probabilities.
        settings: of the generator.
    """
    nll = nll_nats.numpy()
    return [_by_role(nll, story), _by_distance(nll, story, settings)]


def by_frequency(nll_nats: Tensor, corpus: Corpus) -> View:
    """Return perplexity against how often the token occurs in train, in decades.

    Args:
        nll_nats: of each test token but the first, float64 (tokens - 1,).
        corpus: its train and test tokens.
    """
    counts = np.bincount(corpus.splits["train"], minlength=len(corpus.vocabulary))[corpus.splits["test"][1:]]
    decade = np.floor(np.log10(np.maximum(counts, 1))).astype(int)
    nll = nll_nats.numpy()
    present = np.unique(decade)
    return Curves(
        name="perplexity_by_frequency",
        title="Perplexity by how often the token occurs in the training text",
        question="Which cell is better on rare tokens, and which on frequent ones?",
        x=Axis("occurrences in train", "", "log"),
        y=Axis("perplexity", "", "log"),
        series=(Series("model", 10.0**present, np.array([_perplexity(nll[decade == d]) for d in present])),),
    )


def _by_role(nll: _Floats, story: Text) -> Table:
    best, role = -story.log_probability_nats[1:], story.role[1:]
    rows: list[tuple[str | int | float, ...]] = []
    for number, name in enumerate(ROLES):
        of_role = role == number
        if of_role.any():
            rows.append(_row(name, nll[of_role], best[of_role]))
    rows.append(_row("all", nll, best))
    return Table(
        name="perplexity_against_optimum",
        title="Perplexity against the best possible, by kind of word",
        question="How far is each cell from the optimum, and on which words does it lose?",
        columns=(
            Column("kind of word"),
            Column("words"),
            Column("perplexity"),
            Column("best possible"),
            Column("ratio"),
        ),
        rows=tuple(rows),
    )


def _row(name: str, nll: _Floats, best: _Floats) -> tuple[str | int | float, ...]:
    found, possible = _perplexity(nll), _perplexity(best)
    return (name, len(nll), found, possible, found / possible)


def _perplexity(nll: _Floats) -> float:
    return perplexity(float(nll.sum()), len(nll))  # infinite, without a warning, when a run has diverged


def _by_distance(nll: _Floats, story: Text, settings: Sentences) -> Curves:
    distance = story.distance_words[1:]
    at, counts = np.unique(distance[distance >= 0], return_counts=True)
    at = at[counts >= _FEWEST]
    probability, best = np.exp(-nll), np.exp(story.log_probability_nats[1:])

    def mean(of: _Floats) -> _Floats:
        return np.array([of[distance == d].mean() for d in at])

    guess = np.full(len(at), 1 / settings.pairs)
    return Curves(
        name="effect_by_distance",
        title="Probability of the right word against the distance to its cause",
        question="How far back does each cell remember?",
        x=Axis("distance between cause and effect", "words"),
        y=Axis("probability of the right word", least=0.0, most=1.0),
        series=(
            Series("model", at.astype(float), mean(probability)),
            Series("best possible", at.astype(float), mean(best), role="optimum"),
            Series("guess among the pairs", at.astype(float), guess, role="floor"),
        ),
    )
