"""Floors of language modelling: what word counts alone achieve.

Both are scored on exactly what the model predicts: tokens 1 to N - 1 of the test text, given their
predecessor. The first token, which has none, is not scored; on Penn Treebank and WikiText-2 that moves the
unigram perplexity by 0.004 and 0.010.

Source: Jelinek and Mercer 1980 (interpolated estimation); Chen and Goodman 1999, section 2.3.
Differences: one weight for all predecessors, not one per bucket of counts; the weight never reaches 0 or 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


def unigram_nll_nats(train: Tokens, test: Tokens, vocabulary_size: int) -> float:
    """Mean negative log-likelihood of test under the frequencies of train.

    Args:
        train: int64 (tokens,).
        test: int64 (tokens,), at least 2.
        vocabulary_size: numbers of tokens are below it.
    """
    return float(-np.log(_unigram(train, vocabulary_size)[test[1:]]).mean())


def bigram_nll_nats(train: Tokens, valid: Tokens, test: Tokens, vocabulary_size: int) -> float:
    """Mean negative log-likelihood of test under an interpolated bigram.

    p(w | v) = weight count(v w) / count(v) + (1 - weight) p(w). The weight is fitted on valid. After a v
    that train never continues, p(w) alone.

    Args:
        train: int64 (tokens,), for the counts.
        valid: int64 (tokens,), at least 2, for the weight.
        test: int64 (tokens,), at least 2.
        vocabulary_size: numbers of tokens are below it.
    """
    unigram = _unigram(train, vocabulary_size)
    weight = fit_weight(*_bigram(train, valid, vocabulary_size), unigram[valid[1:]])
    bigram, known = _bigram(train, test, vocabulary_size)
    mixed = np.where(known, weight, 0.0)
    return float(-np.log(mixed * bigram + (1 - mixed) * unigram[test[1:]]).mean())


def fit_weight(bigram: Probabilities, known: npt.NDArray[np.bool_], unigram: Probabilities) -> float:
    """Fit the bigram's weight by expectation maximisation.

    Args:
        bigram: probability of each token after its predecessor, (predictions,).
        known: whether the predecessor has a continuation in train, (predictions,); the others say nothing of
            the weight.
        unigram: probability of each token alone, above 0, (predictions,).

    Returns:
        The weight, strictly between 0 and 1; 0.5 when no predecessor is known.
    """
    bigram, unigram = bigram[known], unigram[known]
    weight = 0.5
    for _ in range(1000):  # concave; about 20 rounds for words, 200 for characters
        share = weight * bigram
        from_bigram = float((share / (share + (1 - weight) * unigram)).sum())
        # One imagined prediction on either side: at a weight of 1, a pair new in test would be impossible.
        before, weight = weight, (from_bigram + 1) / (len(bigram) + 2)
        if abs(weight - before) < 1e-10:
            break
    return weight


def _unigram(train: Tokens, vocabulary_size: int) -> Probabilities:
    """Return maximum likelihood probabilities, (vocabulary,); a type that train lacks counts as seen once."""
    counts = np.maximum(np.bincount(train, minlength=vocabulary_size), 1)
    probabilities: Probabilities = counts / counts.sum()
    return probabilities


def _bigram(train: Tokens, text: Tokens, vocabulary_size: int) -> tuple[Probabilities, npt.NDArray[np.bool_]]:
    """Return count(v w) / count(v) in train, and whether count(v) > 0, for each pair v w of a text."""
    pairs, counts = np.unique(train[:-1] * vocabulary_size + train[1:], return_counts=True)
    wanted = text[:-1] * vocabulary_size + text[1:]
    place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    seen = np.where(pairs[place] == wanted, counts[place], 0)
    continued = np.bincount(train[:-1], minlength=vocabulary_size)[text[:-1]]
    return seen / np.maximum(continued, 1), continued > 0
