"""A tuned key's axis has the scale on which settings were chosen, readable ticks, and knows its ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwise.records.tuning import Choice, How, Importance, Setting, Tuned
from cellwise.report.search.tuned_axis import TunedAxis, tuned_axes
from cellwise.sweep.space import Range, Values

RATE = Choice(1e-4, 1e-1, log=True)


def axis(choice: Choice) -> TunedAxis:
    return TunedAxis("optim.x", "x", choice)


@pytest.mark.parametrize(
    "choice", [RATE, Choice(0.0, 0.3), Choice(0.001, 0.99, log_of_one_minus=True), Choice(-2.0, 2.0)]
)
@given(st.floats(0, 1))
def test_a_place_is_that_of_the_search_itself(choice: Choice, u: float) -> None:
    """`sweep` draws settings by place; the page, which reads records alone, must find the same place again."""
    assert choice.low is not None
    assert choice.high is not None
    drawn = Range(choice.low, choice.high, choice.log, choice.log_of_one_minus)
    assert axis(choice).place(drawn.at(u)) == pytest.approx(drawn.place(drawn.at(u)), abs=1e-9)


def test_a_listed_value_lies_in_the_middle_of_its_part() -> None:
    listed: tuple[Setting, ...] = (True, 2, 0.5, "x", None)
    for value in listed:
        assert axis(Choice(values=listed)).place(value) == Values(listed).place(value)
    assert axis(Choice(values=(True, 1))).place(1) == 0.75  # in Python 1 == True
    assert axis(Choice(values=listed)).place("other") is None


@pytest.mark.parametrize(
    ("choice", "texts"),
    [
        (RATE, ["0.0001", "0.001", "0.01", "0.1"]),
        (Choice(1e-7, 1e2, log=True), ["1e-07", "1e-05", "0.001", "0.1", "10"]),
        (Choice(16, 128, log=True, whole=True), ["20", "50", "100"]),
        (Choice(0.0, 0.3), ["0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3"]),
        (Choice(1, 4, whole=True), ["1", "2", "3", "4"]),
        (Choice(0.0, 0.999, log_of_one_minus=True), ["0", "0.9", "0.99", "0.999"]),
        (Choice(values=(0.0, "x", None, True)), ["0.0", "x", "null", "true"]),
        (Choice(5.0, 5.0), ["5"]),
    ],
)
def test_ticks_are_round_values_from_low_to_high(choice: Choice, texts: list[str]) -> None:
    ticks = axis(choice).ticks()
    assert [text for _, text in ticks] == texts or len(texts) < 4 <= len(ticks)
    places = [place for place, _ in ticks]
    assert places == sorted(places)
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)


@pytest.mark.parametrize("choice", [RATE, Choice(0.5, 0.999, log_of_one_minus=True)])
def test_the_ticks_of_a_figure_stand_where_their_values_are(choice: Choice) -> None:
    of = axis(choice)
    layout = of.layout()
    assert layout["type"] == "log"
    for place, text in zip(layout["tickvals"], layout["ticktext"], strict=True):
        assert of.drawn(float(text)) == pytest.approx(place, rel=1e-6)


@pytest.mark.parametrize(
    ("choice", "setting", "end"),
    [
        (RATE, 0.09, "high"),
        (RATE, 0.05, ""),
        (RATE, 1.1e-4, "low"),
        (Choice(0.0, 1.0), 0.01, ""),  # below 0 there is nothing
        (Choice(0.0, 1.0), 0.96, "high"),
        (Choice(-1.0, 1.0), -0.99, "low"),
        (Choice(1, 4, whole=True), 4, "high"),
        (Choice(1, 4, whole=True), 1, ""),
        (Choice(8, 64, log=True, whole=True), 8, "low"),
        (Choice(0.0, 0.99, log_of_one_minus=True), 0.98999, "high"),
        (Choice(values=(0.0, 1e-4, 1e-2)), 1e-2, "high"),
        (Choice(values=(0.0, 1e-4, 1e-2)), 0.0, ""),
        (Choice(values=(1e-4, 1e-3, 1e-2)), 1e-4, "low"),
        (Choice(values=(1e-4, 1e-2)), 1e-2, ""),  # of two values each is an end
        (Choice(values=(1, 2, None)), 2, ""),
        (Choice(values=(True, False, 3)), True, ""),
        (RATE, None, ""),
    ],
)
def test_a_chosen_setting_at_an_end_beyond_which_there_is_more_is_known(
    choice: Choice, setting: Setting, end: str
) -> None:
    assert axis(choice).edge(setting) == end


def tuned(space: dict[str, Choice], alone: dict[str, float] | None = None) -> Tuned:
    how = How("random", 0, (0,), 1, None, (), space)
    importance = Importance(alone, 0.0, 8) if alone else None
    return Tuned("a", "a", {"cell": "a"}, how, {}, None, importance, None, None)


def test_the_learning_rate_comes_first_and_the_others_as_they_matter() -> None:
    keys = ("a.size", "b.size", "optim.learning_rate", "c.x")
    space = dict.fromkeys(keys, RATE)
    alone = {"a.size": 0.1, "b.size": 0.3, "optim.learning_rate": 0.2, "c.x": 0.05}
    assert [(of.key, of.name) for of in tuned_axes([tuned(space, alone)])] == [
        ("optim.learning_rate", "learning_rate"),
        ("b.size", "b.size"),
        ("a.size", "a.size"),
        ("c.x", "x"),
    ]


@pytest.mark.parametrize(
    ("choices", "joined"),
    [
        ((RATE, Choice(1e-3, 1.0, log=True)), Choice(1e-4, 1.0, log=True)),
        ((RATE, Choice(0.0, 1.0)), Choice(0.0, 1.0)),
        ((Choice(values=(1, 2)), Choice(values=(2, 3))), Choice(values=(1, 2, 3))),
        ((Choice(values=("x",)), Choice(1, 2)), Choice(values=("x", 1, 2))),
    ],
)
def test_an_axis_holds_what_any_cell_could_choose(choices: tuple[Choice, Choice], joined: Choice) -> None:
    [of] = tuned_axes([tuned({"k": choice}) for choice in choices])
    assert of.choice == joined


def test_a_value_that_no_axis_can_hold_has_no_place() -> None:
    wrong: list[Any] = [None, True, "x", -1.0]
    assert [axis(RATE).place(value) for value in wrong] == [None] * 4
