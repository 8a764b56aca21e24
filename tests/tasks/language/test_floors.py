"""Floors against slow dictionaries, and the known numbers of the real sets."""

from __future__ import annotations

import math
import os
import time
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from cellwise.tasks.language.corpus import load_corpus
from cellwise.tasks.language.floors import bigram_nll_nats, fit_weight, unigram_nll_nats
from cellwise.tasks.language.metrics import perplexity

VOCABULARY = 6
texts = st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=40).map(np.array)
Tokens = npt.NDArray[np.int64]


def slow_unigram(train: Tokens) -> dict[int, float]:
    counts = Counter(train.tolist())
    once = {token: counts[token] or 1 for token in range(VOCABULARY)}
    return {token: count / sum(once.values()) for token, count in once.items()}


def slow_bigram(train: Tokens) -> dict[int, dict[int, float]]:
    """Return predecessor to the probabilities of what train shows after it."""
    followers: dict[int, Counter[int]] = {}
    for before, after in zip(train.tolist(), train.tolist()[1:], strict=False):
        followers.setdefault(before, Counter())[after] += 1
    return {
        before: {after: count / counts.total() for after, count in counts.items()}
        for before, counts in followers.items()
    }


def slow_probability(train: Tokens, weight: float, before: int, after: int) -> float:
    alone, paired = slow_unigram(train)[after], slow_bigram(train)
    if before not in paired:
        return alone
    return weight * paired[before].get(after, 0.0) + (1 - weight) * alone


def slow_weight(train: Tokens, valid: Tokens) -> float:
    """Maximise the likelihood of valid, and of one more prediction on either side, over a line."""
    known = [pair for pair in zip(valid.tolist(), valid.tolist()[1:], strict=False) if pair[0] in slow_bigram(train)]

    def cost(weight: float) -> float:
        seen = sum(math.log(slow_probability(train, weight, *pair)) for pair in known)
        return -(seen + math.log(weight) + math.log(1 - weight))

    return float(minimize_scalar(cost, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-9}).x)


@given(texts, texts)
def test_the_unigram_is_that_of_a_dictionary(train: Tokens, test: Tokens) -> None:
    probabilities = slow_unigram(train)
    expected = -sum(math.log(probabilities[token]) for token in test.tolist()[1:]) / (len(test) - 1)
    assert unigram_nll_nats(train, test, VOCABULARY) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=40)
@given(texts, texts, texts)
def test_the_bigram_is_that_of_a_dictionary(train: Tokens, valid: Tokens, test: Tokens) -> None:
    weight = slow_weight(train, valid)
    pairs = list(zip(test.tolist(), test.tolist()[1:], strict=False))
    expected = -sum(math.log(slow_probability(train, weight, *pair)) for pair in pairs) / len(pairs)
    assert bigram_nll_nats(train, valid, test, VOCABULARY) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_the_first_token_of_test_is_not_scored() -> None:
    train, valid = np.array([0, 0, 0, 1]), np.array([0, 1])
    assert unigram_nll_nats(train, np.array([1, 0]), 2) == pytest.approx(math.log(4 / 3))
    assert unigram_nll_nats(train, np.array([0, 0]), 2) == pytest.approx(math.log(4 / 3))
    assert bigram_nll_nats(train, valid, np.array([1, 0]), 2) == pytest.approx(math.log(4 / 3))  # 1 is last in train


@given(texts, texts, st.integers(0, VOCABULARY - 1))
def test_probabilities_sum_to_one_after_every_predecessor(train: Tokens, valid: Tokens, before: int) -> None:
    after = [np.array([before, token]) for token in range(VOCABULARY)]
    unigram = sum(math.exp(-unigram_nll_nats(train, test, VOCABULARY)) for test in after)
    bigram = sum(math.exp(-bigram_nll_nats(train, valid, test, VOCABULARY)) for test in after)
    assert unigram == pytest.approx(1, rel=1e-12)
    assert bigram == pytest.approx(1, rel=1e-12)


def test_the_weight_is_the_one_that_valid_likes_best() -> None:
    generator = np.random.default_rng(3)
    bigram, unigram = generator.random(500) * (generator.random(500) < 0.6), generator.random(500) + 0.05
    known = generator.random(500) < 0.9
    best = minimize_scalar(
        lambda weight: (
            -np.log(weight * bigram[known] + (1 - weight) * unigram[known]).sum() - np.log(weight * (1 - weight))
        ),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert fit_weight(bigram, known, unigram) == pytest.approx(best.x, abs=1e-6)


def test_a_pair_that_train_and_valid_lack_costs_something_finite() -> None:
    train = valid = np.array([0, 1] * 50)
    assert math.isfinite(bigram_nll_nats(train, valid, np.array([0, 0, 1, 1]), 2))
    nobody = np.zeros(3, dtype=bool)
    assert fit_weight(np.ones(3), nobody, np.ones(3)) == 0.5


def test_the_bigram_knows_what_the_unigram_cannot() -> None:
    train = np.array([0, 1, 2] * 100)
    assert unigram_nll_nats(train, train, 3) == pytest.approx(math.log(3), rel=1e-3)
    assert bigram_nll_nats(train, train, train, 3) < 0.02


@pytest.mark.skipif("CELLWISE_DATA" not in os.environ, reason="the publishers' own files, in CELLWISE_DATA")
@pytest.mark.parametrize(("name", "unigram", "bigram"), [("ptb", 639.3, 208.7), ("wikitext2", 911.7, 302.6)])
def test_the_floors_of_the_real_sets(name: str, unigram: float, bigram: float) -> None:
    corpus = load_corpus(name)
    train, valid, test = (corpus.splits[split] for split in ("train", "valid", "test"))
    size = len(corpus.vocabulary)
    start = time.perf_counter()
    found = unigram_nll_nats(train, test, size), bigram_nll_nats(train, valid, test, size)
    assert time.perf_counter() - start < 2  # 0.05 s and 0.12 s on an idle core
    assert [round(perplexity(nats, 1), 1) for nats in found] == [unigram, bigram]
