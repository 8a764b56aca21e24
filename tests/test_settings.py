"""A value is taken as it is meant, or refused in one line that says what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwise.errors import CellwiseError, unknown
from cellwise.settings import bounded, parse, typed


@dataclass(frozen=True)
class Some:
    size: int = bounded(3, minimum=1)
    rate: float = bounded(0.5, minimum=0, below=1)
    kind: Literal["a", "b"] = "a"
    on: bool = False
    name: str = "x"
    limit: int | None = bounded(None, minimum=1)
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Needed:
    path: str


def test_defaults_stand_where_nothing_is_given() -> None:
    assert parse(Some, {}, "some") == Some()


def test_values_take_their_place() -> None:
    values = {"size": 7, "rate": 0.25, "kind": "b", "on": True, "name": "y", "limit": 2, "words": ["p", "q"]}
    assert parse(Some, values, "some") == Some(7, 0.25, "b", True, "y", 2, ("p", "q"))
    assert parse(Some, {"limit": None}, "some").limit is None
    assert parse(Some, {"words": "alone"}, "some").words == ("alone",)
    rate = parse(Some, {"rate": 0}, "some").rate
    assert isinstance(rate, float)  # a whole number is a number


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("size", 0, "some.size=0 is too small; it must be 1 or more"),
        ("size", 1.0, "some.size=1.0 must be a whole number"),
        ("size", True, "some.size=True must be a whole number"),
        ("size", "3", "some.size='3' must be a whole number"),
        ("size", None, "some.size is not set; give some.size=..."),
        ("rate", -0.1, "some.rate=-0.1 is too small; it must be 0 or more"),
        ("rate", 1, "some.rate=1.0 is too large; it must be less than 1"),
        ("rate", float("nan"), "some.rate=nan must be a number"),
        ("rate", float("inf"), "some.rate=inf must be a number"),
        ("rate", "fast", "some.rate='fast' must be a number"),
        ("rate", True, "some.rate=True must be a number"),
        ("kind", "c", "some.kind=c is not allowed; allowed: a, b"),
        ("kind", ["a"], "some.kind=['a'] is not allowed; allowed: a, b"),
        ("on", 1, "some.on=1 must be true or false"),
        ("on", "true", "some.on='true' must be true or false"),
        ("name", 3, "some.name=3 must be a text"),
        ("limit", 0, "some.limit=0 is too small; it must be 1 or more"),
        ("limit", "many", "some.limit='many' must be a whole number"),
        ("words", [1], "some.words=[1] must be a list of texts, for example some.words=[a,b]"),
        ("words", 1, "some.words=1 must be a list of texts, for example some.words=[a,b]"),
        ("sise", 1, "unknown key in 'some' 'sise'; did you mean 'size'? allowed: "),
    ],
)
def test_what_does_not_fit_is_one_line(key: str, value: Any, said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        parse(Some, {key: value}, "some")
    assert str(caught.value).startswith(said)


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(CellwiseError, match=r"^data.path is missing; give data.path=...$"):
        parse(Needed, {}, "data")
    with pytest.raises(CellwiseError, match=r"^path is missing; give path=...$"):
        parse(Needed, {}, "")


KEYS = st.sampled_from(["size", "rate", "kind", "on", "name", "limit", "words", "?"])
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(KEYS, VALUES))
def test_whatever_is_given_is_taken_whole_or_refused_in_one_line(values: dict[str, Any]) -> None:
    try:
        found = parse(Some, values, "some")
    except CellwiseError:
        return
    assert found.size >= 1
    assert 0 <= found.rate < 1
    assert found.kind in ("a", "b")
    assert isinstance(found.on, bool)
    for key, value in values.items():
        assert getattr(found, key) == (tuple([value] if isinstance(value, str) else value) if key == "words" else value)


def test_an_unknown_name_lists_what_would_have_been_right() -> None:
    assert str(unknown("cell", "lstmm", ["lstm", "gru"])) == (
        "unknown cell 'lstmm'; did you mean 'lstm'? allowed: gru, lstm"
    )
    assert str(unknown("cell", "zzz", ["lstm", "gru"], "see there")) == (
        "unknown cell 'zzz'; allowed: gru, lstm; see there"
    )
    assert str(unknown("cell", "zzz", [])) == "unknown cell 'zzz'; allowed: none"


@pytest.mark.parametrize(
    ("value", "word"), [(True, "true"), (False, "false"), (None, "null"), (1.0, "1.0"), (3, "3"), ("before", "before")]
)
def test_a_value_is_shown_as_it_is_typed(value: Any, word: str) -> None:
    assert typed(value) == word
