"""The process behind the embedded text: drawing stories, the exact probability of each word, the exact entropy.

Let s be the distance that the effect would have if the story ended at this sentence end, and s' the same at
the last one. Who has read the past knows that D > s', so the story ends here with the hazard

    h(s', s) = P(D <= s | D > s') = 1 - P(D > s) / P(D > s'),

which with the unifilar grammar (`grammar`) gives the exact probability of every word. Filler lengths do not
depend on D. So with q(L) the probability of a filler of L words, and v(s) = sum_L q(L) v(s - L) that of a
sentence end at s if stories never ended, a story comes to (s', s) with probability v(s') P(D > s') q(s - s').
Its entropy is summed over these. Stories are independent, so by renewal-reward the entropy per word is
E[nats in a story] / E[words in a story].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from cellwise.tasks.language import grammar as g
from cellwise.tasks.language.grammar import ROLES, Floats, Grammar, Ints

END_OF_STORY: Final = "<eos>"


@dataclass(frozen=True)
class Text:
    """A text drawn from the stories; every array has one entry per word.

    Attributes:
        tokens: index in the vocabulary.
        log_probability_nats: of the word given all words before it, under the process itself.
        role: index in `ROLES`.
        distance_words: words strictly between cause and effect, at the effect; -1 elsewhere.
    """

    tokens: Ints
    log_probability_nats: Floats
    role: np.ndarray[tuple[int], np.dtype[np.int8]]
    distance_words: Ints


@dataclass(frozen=True)
class RoleEntropy:
    """What words of one kind contribute to a story on average: the best that any model can do.

    A text's own optimum differs a little: it is the mean of its -log_probability_nats.

    Attributes:
        nats_per_story: expected -log probability.
        words_per_story: expected number, `<eos>` included.
    """

    nats_per_story: float
    words_per_story: float

    @property
    def nats_per_word(self) -> float:
        """The entropy rate; nan where no such word ever comes."""
        return self.nats_per_story / self.words_per_story if self.words_per_story else math.nan

    @property
    def perplexity(self) -> float:
        """The best possible perplexity."""
        return math.exp(self.nats_per_word)


@dataclass(frozen=True)
class Entropy(RoleEntropy):
    """The entropy of the process, in all and by kind of word (of `ROLES`)."""

    by_role: Mapping[str, RoleEntropy]


def go_on_probability(beyond: Floats, previous: Ints, here: Ints) -> Floats:
    """Return 1 - h = P(D > here | D > previous), broadcast over sentence ends.

    Args:
        beyond: P(D >= d) for d = 0, 1, ..., the last entry 0.
        previous: s' in words; -1 where no sentence end came before.
        here: s in words.
    """
    last = len(beyond) - 1
    return beyond[np.minimum(here + 1, last)] / beyond[np.minimum(previous + 1, last)]


def _beyond(distance: Floats) -> Floats:
    # P(D >= d) for d = 0, 1, ..., len(distance); summed from the far end so that the tail keeps its digits.
    return np.append(np.cumsum(distance[::-1])[::-1], 0.0)


def draw(grammar: Grammar, distance: Floats, tokens: int, stream: np.random.SeedSequence) -> Text:
    """Return whole stories, at least `tokens` words of them and none that is not needed.

    Args:
        grammar: the sentences.
        distance: probability of each distance asked for, from 0 words on.
        tokens: words asked for.
        stream: of the random numbers.
    """
    source = np.random.PCG64(stream)
    # Some 30,000 words at a time, whatever `tokens` is: so a longer text starts with the shorter one.
    at_once = max(1, 60_000 // (len(distance) + 2 * grammar.shortest))
    batches: list[Text] = []
    have = 0
    while have < tokens:
        batches.append(_draw_stories(grammar, distance, at_once, source))
        have += len(batches[-1].tokens)
    columns = [np.concatenate([getattr(b, field.name) for b in batches]) for field in fields(Text)]
    ends = np.flatnonzero(columns[0] == grammar.vocabulary.index(END_OF_STORY)) + 1
    return Text(*(column[: ends[np.searchsorted(ends, tokens)]] for column in columns))


def _draw_sentences(
    grammar: Grammar, distance: Floats, stories: int, source: np.random.PCG64
) -> tuple[Ints, Ints, Floats, Ints]:
    # Per sentence: story, number in the tables, log-probability of the story's ending or going on with it.
    # Per story: the actual distance.
    tables, beyond = grammar.tables, _beyond(distance)

    def sentences(kind: int, count: int) -> Ints:
        numbers, chance = tables.chance[kind]
        return numbers[g.pick(source, chance, count)]

    asked = g.pick(source, distance, stories)
    here, previous = np.full(stories, grammar.shortest), np.full(stories, -1)
    active = np.arange(stories)
    parts = [(active, sentences(g.OPENING, stories), np.zeros(stories))]
    while active.size:
        go_on = go_on_probability(beyond, previous[active], here[active])
        ends = asked[active] <= here[active]
        parts.append((active[ends], sentences(g.CLOSING, int(ends.sum())), np.log1p(-go_on[ends])))
        active = active[~ends]
        filler = sentences(g.FILLER, active.size)
        parts.append((active, filler, np.log(go_on[~ends])))
        previous[active] = here[active]
        here[active] += tables.length[filler]
    story, sentence, decision = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(story, kind="stable")  # parts are in order of time
    return story[order], sentence[order], decision[order], here


def _draw_stories(grammar: Grammar, distance: Floats, stories: int, source: np.random.PCG64) -> Text:
    story, sentence, decision, reached = _draw_sentences(grammar, distance, stories, source)
    length = grammar.tables.length[sentence]
    story = np.repeat(story, length)
    tokens, log_probability, role = g.draw_words(grammar, sentence, story, source)
    log_probability[np.cumsum(length) - length] += decision
    distance_words = np.where(role == ROLES.index("effect"), reached[story], -1)
    return Text(tokens, log_probability, role.astype(np.int8), distance_words)


def _coin_entropy(heads: Floats) -> Floats:
    tails = 1 - heads
    return -(heads * np.log(np.where(heads > 0, heads, 1)) + tails * np.log(np.where(tails > 0, tails, 1)))


def entropy(grammar: Grammar, distance: Floats) -> Entropy:
    """Return the exact entropy by the recursion at the top of this file.

    Args:
        grammar: the sentences.
        distance: probability of each distance asked for, from 0 words on.
    """
    tables, beyond = grammar.tables, _beyond(distance)
    fillers, chance = tables.chance[g.FILLER]
    lengths = np.bincount(tables.length[fillers], weights=chance)  # q(L)
    steps = np.flatnonzero(lengths)
    goes_on = np.zeros(max(len(distance), grammar.shortest + 1))  # v(s') P(D > s')
    visited = np.zeros(len(goes_on) + len(lengths))  # v(s)
    visited[grammar.shortest] = 1.0
    choice_nats = float(_coin_entropy(go_on_probability(beyond, np.array(-1), np.array(grammar.shortest))))
    for here in range(grammar.shortest, len(goes_on)):
        goes_on[here] = visited[here] * go_on_probability(beyond, np.array(-1), np.array(here))
        visited[here + steps] += visited[here] * lengths[steps]
        if goes_on[here] > 0:
            coin = _coin_entropy(go_on_probability(beyond, np.array(here), here + steps))
            choice_nats += float(goes_on[here] * (lengths[steps] * coin).sum())
    nats, count = np.zeros(len(ROLES)), np.zeros(len(ROLES))
    for kind, times in ((g.OPENING, 1.0), (g.FILLER, goes_on.sum()), (g.CLOSING, 1.0)):
        of_kind = tables.expected_by_role(kind)
        nats, count = nats + times * of_kind[0], count + times * of_kind[1]
    nats[ROLES.index("boundary")] += choice_nats
    by_role = {name: RoleEntropy(float(nats[i]), float(count[i])) for i, name in enumerate(ROLES)}
    return Entropy(float(nats.sum()), float(count.sum()), by_role)
