import dataclasses
import hashlib
import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from cellwise.errors import CellwiseError
from cellwise.tasks.language import stories, words
from cellwise.tasks.language.grammar import (
    CAUSE,
    EFFECT,
    OTHER,
    ROLES,
    Floats,
    Grammar,
    Slots,
    prefix_probability,
)
from cellwise.tasks.language.sentences import Sentences
from cellwise.tasks.language.stories import Entropy, Text

LANGUAGE = dict(words.PAIRS)
SETTINGS = (
    Sentences(train_tokens=300_000),
    Sentences(train_tokens=300_000, distance="uniform", distance_min=4, distance_max=25, seed=1),
    Sentences(train_tokens=300_000, distance="uniform", distance_min=12, distance_max=12, seed=2),
    Sentences(train_tokens=300_000, distance_min=6, distance_mean=20, distance_max=60, pairs=5, seed=3),
    Sentences(train_tokens=300_000, distractors=0.0, seed=4),
)
TINY = Grammar(
    openings={("i", "from", CAUSE, "."): 0.75, ("i", "was", "in", CAUSE, "."): 0.25},
    fillers={("A", "."): 0.5, ("A", "V", "."): 0.2, ("my", "A", OTHER, "."): 0.3},
    closings={("i", "say", EFFECT, ".", "<eos>"): 0.6, ("i", "V", EFFECT, ".", "<eos>"): 0.4},
    categories={"A": ("a", "b"), "V": ("x", "y", "z")},
    pairs=(("c1", "e1"), ("c2", "e2"), ("c3", "e3")),
)
FROZEN = "27bb46206cb8f34030317f82de4b50ecaf4bf95b784e52867db34856d7b8d50e"
TINY_DISTANCE = np.array([0.0, 0.1, 0.0, 0.3, 0.1, 0.2, 0.0, 0.3])


def stories_of(vocabulary: tuple[str, ...], text: Text) -> list[tuple[str, ...]]:
    found = "".join(f"{vocabulary[token]} " for token in text.tokens).split("<eos> ")
    assert found.pop() == ""  # the text ends with the end of a story
    return [(*story.split(), "<eos>") for story in found]


def by_story(text: Text, values: Floats) -> Floats:
    before = np.append(ROLES.index("end"), text.role[:-1])
    starts = np.flatnonzero((text.role == ROLES.index("opening")) & (before == ROLES.index("end")))
    sums: Floats = np.add.reduceat(values, starts)
    return sums


def chances(grammar: Grammar, slot: str, cause: str | None) -> dict[str, float]:
    """The probability of each word of a slot, written anew: Zipf's law; countries uniform."""
    if slot == CAUSE:
        return {country: 1 / len(grammar.pairs) for country, _ in grammar.pairs}
    if slot == EFFECT:
        return {language: 1.0 for country, language in grammar.pairs if country == cause}
    if slot == OTHER:
        return {country: 1 / (len(grammar.pairs) - 1) for country, _ in grammar.pairs if country != cause}
    if slot not in grammar.categories:
        return {slot: 1.0}
    total = sum(1 / rank for rank in range(1, len(grammar.categories[slot]) + 1))
    return {word: 1 / rank / total for rank, word in enumerate(grammar.categories[slot], start=1)}


def fillings(grammar: Grammar, row: Slots, cause: str) -> Iterator[tuple[tuple[str, ...], float]]:
    for pick in itertools.product(*(chances(grammar, slot, cause).items() for slot in row)):
        yield tuple(word for word, _ in pick), math.prod(p for _, p in pick)


def enumerate_stories(grammar: Grammar, distance: Floats) -> dict[tuple[str, ...], float]:
    """The probability of every story, summed over the hidden distance: knows no hazard and no state."""
    found: dict[tuple[str, ...], float] = defaultdict(float)

    def grow(text: tuple[str, ...], probability: float, cause: str, asked: int) -> None:
        after_cause = len(text) - text.index(cause) - 1
        ends = after_cause + 2 >= asked  # two words before the effect
        for row, weight in (grammar.closings if ends else grammar.fillers).items():
            for filled, chance in fillings(grammar, row, cause):
                if ends:
                    found[text + filled] += probability * weight * chance
                else:
                    grow(text + filled, probability * weight * chance, cause, asked)

    for asked, (cause, _), (row, weight) in itertools.product(
        np.flatnonzero(distance), grammar.pairs, grammar.openings.items()
    ):
        text = tuple(cause if slot == CAUSE else slot for slot in row)
        grow(text, float(distance[asked]) * weight / len(grammar.pairs), cause, int(asked))
    return found


class Reader:
    """Predicts the next word from those before it, by Bayes over rows of slots and the hidden distance."""

    def __init__(self, settings: Sentences) -> None:
        self.grammar, self.prior = settings.grammar, settings.distance_probability
        self.start_story()

    def start_story(self) -> None:
        self.asked, self.after_cause, self.place = self.prior.copy(), 0, 0
        self.cause: str | None = None
        self.rows: dict[Slots, float] = dict(self.grammar.openings)

    def start_sentence(self) -> None:
        self.place = 0
        self.if_ended = self.after_cause + 3
        ends = self.asked[: self.if_ended + 1].sum()
        self.rows = {row: p * (1 - ends) for row, p in self.grammar.fillers.items()}
        self.rows |= {row: p * ends for row, p in self.grammar.closings.items()}

    def predict(self) -> dict[str, float]:
        out: dict[str, float] = defaultdict(float)
        for row, weight in self.rows.items():
            for word, chance in chances(self.grammar, row[self.place], self.cause).items():
                out[word] += weight * chance
        return out

    def read(self, word: str) -> None:
        weights = {r: p * chances(self.grammar, r[self.place], self.cause).get(word, 0) for r, p in self.rows.items()}
        total = sum(weights.values())
        self.rows = {row: weight / total for row, weight in weights.items() if weight > 0}
        if self.cause is not None:
            self.after_cause += 1
            if self.place == 0 and word != "i":
                self.asked[: self.if_ended + 1] = 0
                self.asked /= self.asked.sum()
        elif word in LANGUAGE:
            self.cause = word
        self.place += 1
        if word == "<eos>":
            self.start_story()
        elif word == "." and not any(EFFECT in row for row in self.rows):
            self.start_sentence()


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_reader_who_knows_only_the_past_finds_the_same_probabilities(settings: Sentences) -> None:
    text = dataclasses.replace(settings, test_tokens=700).generate("test")
    reader, expected = Reader(settings), []
    for token in text.tokens:
        word, predicted = settings.vocabulary[token], reader.predict()
        assert sum(predicted.values()) == pytest.approx(1, abs=1e-12)
        expected.append(math.log(predicted[word]))
        reader.read(word)
    np.testing.assert_allclose(text.log_probability_nats, expected, rtol=0, atol=1e-9)


def test_the_entropy_equals_that_of_all_stories_enumerated() -> None:
    every_story = enumerate_stories(TINY, TINY_DISTANCE)
    assert sum(every_story.values()) == pytest.approx(1, abs=1e-12)
    found = stories.entropy(TINY, TINY_DISTANCE)
    assert found.nats_per_story == pytest.approx(-sum(p * math.log(p) for p in every_story.values()), rel=1e-12)
    assert found.words_per_story == pytest.approx(sum(p * len(s) for s, p in every_story.items()), rel=1e-12)
    assert found.nats_per_word == found.nats_per_story / found.words_per_story
    assert found.perplexity == pytest.approx(math.exp(found.nats_per_word))


def test_stories_come_as_often_as_enumerated_and_with_that_log_probability() -> None:
    every_story = enumerate_stories(TINY, TINY_DISTANCE)
    text = stories.draw(TINY, TINY_DISTANCE, 200_000, np.random.SeedSequence(0))
    drawn = stories_of(TINY.vocabulary, text)
    expected = [math.log(every_story[story]) for story in drawn]
    np.testing.assert_allclose(by_story(text, text.log_probability_nats), expected, rtol=0, atol=1e-12)
    counts, frequent = Counter(drawn), sorted(every_story, key=every_story.__getitem__)[-50:]
    observed = np.array([counts[story] for story in frequent])
    wanted = np.array([every_story[story] for story in frequent]) * len(drawn)
    rest = len(drawn) - np.array([observed.sum(), wanted.sum()])
    assert stats.chisquare(np.append(observed, rest[0]), np.append(wanted, rest[1])).pvalue > 1e-3


def forgets_where_it_was(beyond: Floats, previous: Floats, here: Floats) -> Floats:
    unconditional: Floats = beyond[np.minimum(here.astype(int) + 1, len(beyond) - 1)] + 0 * previous
    return unconditional


def test_a_hazard_that_forgets_the_last_sentence_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories, "go_on_probability", forgets_where_it_was)
    with pytest.raises(AssertionError):
        test_the_entropy_equals_that_of_all_stories_enumerated()
    with pytest.raises(AssertionError):
        test_a_reader_who_knows_only_the_past_finds_the_same_probabilities(SETTINGS[1])


def test_a_recursion_without_the_hazard_does_not_fit_a_long_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = SETTINGS[0].generate("train")
    monkeypatch.setattr(stories, "_coin_entropy", np.zeros_like)
    with pytest.raises(AssertionError):
        assert_entropy_per_word_fits(text, SETTINGS[0].entropy())


def assert_entropy_per_word_fits(text: Text, exact: Entropy) -> None:
    length = by_story(text, np.ones(len(text.tokens)))
    error = by_story(text, -text.log_probability_nats) - exact.nats_per_word * length
    standard_error = error.std() / math.sqrt(len(error)) / length.mean()
    assert abs(error.mean() / length.mean()) < 4 * standard_error  # renewal-reward
    assert standard_error < 0.005 * exact.nats_per_word


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_long_text_has_the_entropy_of_the_recursion(settings: Sentences) -> None:
    text, exact = settings.generate("train"), settings.entropy()
    assert_entropy_per_word_fits(text, exact)
    for number, name in enumerate(ROLES):
        of_role = text.role == number
        for values, expected in (
            (-text.log_probability_nats * of_role, exact.by_role[name].nats_per_story),
            (of_role.astype(float), exact.by_role[name].words_per_story),
        ):
            per_story = by_story(text, values)
            assert abs(per_story.mean() - expected) <= 4.5 * per_story.std() / math.sqrt(len(per_story)) + 1e-12


def test_the_parts_of_the_entropy_add_up_and_the_effect_is_certain() -> None:
    exact = Sentences().entropy()
    assert sum(part.nats_per_story for part in exact.by_role.values()) == pytest.approx(exact.nats_per_story)
    assert sum(part.words_per_story for part in exact.by_role.values()) == pytest.approx(exact.words_per_story)
    assert exact.by_role["effect"].perplexity == 1
    assert exact.by_role["cause"].perplexity == pytest.approx(20)
    assert exact.by_role["distractor"].perplexity == pytest.approx(19)


def test_the_probabilities_in_every_state_sum_to_one() -> None:
    grammar = Sentences().grammar
    for rows in (grammar.openings, grammar.fillers, grammar.closings):
        mass = prefix_probability(rows)
        assert mass[()] == pytest.approx(1, abs=1e-12)
        following: dict[Slots, float] = defaultdict(float)
        for state, probability in mass.items():
            if state:
                following[state[:-1]] += probability / mass[state[:-1]]
        assert list(following.values()) == pytest.approx([1] * len(following), abs=1e-12)
    tables = grammar.tables
    totals = np.add.reduceat(np.exp(-tables.word_nats), tables.word_start)
    np.testing.assert_allclose(totals, 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_distances_follow_the_distribution_asked_for(settings: Sentences) -> None:
    lengths: dict[int, float] = defaultdict(float)
    for row, probability in settings.grammar.fillers.items():
        lengths[len(row)] += probability
    expected = np.zeros(200)
    for asked, probability in enumerate(settings.distance_probability):
        reached = np.zeros(200)
        reached[4] = probability
        for distance in range(4, asked):  # a story that is not yet long enough gets one more filler
            for length, chance in lengths.items():
                reached[distance + length] += reached[distance] * chance
            reached[distance] = 0
        expected += reached
    text = settings.generate("train")
    actual = text.distance_words[text.role == ROLES.index("effect")]
    assert (text.distance_words >= 0).sum() == len(actual)
    counts, wanted = np.bincount(actual, minlength=200), expected * len(actual)
    assert counts[expected == 0].sum() == 0
    common = wanted > 5
    observed = np.append(counts[common], counts[~common].sum())
    assert stats.chisquare(observed, np.append(wanted[common], wanted[~common].sum() + 1e-9)).pvalue > 1e-3


def test_the_asked_distances_are_uniform_or_geometric() -> None:
    uniform = Sentences(distance="uniform", distance_min=4, distance_max=25).distance_probability
    np.testing.assert_allclose(uniform, [0] * 4 + [1 / 22] * 22)
    geometric = Sentences(distance_min=5, distance_max=2000, distance_mean=17).distance_probability
    assert geometric[:5].sum() == 0
    np.testing.assert_allclose(geometric[6:100] / geometric[5:99], geometric[6] / geometric[5])
    assert geometric @ np.arange(2001) == pytest.approx(17)


def test_a_story_names_its_own_language_at_the_recorded_distance_and_other_countries_between() -> None:
    settings = Sentences(test_tokens=100_000)
    text = settings.generate("test")
    distances = iter(text.distance_words[text.distance_words >= 0])
    fillers, distractors = 0, 0
    for story in stories_of(settings.vocabulary, text):
        line = " ".join(story)
        found = re.fullmatch(r"i (?:grew up in|was born in|come from) (\w+) \. (.*)i speak \w+ (\w+) \. <eos>", line)
        assert found
        country, between, language = found.groups()
        assert language == LANGUAGE[country]
        assert story.index(language) - story.index(country) - 1 == next(distances)
        for sentence in between.split(" . ")[:-1] if between else []:
            fillers += 1
            named = LANGUAGE.keys() & set(sentence.split())
            distractors += len(named)
            assert country not in named
            assert 2 <= len(sentence.split()) <= 9
    assert abs(distractors / fillers - 0.1) < 4 * math.sqrt(0.1 * 0.9 / fillers)


def test_the_vocabulary_has_over_500_words_and_all_of_them_occur() -> None:
    settings = Sentences(train_tokens=1_000_000)
    assert len(settings.vocabulary) == len(set(settings.vocabulary)) >= 500
    assert set(settings.generate("train").tokens) == set(range(len(settings.vocabulary)))
    assert len(settings.causes) == len(settings.effect_candidates) == 20
    for cause, effect in zip(settings.causes, settings.effect_candidates, strict=True):
        assert LANGUAGE[settings.vocabulary[cause]] == settings.vocabulary[effect]


def test_the_same_seed_gives_the_same_text_on_every_machine() -> None:
    settings = Sentences(test_tokens=5_000)
    written = settings.lines(settings.generate("test").tokens)
    assert written.startswith("i come from spain . she ate apples and pears . the brown book was very ready . i speak")
    assert hashlib.sha256(written.encode()).hexdigest() == FROZEN
    assert written.endswith("<eos>\n")


def test_splits_and_seeds_differ_and_a_longer_text_starts_with_the_shorter() -> None:
    settings = Sentences(train_tokens=3_000, valid_tokens=3_000, test_tokens=3_000)
    texts = [settings.generate(split).tokens for split in ("train", "valid", "test")]
    texts.append(dataclasses.replace(settings, seed=1).generate("train").tokens)
    assert len({tokens[:200].tobytes() for tokens in texts}) == 4
    longer = dataclasses.replace(settings, train_tokens=90_000).generate("train").tokens
    np.testing.assert_array_equal(longer[: len(texts[0])], texts[0])


@pytest.mark.parametrize("tokens", [1, 17, 1000])
def test_a_text_ends_with_the_story_that_reaches_its_size(tokens: int) -> None:
    settings = Sentences(valid_tokens=tokens)
    text = settings.generate("valid")
    last = len(stories_of(settings.vocabulary, text)[-1])
    assert len(text.tokens) - last < tokens <= len(text.tokens)


def test_sentences_that_leave_a_reader_in_doubt_are_refused() -> None:
    cases: tuple[tuple[str, dict[Slots, float]], ...] = (
        ("the word 'b' could be either", {("A", "V"): 0.5, ("b", "."): 0.5}),
        ("also starts a longer one", {("A",): 0.5, ("A", "."): 0.5}),
        ("starts like a filler", {("i", "say", "A"): 1.0}),
    )
    for told, fillers in cases:
        with pytest.raises(ValueError, match=told):
            dataclasses.replace(TINY, fillers=fillers)
    with pytest.raises(ValueError, match="one distance"):
        dataclasses.replace(TINY, openings={("i", CAUSE, "."): 0.5, ("i", "am", CAUSE, "now", "."): 0.5})


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"seed": -1}, "data.seed=-1 is not allowed; it must be a whole number of at least 0"),
        ({"seed": "one"}, "data.seed='one' is not allowed"),
        ({"train_tokens": 0}, "data.train_tokens=0 is not allowed; it must be a whole number of at least 1"),
        ({"test_tokens": 2.5}, "data.test_tokens=2.5 is not allowed; it must be a whole number"),
        ({"distance": "unifrom"}, "unknown data.distance 'unifrom'; did you mean 'uniform'?"),
        ({"distance": "fixed"}, "for one fixed distance set distance_min and distance_max"),
        ({"distance_min": -1}, "data.distance_min=-1 is not allowed; it must be a whole number from 0 to 100000"),
        ({"distance_min": 31}, "data.distance_max=30 is not allowed; it must be a whole number from 31 to 100000"),
        ({"distance_max": 10**9}, "data.distance_max=1000000000 is not allowed"),
        ({"distance_mean": 31.0}, "data.distance_mean=31.0 is not allowed; it must be a number from 0 to 30"),
        ({"distance_mean": math.nan}, "data.distance_mean=nan is not allowed"),
        ({"distractors": 1.5}, "data.distractors=1.5 is not allowed; it must be a number from 0.0 to 1.0"),
        ({"pairs": 21}, "data.pairs=21 is not allowed; it must be a whole number from 1 to 20"),
        ({"pairs": 1}, "type data.distractors=0"),
    ],
)
def test_a_bad_setting_is_told_in_one_line(setting: dict[str, object], told: str) -> None:
    with pytest.raises(CellwiseError, match=re.escape(told)) as error:
        Sentences(**setting)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_an_unknown_split_is_told_in_one_line() -> None:
    with pytest.raises(CellwiseError, match="unknown split 'training'; did you mean 'train'"):
        Sentences().generate("training")


@pytest.mark.parametrize(
    "setting",
    [{"pairs": 1, "distractors": 0.0}, {"distractors": 1.0}, {"distance_max": 4, "distance_mean": 4}],
)
def test_settings_at_their_limits_give_a_text(setting: dict[str, float]) -> None:
    settings = Sentences(test_tokens=50_000, **setting)  # type: ignore[arg-type]
    optimum = -settings.generate("test").log_probability_nats.mean()
    assert optimum == pytest.approx(settings.entropy().nats_per_word, rel=0.02)
