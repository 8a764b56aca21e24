"""Sentences as paths through a small probabilistic automaton, and its tables to draw and score many at once.

A sentence is a row of slots: a slot is a word as it stands, or the upper-case name of a list to draw a word
from. A state of the automaton is the row of slots so far, so sentences that start alike share states, and

    P(word | past) = P(slot | slots so far) * P(word | slot, cause).

That is exact because the automaton is *unifilar* (for the term: Travers and Crutchfield, 2011,
arXiv:1008.4182): slots that may follow the same state have no word in common, hence whoever has read the
words knows the state. `Grammar` refuses anything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Slots = tuple[str, ...]

CAUSE, EFFECT, OTHER = "CAUSE", "EFFECT", "OTHER"
OPENING, FILLER, CLOSING = range(3)

ROLES: Final = ("opening", "cause", "boundary", "filler", "distractor", "closing", "effect", "end")
"""Kinds of word, for a table "perplexity by kind of word": the words before the cause, and the full stop
after it; the cause; the first word of every later sentence, which shows whether the story goes on; the rest
of the filler sentences; the country in a distractor; the words before the effect; the effect; the full stop
and `<eos>` after it."""


def prefix_probability(rows: Mapping[Slots, float]) -> dict[Slots, float]:
    """Return the probability of each state: that a sentence starts with those slots."""
    mass: dict[Slots, float] = {}
    for row, probability in rows.items():
        for end in range(len(row) + 1):
            mass[row[:end]] = mass.get(row[:end], 0.0) + probability
    return mass


@dataclass(frozen=True)
class Grammar:
    """The sentences of a story: one opening, fillers, one closing.

    Attributes:
        openings: rows of slots with their probabilities; each holds CAUSE once.
        fillers: the same; may hold OTHER.
        closings: the same; each holds EFFECT once and ends the story.
        categories: the words of each slot that is a list, from common to rare.
        pairs: (cause, effect).

    Raises:
        ValueError: if the sentences are not unifilar; if a filler starts like a closing; or if the number of
            words from CAUSE to the end of the opening, or from the start of the closing to EFFECT, varies.
    """

    openings: Mapping[Slots, float]
    fillers: Mapping[Slots, float]
    closings: Mapping[Slots, float]
    categories: Mapping[str, Sequence[str]]
    pairs: Sequence[tuple[str, str]]

    def __post_init__(self) -> None:
        self._check_unifilar(self.openings)
        self._check_unifilar({**self.fillers, **self.closings})
        # Whether a story goes on shows in the first word: its probability is decided there and nowhere later.
        if {row[0] for row in self.fillers} & {row[0] for row in self.closings}:
            raise ValueError("a closing starts like a filler")
        after = {len(row) - row.index(CAUSE) for row in self.openings}
        before = {row.index(EFFECT) for row in self.closings}
        if len(after) != 1 or len(before) != 1:
            raise ValueError("openings must end, and closings start, at one distance from CAUSE and EFFECT")

    def _check_unifilar(self, rows: Mapping[Slots, float]) -> None:
        following: dict[Slots, list[str]] = {}
        for prefix in prefix_probability(rows):
            if prefix:
                following.setdefault(prefix[:-1], []).append(prefix[-1])
        for row in rows:
            if row in following:
                raise ValueError(f"sentence {' '.join(row)!r} also starts a longer one")
        for prefix, slots in following.items():
            words = [word for slot in slots for word in self.words(slot)]
            twice = sorted({word for word in words if words.count(word) > 1})
            if twice:
                raise ValueError(f"after {' '.join(prefix)!r} the word {twice[0]!r} could be either of {slots}")

    def words(self, slot: str) -> tuple[str, ...]:
        """Return the words that may stand in a slot."""
        if slot in (CAUSE, OTHER):
            return tuple(cause for cause, _ in self.pairs)
        if slot == EFFECT:
            return tuple(effect for _, effect in self.pairs)
        return tuple(self.categories.get(slot, (slot,)))

    @property
    def shortest(self) -> int:
        """The distance in words from cause to effect when no filler stands between them."""
        opening, closing = next(iter(self.openings)), next(iter(self.closings))
        return len(opening) - opening.index(CAUSE) - 1 + closing.index(EFFECT)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word that can occur, in alphabetical order."""
        rows = itertools.chain(self.openings, self.fillers, self.closings)
        slots = dict.fromkeys(itertools.chain.from_iterable(rows))
        return tuple(sorted({word for slot in slots for word in self.words(slot)}))

    def ids(self, slot: str) -> Ints:
        """Return the places in the vocabulary of the words of a slot."""
        place = {word: index for index, word in enumerate(self.vocabulary)}
        return np.array([place[word] for word in self.words(slot)], dtype=np.int64)

    @cached_property
    def tables(self) -> Tables:
        """The grammar as arrays."""
        return Tables.of(self)


def slot_probability(slot: str, words: int) -> Floats:
    """Return the probability of each word of a slot, common to rare: Zipf's law, but uniform for countries.

    EFFECT and OTHER depend on the cause: `draw_words` draws them, and what stands here for them is not used.
    """
    weight: Floats = np.ones(words)
    if slot not in (CAUSE, EFFECT, OTHER):
        weight /= np.arange(1, words + 1)
    # A running sum adds in one order on every machine, unlike np.sum: same seed, same text, everywhere.
    weight /= np.cumsum(weight)[-1]
    return weight


def role(kind: int, row: Slots, place: int) -> str:
    """Return the kind of word (of ROLES) at a place of an opening, filler or closing."""
    named = {CAUSE: "cause", EFFECT: "effect", OTHER: "distractor"}
    if row[place] in named:
        return named[row[place]]
    if kind == OPENING:
        return "opening"
    if place == 0:
        return "boundary"
    if kind == FILLER:
        return "filler"
    return "end" if place > row.index(EFFECT) else "closing"


@dataclass(frozen=True)
class Tables:
    """A grammar as arrays: sentences one after another, and slots one after another.

    Attributes:
        chance: for each of OPENING, FILLER, CLOSING (sentence number, probability), arrays of one length.
        start: (sentences,) where a sentence's places begin; length: (sentences,) how many it has, in words.
        slot, slot_nats, role: (places,) slot number; -log P(slot | slots so far); index in ROLES.
        slots: the names of the slots; word_start: (slots,) where a slot's words begin.
        word, word_nats, word_edge: (words of all slots) index in the vocabulary; -log P(word | slot);
            slot number + P(this word or one before it).
        word_entropy_nats: (slots,) expected -log P(word | slot, cause).
    """

    chance: tuple[tuple[Ints, Floats], ...]
    start: Ints
    length: Ints
    slot: Ints
    slot_nats: Floats
    role: Ints
    slots: tuple[str, ...]
    word_start: Ints
    word: Ints
    word_nats: Floats
    word_edge: Floats
    word_entropy_nats: Floats

    @classmethod
    def of(cls, grammar: Grammar) -> Tables:
        """Return the tables of a grammar."""
        kinds = (grammar.openings, grammar.fillers, grammar.closings)
        rows = [row for kind in kinds for row in kind]
        slots = tuple(dict.fromkeys(slot for row in rows for slot in row))
        number = {slot: index for index, slot in enumerate(slots)}
        first = np.cumsum([0, *map(len, kinds)])
        nats: list[float] = []
        roles: list[int] = []
        for kind, of_kind in enumerate(kinds):
            mass = prefix_probability(of_kind)
            for row in of_kind:
                nats += [-np.log(mass[row[: end + 1]] / mass[row[:end]]) for end in range(len(row))]
                roles += [ROLES.index(role(kind, row, place)) for place in range(len(row))]
        words = [slot_probability(slot, len(grammar.words(slot))) for slot in slots]
        length = np.array([len(row) for row in rows], dtype=np.int64)
        entropy = [float(-(p * np.log(p)).sum()) for p in words]
        for name, nats_given_cause in ((EFFECT, 0.0), (OTHER, np.log(max(len(grammar.pairs) - 1, 1)))):
            if name in number:
                entropy[number[name]] = nats_given_cause
        return cls(
            chance=tuple(
                (np.arange(first[kind], first[kind + 1]), np.array(list(of_kind.values())))
                for kind, of_kind in enumerate(kinds)
            ),
            start=np.cumsum(length) - length,
            length=length,
            slot=np.array([number[slot] for row in rows for slot in row], dtype=np.int64),
            slot_nats=np.array(nats),
            role=np.array(roles, dtype=np.int64),
            slots=slots,
            word_start=np.cumsum([0, *map(len, words)])[:-1],
            word=np.concatenate([grammar.ids(slot) for slot in slots]),
            word_nats=-np.log(np.concatenate(words)),
            word_edge=np.concatenate([index + np.cumsum(p) for index, p in enumerate(words)]),
            word_entropy_nats=np.array(entropy),
        )

    def expected_by_role(self, kind: int) -> tuple[Floats, Floats]:
        """Return the expected nats and words of one opening, filler or closing, (roles,) each."""
        nats: Floats = np.zeros(len(ROLES))
        words: Floats = np.zeros(len(ROLES))
        for sentence, chance in zip(*self.chance[kind], strict=True):
            places = slice(self.start[sentence], self.start[sentence] + self.length[sentence])
            surprise = self.slot_nats[places] + self.word_entropy_nats[self.slot[places]]
            np.add.at(nats, self.role[places], chance * surprise)
            np.add.at(words, self.role[places], chance)
        return nats, words


def uniform(source: np.random.PCG64, count: int) -> Floats:
    """Return numbers from [0, 1)."""
    # numpy promises the same raw numbers in every version; it does not for the methods of Generator (NEP 19).
    raw = np.asarray(source.random_raw(count), dtype=np.uint64)
    leading: Floats = (raw >> np.uint64(11)).astype(np.float64)  # 53 bits, what a float64 holds exactly
    return leading * 2.0**-53


def pick(source: np.random.PCG64, probability: Floats, count: int) -> Ints:
    """Return places in `probability`, drawn with it."""
    place = np.searchsorted(np.cumsum(probability), uniform(source, count), side="right")
    return np.minimum(place, len(probability) - 1)  # the running sum may end a rounding error below 1


def draw_words(grammar: Grammar, sentence: Ints, story: Ints, source: np.random.PCG64) -> tuple[Ints, Floats, Ints]:
    """Return tokens, log-probability in nats and role, (words,) each, of sentences one after another.

    Args:
        grammar: the sentences.
        sentence: (sentences,) numbers in its tables; whole stories, from opening to closing.
        story: (words,) the story that each word is in, from 0.
        source: of the random numbers.

    The probability is that of the word when its sentence is known to be an opening, a filler or a closing.
    """
    tables = grammar.tables
    length = tables.length[sentence]
    place = np.arange(len(story)) + np.repeat(tables.start[sentence] - np.cumsum(length) + length, length)
    slot, role = tables.slot[place], tables.role[place]

    draws = uniform(source, len(place))
    choice = np.searchsorted(tables.word_edge, slot + draws, side="right")
    # Adding the slot number costs the last few bits: never let that carry a draw into the next slot.
    choice = np.minimum(choice, np.append(tables.word_start[1:], len(tables.word))[slot] - 1)
    tokens, nats = tables.word[choice], tables.word_nats[choice]

    causes, effects, others = grammar.ids(CAUSE), grammar.ids(EFFECT), len(grammar.pairs) - 1
    is_cause, is_effect, is_other = (role == ROLES.index(name) for name in ("cause", "effect", "distractor"))
    cause = (choice - tables.word_start[slot])[is_cause]  # one a story
    other = (draws[is_other] * others).astype(np.int64)
    tokens[is_other] = causes[other + (other >= cause[story[is_other]])]  # any but the story's own
    nats[is_other] = np.log(max(others, 1))
    tokens[is_effect], nats[is_effect] = effects[cause], 0.0
    return tokens, -(tables.slot_nats[place] + nats), role
