"""The embedded text: stories like "i grew up in france . ... i speak fluent french . <eos>", optimum known.

Source: written for cellwise; the example is the usual one for long-term dependencies.

A story draws a cause (a country) and, from a chosen distribution, a distance D to ask for. Filler sentences
follow until the effect (the language), were the story to end now, would stand at least D words after the
cause; then the story ends. Distance counts the words strictly between cause and effect, full stops included.
Recorded is the actual one: the first at or after D that a sentence end allows.

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
from functools import cached_property
from typing import Final

import numpy as np

from cellwise.errors import CellwiseError, unknown
from cellwise.tasks.language import grammar as g
from cellwise.tasks.language import words
from cellwise.tasks.language.grammar import ROLES, Floats, Grammar, Ints

SPLITS: Final = ("train", "valid", "test")
DISTANCES: Final = ("uniform", "geometric")
END_OF_STORY: Final = "<eos>"
LONGEST: Final = 100_000  # words; far beyond what is trained on, and the recursion still takes about a second


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


@dataclass(frozen=True)
class Sentences:
    """The settings of the embedded text.

    Attributes:
        seed: of the text; each split has a random stream of its own.
        train_tokens: words of the training text; a text ends with the story that reaches its number.
        valid_tokens: words of the validation text.
        test_tokens: words of the test text.
        distance: distribution of the distance asked for: `geometric` from distance_min on, cut off at
            distance_max, or `uniform` on distance_min..distance_max. The default has enough short stories for
            a small LSTM to find the cause within a few epochs; with uniform on 4..25 it hardly does.
        distance_min: smallest distance, in words; the actual one is never below 4 (". i speak fluent").
        distance_max: greatest distance, in words; the actual one exceeds it by less than a sentence.
        distance_mean: mean of the geometric distribution before it is cut off, in words.
        distractors: probability that a filler sentence names a country that is not the cause.
        pairs: number of countries, each with its language.

    Raises:
        CellwiseError: if a setting is out of range.
    """

    seed: int = 0
    train_tokens: int = 200_000
    valid_tokens: int = 20_000
    test_tokens: int = 20_000
    distance: str = "geometric"
    distance_min: int = 0
    distance_max: int = 30
    distance_mean: float = 8.0
    distractors: float = 0.1
    pairs: int = 20

    def __post_init__(self) -> None:
        if self.distance not in DISTANCES:
            hint = "for one fixed distance set distance_min and distance_max to it"
            raise unknown("distance", self.distance, DISTANCES, hint=hint)
        _whole("seed", self.seed, least=0)
        for split in SPLITS:
            _whole(f"{split}_tokens", getattr(self, f"{split}_tokens"), least=1)
        _whole("distance_min", self.distance_min, least=0, most=LONGEST)
        _whole("distance_max", self.distance_max, least=self.distance_min, most=LONGEST)
        _whole("pairs", self.pairs, least=1, most=len(words.PAIRS))
        _between("distractors", self.distractors, 0.0, 1.0)
        if self.distance == "geometric":
            _between("distance_mean", self.distance_mean, self.distance_min, self.distance_max)
        if self.distractors and self.pairs == 1:
            raise CellwiseError("pairs is 1, but a distractor needs another country; type distractors=0")

    @cached_property
    def grammar(self) -> Grammar:
        """The sentences that these settings allow."""
        return words.story_grammar(self.pairs, self.distractors)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word that can occur, `<eos>` included, in alphabetical order."""
        return self.grammar.vocabulary

    @cached_property
    def causes(self) -> Ints:
        """The ids of the countries, (pairs,)."""
        return self.grammar.ids(g.CAUSE)

    @cached_property
    def effect_candidates(self) -> Ints:
        """The ids of the languages, (pairs,), in the order of their countries."""
        return self.grammar.ids(g.EFFECT)

    @cached_property
    def distance_probability(self) -> Floats:
        """The probability of each distance asked for, (distance_max + 1,), from 0 words on."""
        weight = np.zeros(self.distance_max + 1)
        weight[self.distance_min :] = 1.0
        if self.distance == "geometric":
            # A running product, and a running sum below, round alike on every machine; not so ** and np.sum.
            weight[self.distance_min + 1 :] = 1 - 1 / (1 + self.distance_mean - self.distance_min)
            weight[self.distance_min :] = np.cumprod(weight[self.distance_min :])
        total: Floats = np.cumsum(weight)
        probability: Floats = weight / total[-1]
        return probability

    def generate(self, split: str) -> Text:
        """Return the text of a split: the same for the same settings on every machine.

        Args:
            split: one of `SPLITS`. A longer text of the same settings starts with the shorter one.

        Raises:
            CellwiseError: if the split is unknown.
        """
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        stream = np.random.SeedSequence(self.seed, spawn_key=(SPLITS.index(split),))
        return draw(self.grammar, self.distance_probability, getattr(self, f"{split}_tokens"), stream)

    def entropy(self) -> Entropy:
        """Return the exact entropy of the process, in all and by kind of word."""
        return entropy(self.grammar, self.distance_probability)

    def lines(self, tokens: Ints) -> str:
        """Return a text as it is written to a file: a story a line, words separated by blanks."""
        text = " ".join(self.vocabulary[token] for token in tokens)
        return text.replace(f"{END_OF_STORY} ", f"{END_OF_STORY}\n") + ("\n" if text else "")


def _whole(name: str, value: object, *, least: int, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        limit = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise CellwiseError(f"{name} is {value!r}; allowed: a whole number {limit}; type e.g. {name}={least}")


def _between(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        limit = f"from {least} to {most}"
        raise CellwiseError(f"{name} is {value!r}; allowed: a number {limit}; type e.g. {name}={least}")


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
