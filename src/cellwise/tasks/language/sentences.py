"""The embedded text: stories like "i grew up in france . ... i speak fluent french . <eos>", optimum known.

Source: written for cellwise; the example is the usual one for long-term dependencies.

A story draws a cause (a country) and, from a chosen distribution, a distance D to ask for. Filler sentences
follow until the effect (the language), were the story to end now, would stand at least D words after the
cause; then the story ends. Distance counts the words strictly between cause and effect, full stops included.
Recorded is the actual one: the first at or after D that a sentence end allows.

`stories` draws them and knows the probability of each word; `grammar` holds the sentences, `words` their words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from cellwise.errors import CellwiseError, unknown
from cellwise.tasks.language import grammar as g
from cellwise.tasks.language import words
from cellwise.tasks.language.grammar import Floats, Grammar, Ints
from cellwise.tasks.language.stories import END_OF_STORY, Entropy, Text, draw, entropy

SPLITS: Final = ("train", "valid", "test")
DISTANCES: Final = ("uniform", "geometric")
LONGEST: Final = 100_000  # words; far beyond what is trained on, and the recursion still takes about a second


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
            raise unknown("data.distance", self.distance, DISTANCES, hint=hint)
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
            raise CellwiseError("data.pairs=1 has no other country for a distractor to name; type data.distractors=0")

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
        raise CellwiseError(f"data.{name}={value!r} is not allowed; it must be a whole number {limit}")


def _between(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        limit = f"from {least} to {most}"
        raise CellwiseError(f"data.{name}={value!r} is not allowed; it must be a number {limit}")
