"""Which cells are worth their cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwise.compare.pareto import pareto_front
from cellwise.errors import CellwiseError

QUALITY = {"gru": 60.0, "lstm": 61.0, "mgu": 64.0, "rnn": 80.0}
COST = {"gru": 300.0, "lstm": 400.0, "mgu": 200.0, "rnn": 100.0}
places = st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1)


def test_who_is_worse_and_dearer_than_another_is_beaten_by_it() -> None:
    found = {place.label: place for place in pareto_front(QUALITY, COST, "min")}
    assert list(found) == ["rnn", "mgu", "gru", "lstm"]
    assert [label for label, place in found.items() if place.on_front] == ["rnn", "mgu", "gru"]
    assert found["lstm"].beaten_by == ("gru",)


def test_where_more_is_better_it_is_the_other_way_round() -> None:
    found = {place.label: place.beaten_by for place in pareto_front(QUALITY, COST, "max")}
    assert found == {"rnn": (), "mgu": ("rnn",), "gru": ("mgu", "rnn"), "lstm": ("mgu", "rnn")}


def test_who_is_beaten_by_chance_may_be_on_the_front() -> None:
    sure = pareto_front(QUALITY, COST, "min", {frozenset(("lstm", "gru"))})
    unsure = pareto_front(QUALITY, COST, "min", {frozenset(("lstm", "rnn"))})
    assert [place.surely_beaten for place in sure] == [False, False, False, True]
    assert not any(place.surely_beaten for place in unsure)


def test_equals_do_not_beat_each_other_and_a_tie_in_one_does() -> None:
    found = pareto_front({"a": 1.0, "b": 1.0, "c": 2.0}, {"a": 5.0, "b": 5.0, "c": 5.0}, "min")
    assert [(place.label, place.beaten_by) for place in found] == [("a", ()), ("b", ()), ("c", ("a", "b"))]


@given(places, st.sampled_from(["min", "max"]))
def test_the_front_is_what_a_definition_by_hand_says(at: dict[str, tuple[int, int]], direction: str) -> None:
    sign = 1 if direction == "min" else -1
    found = pareto_front(
        {label: float(quality) for label, (quality, _) in at.items()},
        {label: float(cost) for label, (_, cost) in at.items()},
        direction,  # type: ignore[arg-type]
    )
    assert any(place.on_front for place in found)
    for place in found:
        quality, cost = at[place.label]
        beats = {
            other
            for other, (q, c) in at.items()
            if (sign * q < sign * quality and c <= cost) or (q == quality and c < cost)
        }
        assert set(place.beaten_by) == beats


def test_a_label_without_a_cost_is_left_out_and_an_unknown_direction_refused() -> None:
    assert [place.label for place in pareto_front(QUALITY, {"gru": 1.0}, "min")] == ["gru"]
    assert pareto_front({}, {}, "min") == ()
    with pytest.raises(CellwiseError, match="unknown direction 'up'; allowed: max, min"):
        pareto_front(QUALITY, COST, "up")  # type: ignore[arg-type]
