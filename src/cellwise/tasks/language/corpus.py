"""A text as numbers: tokens, vocabulary, splits.

Conventions (they move the numbers, so they are part of the benchmark):

* *Words* are what stands between blanks; every line, blank ones too, ends with the token ``<eos>``.
* *Characters* are those of each line without its outer blanks; the line end is one symbol, ``<eos>``.
* A literal ``<unk>`` in the text (Penn Treebank, WikiText-2) is one symbol at both levels. The published bits
  per character of Penn Treebank spell it in five characters and are not comparable.
* The Time Machine follows d2l: lines are joined, characters with nothing between them, and there is no
  ``<eos>``.
* The vocabulary is fitted on train alone, in order of first occurrence. ``<unk>`` is appended only when valid
  or test need it.
* A single text is split without shuffling: its first 90 % of tokens train, the next 5 % valid, the last 5 %
  test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import numpy.typing as npt

from cellwise.data.get import data_folder
from cellwise.errors import CellwiseError, unknown
from cellwise.tasks.language.sources import (
    OFFICIAL,
    SPLITS,
    Level,
    OfficialText,
    RawText,
    read_official,
    read_own,
)

END_OF_LINE = "<eos>"
UNKNOWN = "<unk>"
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """A text ready to be modelled.

    Attributes:
        name: of the data set, or the path of the user's text.
        level: what a token is.
        vocabulary: the token of each number.
        splits: ``train``, ``valid`` and ``test``, each int64 (tokens,), numbers below ``len(vocabulary)``.
        checksums: file to SHA-256 of its uncompressed content.
        unknown_rate: split to the share of its tokens that were replaced by ``<unk>`` because the vocabulary
            lacks them; a literal ``<unk>`` in the text does not count.
    """

    name: str
    level: Level
    vocabulary: tuple[str, ...]
    splits: Mapping[str, Tokens]
    checksums: Mapping[str, str]
    unknown_rate: Mapping[str, float]


def load_corpus(
    name: str,
    *,
    path: str | None = None,
    level: Level = "word",
    data_dir: str | None = None,
    vocabulary_size: int | None = None,
) -> Corpus:
    """Load a text.

    Args:
        name: ``ptb``, ``wikitext2``, ``timemachine``, or ``text`` for the user's own.
        path: with ``text``: a file, or a folder of ``train.txt``, ``valid.txt`` and ``test.txt``.
        level: ``word`` or ``character``.
        data_dir: where official sets are looked for; see `cellwise.data.get.data_folder`.
        vocabulary_size: keep the most frequent types of train, this many with ``<unk>`` among them; None
            keeps all.

    Raises:
        CellwiseError: unknown name or level; text that is missing, altered, empty or too short; counts that
            are not the published ones.
    """
    if level not in get_args(Level):
        raise unknown("level", level, get_args(Level))
    raw, official = read_text(name, path=path, data_dir=data_dir)
    return build_corpus(raw, level=level, vocabulary_size=vocabulary_size, official=official)


def read_text(
    name: str, *, path: str | None = None, data_dir: str | None = None
) -> tuple[RawText, OfficialText | None]:
    """Return a text as it was read, and what is published of it; arguments and errors as `load_corpus`."""
    if name == "text":
        if not path:
            raise CellwiseError(
                "data=text needs a text; type data.path=FILE, "
                "or the path of a folder with train.txt, valid.txt and test.txt"
            )
        return read_own(path), None
    if name not in OFFICIAL:
        raise unknown("text", name, [*OFFICIAL, "text"])
    if path:
        raise CellwiseError(f"data={name} takes no path; type data=text data.path={path} for your own text")
    official = OFFICIAL[name]
    return read_official(official, data_folder(data_dir)), official


def build_corpus(
    raw: RawText, *, level: Level, vocabulary_size: int | None = None, official: OfficialText | None = None
) -> Corpus:
    """Cut a text into tokens, assert its published counts, split it, and number it with train's vocabulary.

    Raises:
        CellwiseError: text that is too short, a vocabulary that is too small, counts that are not the
            published ones.
    """
    splits = cut_and_split(raw, level=level, official=official)
    vocabulary = _vocabulary(splits, vocabulary_size)
    numbered, unknown_rate = {}, {}
    for split, tokens in splits.items():
        numbered[split], unknown_rate[split] = _number(tokens, vocabulary)
    # A hole in the numbering would be a class that no target ever is, or an index outside the embedding.
    assert max(int(tokens.max()) for tokens in numbered.values()) + 1 == len(vocabulary)
    return Corpus(raw.name, level, vocabulary, numbered, dict(raw.checksums), unknown_rate)


def cut_and_split(raw: RawText, *, level: Level, official: OfficialText | None = None) -> Mapping[str, list[str]]:
    """Return the tokens of each split of a text.

    Raises:
        CellwiseError: text that is too short, counts that are not the published ones.
    """
    cut = words if level == "word" else characters
    parts = {part: cut(text, mark_line_ends=raw.mark_line_ends) for part, text in raw.parts.items()}
    if official is not None:
        _require_published_counts(official, level, parts)
    splits = _split(raw.name, parts["text"]) if "text" in parts else parts
    for split, tokens in splits.items():
        if len(tokens) < 2:  # one to see, one to predict
            raise CellwiseError(
                f"{split} of {raw.name} has {len(tokens)} {level} tokens; at least 2 are needed in each split"
            )
    return splits


def with_other_test(corpus: Corpus, name: str, tokens: Sequence[str], checksums: Mapping[str, str]) -> Corpus:
    """Return a corpus with another text as its test split, in the numbers of its own vocabulary.

    Args:
        corpus: keeps train, valid and vocabulary.
        name: of the other text, for messages.
        tokens: of the other text, at least 2.
        checksums: of the other text's files.

    Raises:
        CellwiseError: tokens that the vocabulary lacks, and it has no ``<unk>``.
    """
    known = set(corpus.vocabulary)
    missing = Counter(token for token in tokens if token not in known)
    if missing and UNKNOWN not in known:
        named = ", ".join(f"{token!r} ({count} times)" for token, count in missing.most_common(3))
        raise CellwiseError(
            f"{missing.total():,} of the {len(tokens):,} {corpus.level} tokens of {name} are not in the vocabulary of "
            f"{corpus.name}, which has no {UNKNOWN}: {named}{', ...' if len(missing) > 3 else ''}; only a run with "
            f"{UNKNOWN} takes them, for example one trained with data=text data.vocabulary_size=5000"
        )
    numbered, rate = _number(tokens, corpus.vocabulary)
    return replace(
        corpus,
        splits={**corpus.splits, "test": numbered},
        checksums=dict(checksums),
        unknown_rate={**corpus.unknown_rate, "test": rate},
    )


def words(text: str, *, mark_line_ends: bool = True) -> list[str]:
    """Cut text at blanks; each line end, also of a blank line, becomes ``<eos>``."""
    if not mark_line_ends:
        return text.split()
    return (text.removesuffix("\n") + "\n").replace("\n", f" {END_OF_LINE} ").split()


def characters(text: str, *, mark_line_ends: bool = True) -> list[str]:
    """Cut lines, without their outer blanks, into characters; ``<unk>`` and ``<eos>`` are one symbol each."""
    symbols: list[str] = []
    # Not splitlines, which also cuts at form feeds and at Unicode's separators.
    for line in text.removesuffix("\n").split("\n"):
        first, *rest = line.strip().split(UNKNOWN)
        symbols.extend(first)
        for piece in rest:
            symbols.append(UNKNOWN)
            symbols.extend(piece)
        if mark_line_ends:
            symbols.append(END_OF_LINE)
    return symbols


def _split(name: str, tokens: list[str]) -> dict[str, list[str]]:
    """Split contiguously: 90 % train, 5 % valid, 5 % test."""
    if len(tokens) < 40:  # 5 % of 40 is 2: one token to see, one to predict
        raise CellwiseError(
            f"{name} has {len(tokens)} tokens; at least 40 are needed to split 90/5/5, or give a folder with "
            f"train.txt, valid.txt and test.txt"
        )
    ends = (0, len(tokens) * 90 // 100, len(tokens) * 95 // 100, len(tokens))
    return {split: tokens[start:end] for split, start, end in zip(SPLITS, ends, ends[1:], strict=False)}


def _vocabulary(splits: Mapping[str, list[str]], vocabulary_size: int | None) -> tuple[str, ...]:
    """Return train's types in order of first occurrence, with ``<unk>`` where it is needed."""
    if vocabulary_size is not None and vocabulary_size < 2:
        raise CellwiseError(
            f"vocabulary_size={vocabulary_size} is too small; at least 2, or leave it out for all types"
        )
    counts = Counter(splits["train"])  # keeps the order of first occurrence
    covered = UNKNOWN in counts or all(counts.keys() >= set(tokens) for tokens in splits.values())
    everything = tuple(counts) if covered else (*counts, UNKNOWN)
    if vocabulary_size is None or len(everything) <= vocabulary_size:
        return everything
    frequent = [token for token, _ in counts.most_common(vocabulary_size) if token != UNKNOWN]
    kept = {UNKNOWN, *frequent[: vocabulary_size - 1]}
    return tuple(dict.fromkeys(token if token in kept else UNKNOWN for token in counts))


def _number(tokens: Sequence[str], vocabulary: tuple[str, ...]) -> tuple[Tokens, float]:
    """Return the tokens' numbers and the share that had to become ``<unk>``."""
    numbers = {token: number for number, token in enumerate(vocabulary)}
    get, missing = numbers.get, -1
    numbered = np.fromiter((get(token, missing) for token in tokens), np.int64, len(tokens))
    replaced = numbered == missing
    if replaced.any():
        numbered[replaced] = numbers[UNKNOWN]
    return numbered, float(replaced.mean())


def _require_published_counts(official: OfficialText, level: Level, parts: Mapping[str, list[str]]) -> None:
    found = {part: len(tokens) for part, tokens in parts.items()}
    types = len(set(next(iter(parts.values()))))
    expected, expected_types = official.tokens.get(level, found), official.types.get(level, types)
    if found != expected or types != expected_types:
        published = f"{expected} of {expected_types}"
        raise CellwiseError(
            f"{official.dataset.name} has {found} {level} tokens of {types} types, "
            f"published are {published}: results would not be comparable; report this bug of cellwise"
        )
