"""Text as numbers: what a token is, what the vocabulary knows, and the published counts."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwise.errors import CellwiseError
from cellwise.tasks.language.corpus import Corpus, build_corpus, characters, load_corpus, words
from cellwise.tasks.language.sources import OFFICIAL, Level, OfficialText, RawText

needs_real_data = pytest.mark.skipif(
    "CELLWISE_DATA" not in os.environ, reason="the publishers' own files, in CELLWISE_DATA"
)


def three(train: str, valid: str, test: str) -> RawText:
    return RawText("three", {"train": train, "valid": valid, "test": test}, {"train.txt": "0" * 64})


def tokens(corpus: Corpus, split: str) -> list[str]:
    return [corpus.vocabulary[number] for number in corpus.splits[split]]


def test_words_end_every_line_with_eos_blank_lines_too() -> None:
    text = " the cat \n\n = Title = \nlast line has no newline"
    assert words(text) == [
        *("the", "cat", "<eos>", "<eos>"),
        *("=", "Title", "=", "<eos>"),
        *("last", "line", "has", "no", "newline", "<eos>"),
    ]
    assert words("one\n") == words("one") == ["one", "<eos>"]


def test_words_are_cut_at_newlines_only_not_at_other_line_separators() -> None:
    assert words("a\x0cb\u2028c\x85d\n") == ["a", "b", "c", "d", "<eos>"]


def test_characters_are_those_of_stripped_lines_with_unk_as_one_symbol() -> None:
    assert characters(" a <unk> b \n\n<unk><unk>c\n") == [
        *("a", " ", "<unk>", " ", "b", "<eos>"),
        "<eos>",
        *("<unk>", "<unk>", "c", "<eos>"),
    ]


def test_without_line_ends_the_lines_are_joined() -> None:
    assert words("the time\n\nmachine", mark_line_ends=False) == ["the", "time", "machine"]
    assert "".join(characters("the time\n\nmachine", mark_line_ends=False)) == "the timemachine"


@given(st.lists(st.lists(st.sampled_from(["a", "bb", "<unk>", "é"]), max_size=4), min_size=1, max_size=6))
def test_the_words_of_any_lines_are_those_of_each_line(lines: list[list[str]]) -> None:
    text = "".join(" " + " ".join(line) + " \n" for line in lines)
    assert words(text) == [token for line in lines for token in [*line, "<eos>"]]
    in_lines = "".join("<eos>" if token == "<eos>" else token for token in characters(text))
    assert in_lines == "".join(" ".join(line) + "<eos>" for line in lines)


def test_the_vocabulary_is_trains_in_order_of_first_occurrence() -> None:
    corpus = build_corpus(three("b a\nc b\n", "c a\n", "b\n"), level="word")
    assert corpus.vocabulary == ("b", "a", "<eos>", "c")
    assert corpus.splits["train"].dtype == np.int64
    assert corpus.splits["train"].tolist() == [0, 1, 2, 3, 0, 2]
    assert tokens(corpus, "valid") == ["c", "a", "<eos>"]
    assert corpus.unknown_rate == {"train": 0.0, "valid": 0.0, "test": 0.0}
    assert corpus.checksums == {"train.txt": "0" * 64}


def test_unk_is_appended_only_when_valid_or_test_need_it() -> None:
    corpus = build_corpus(three("a b\n", "a x\n", "x y z\n"), level="word")
    assert corpus.vocabulary == ("a", "b", "<eos>", "<unk>")
    assert tokens(corpus, "test") == ["<unk>", "<unk>", "<unk>", "<eos>"]
    assert corpus.unknown_rate == {"train": 0.0, "valid": pytest.approx(1 / 3), "test": 0.75}


def test_a_literal_unk_is_the_unknown_word_and_is_not_counted_as_replaced() -> None:
    corpus = build_corpus(three("a <unk> b\n", "<unk> x\n", "a\n"), level="word")
    assert corpus.vocabulary == ("a", "<unk>", "b", "<eos>")
    assert tokens(corpus, "valid") == ["<unk>", "<unk>", "<eos>"]
    assert corpus.unknown_rate["valid"] == pytest.approx(1 / 3)
    by_character = build_corpus(three("a <unk>\n", "a\n", "é\n"), level="character")
    assert by_character.vocabulary == ("a", " ", "<unk>", "<eos>")
    assert tokens(by_character, "test") == ["<unk>", "<eos>"]


def test_changing_test_changes_neither_vocabulary_nor_train() -> None:
    one = build_corpus(three("a <unk>\n", "a\n", "a\n"), level="word")
    other = build_corpus(three("a <unk>\n", "a\n", "b c d\n"), level="word")
    assert one.vocabulary == other.vocabulary
    assert np.array_equal(one.splits["train"], other.splits["train"])


@pytest.mark.parametrize("literal", ["", " <unk>"])
def test_a_limited_vocabulary_keeps_the_most_frequent(literal: str) -> None:
    raw = three(f"r a a b b b c{literal}\n", "c b\n", "a\n")
    corpus = build_corpus(raw, level="word", vocabulary_size=3)
    assert set(corpus.vocabulary) == {"a", "b", "<unk>"}
    assert tokens(corpus, "train")[:7] == ["<unk>", "a", "a", "b", "b", "b", "<unk>"]
    assert corpus.unknown_rate["train"] == pytest.approx(3 / (9 if literal else 8))


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=30),
    st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=8),
    st.integers(2, 12),
)
def test_no_limited_vocabulary_has_a_hole_or_is_larger_than_asked(
    train: list[str], valid: list[str], size: int
) -> None:
    corpus = build_corpus(three(" ".join(train), " ".join(valid), "a b"), level="word", vocabulary_size=size)
    assert len(set(corpus.vocabulary)) == len(corpus.vocabulary) <= size
    used = {int(number) for numbers in corpus.splits.values() for number in numbers}
    assert used == set(range(len(corpus.vocabulary)))


def test_a_single_text_is_split_contiguously_90_5_5() -> None:
    raw = RawText("own.txt", {"text": " ".join(f"w{k}" for k in range(99))}, {})
    corpus = build_corpus(raw, level="word")  # 99 words and <eos>
    assert {split: len(numbers) for split, numbers in corpus.splits.items()} == {
        "train": 90,
        "valid": 5,
        "test": 5,
    }
    assert corpus.vocabulary[:90] == tuple(f"w{k}" for k in range(90))
    assert corpus.unknown_rate["test"] == 1.0


@given(st.integers(40, 400))
def test_no_token_of_a_single_text_is_lost_or_used_twice(length: int) -> None:
    text = "ab" * (length // 2) + "c" * (length % 2)
    corpus = build_corpus(RawText("own", {"text": text}, {}, mark_line_ends=False), level="character")
    joined = "".join("".join(tokens(corpus, split)) for split in ("train", "valid", "test"))
    assert joined.replace("<unk>", "c") == text
    assert min(len(numbers) for numbers in corpus.splits.values()) >= 2


def refusal(name: str, **options: object) -> str:
    with pytest.raises(CellwiseError) as error:
        load_corpus(name, **options)  # type: ignore[arg-type]
    message = str(error.value)
    assert "\n" not in message
    return message


def test_bad_requests_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("one two three\n")
    short = str(tmp_path / "short.txt")
    assert "did you mean 'wikitext2'" in refusal("wikitext")
    assert "allowed: character, word" in refusal("ptb", level="letter")
    assert "data.path=FILE" in refusal("text")
    assert "data=text data.path=x.txt" in refusal("ptb", path="x.txt")
    assert "has 4 tokens; at least 40" in refusal("text", path=short)
    assert "cellwise data get ptb" in refusal("ptb", data_dir=str(tmp_path))
    (tmp_path / "long.txt").write_text("word " * 50)
    assert "vocabulary_size=1 is too small" in refusal("text", path=str(tmp_path / "long.txt"), vocabulary_size=1)
    with pytest.raises(CellwiseError, match="test of three has 1 word tokens; at least 2"):
        build_corpus(three("a b\n", "a\n", "\n"), level="word")


def imitate(name: str, folder: Path, contents: list[bytes], **counts: object) -> OfficialText:
    """Write a small data set in an official set's layout, and declare it."""
    official = OFFICIAL[name]
    files = []
    for file, content in zip(official.dataset.files, contents, strict=True):
        (folder / file.path).parent.mkdir(exist_ok=True)
        (folder / file.path).write_bytes(content)
        files.append(replace(file, sha256=hashlib.sha256(content).hexdigest()))
    return replace(official, dataset=replace(official.dataset, files=tuple(files)), **counts)  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_an_official_set_is_loaded_from_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    small = imitate(
        "wikitext2",
        tmp_path,
        [b" \n = A = \n \n b <unk> \n", b" b \n", b" A \n"],
        tokens={"word": {"train": 9, "valid": 2, "test": 2}},
        types={"word": 5},
    )
    monkeypatch.setitem(OFFICIAL, "wikitext2", small)
    monkeypatch.setenv("CELLWISE_DATA", str(tmp_path if where == "environment" else tmp_path / "elsewhere"))
    corpus = load_corpus("wikitext2", data_dir=str(tmp_path) if where == "argument" else None)
    assert corpus.name == "wikitext2"
    assert corpus.vocabulary == ("<eos>", "=", "A", "b", "<unk>")
    assert set(corpus.checksums) == {f"wikitext-2/{split}.txt" for split in ("train", "valid", "test")}


@pytest.mark.parametrize(
    ("level", "counts"),
    [
        ("word", {"tokens": {"word": {"text": 61}}, "types": {"word": 3}}),
        ("word", {"tokens": {"word": {"text": 60}}, "types": {"word": 4}}),
        ("character", {"tokens": {"character": {"text": 261}}, "types": {}}),
    ],
)
def test_counts_that_are_not_the_published_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: Level, counts: dict[str, object]
) -> None:
    text = b"The, time; machine\n" * 20
    right: dict[str, object] = {
        "tokens": {"word": {"text": 60}, "character": {"text": 320}},
        "types": {"word": 3, "character": 9},
    }
    monkeypatch.setitem(OFFICIAL, "timemachine", imitate("timemachine", tmp_path, [text], **right))
    assert len(load_corpus("timemachine", level=level, data_dir=str(tmp_path)).splits) == 3
    monkeypatch.setitem(OFFICIAL, "timemachine", imitate("timemachine", tmp_path, [text], **counts))
    assert "published are" in refusal("timemachine", level=level, data_dir=str(tmp_path))


@needs_real_data
@pytest.mark.parametrize(
    ("name", "level", "total", "types"),
    [
        ("ptb", "word", 929_589 + 73_760 + 82_430, 10_000),
        ("wikitext2", "word", 2_088_628 + 217_646 + 245_569, 33_278),
        ("timemachine", "word", 32_775, None),
        ("timemachine", "character", 170_580, 27),
    ],
)
def test_the_real_sets_have_the_published_counts(name: str, level: Level, total: int, types: int | None) -> None:
    start = time.perf_counter()
    corpus = load_corpus(name, level=level)
    assert time.perf_counter() - start < 5  # 0.2 s and 0.5 s on an idle core
    assert sum(len(numbers) for numbers in corpus.splits.values()) == total
    assert types in (None, len(corpus.vocabulary))
    if types is not None:
        assert set(corpus.unknown_rate.values()) == {0.0}
