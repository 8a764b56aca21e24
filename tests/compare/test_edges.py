"""What tuning chose at an end of its range is told: something better may lie beyond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cellwise.compare.edges import End, end_of, place_of
from cellwise.compare.table import compare
from cellwise.records.store import load_study
from cellwise.records.tuning import Best, Choice, How, Setting, Tuned, TuningRecord, write_tuning

RATE = Choice(1e-4, 1e-1, log=True)
UNITS = Choice(1, 100, whole=True)
GRID = Choice(values=(0.001, 0.01, 0.1))


@pytest.mark.parametrize(
    ("choice", "setting", "place"),
    [
        (RATE, 1e-4, 0.0),
        (RATE, 1e-1, 1.0),
        (RATE, 10**-2.5, 0.5),
        (Choice(0.0, 0.99, log_of_one_minus=True), 0.9, 0.5),
        (Choice(0.0, 0.5), 0.1, 0.2),
        (GRID, 0.01, 0.5),
        (GRID, 0.02, None),
        (RATE, "much", None),
        (RATE, 0.0, None),
    ],
)
def test_a_setting_has_a_place_on_the_scale_on_which_it_was_drawn(
    choice: Choice, setting: Setting, place: float | None
) -> None:
    assert place_of(choice, setting) == (None if place is None else pytest.approx(place))


@pytest.mark.parametrize(
    ("choice", "setting", "end"),
    [
        (RATE, 1.3e-4, "low"),
        (RATE, 1.6e-4, ""),
        (RATE, 0.08, "high"),
        (GRID, 0.001, "low"),
        (GRID, 0.01, ""),
        (GRID, 0.1, "high"),
        (Choice(values=(0.001, 0.1)), 0.1, ""),  # of two each is an end
        (Choice(values=(0.0, 0.1, 0.2)), 0.0, ""),  # nothing lies below 0
        (UNITS, 1, ""),
        (UNITS, 99, "high"),
        (Choice(values=(True, False, True)), True, ""),
    ],
)
def test_an_end_is_one_beyond_which_something_could_be_chosen(choice: Choice, setting: Setting, end: End) -> None:
    assert end_of(choice, setting) == end


def tuned(cell: str, rate: float) -> Tuned:
    how = How("grid", 0, (0,), 3, None, (), {"optim.learning_rate": GRID})
    best = Best(1, {"optim.learning_rate": rate}, 0.5, "0123abcd")
    return Tuned(cell, cell, {"cell": cell}, how, {"finished": 3}, best, None, "too few", None)


def test_the_verdict_names_the_cells_whose_setting_lies_at_an_end(make_study: Callable[..., Path]) -> None:
    folder = make_study("tuned", 3, ("lstm", "gru", "rnn"))
    each = tuned("lstm", 0.01), tuned("gru", 0.1), tuned("rnn", 0.001), tuned("elsewhere", 0.1)
    write_tuning(folder, TuningRecord("perplexity", "min", "", each))
    (comparison,) = compare(load_study(folder))
    assert (
        "The best setting lies at an end of what could be chosen, so a better one may lie beyond: optim.learning_rate "
        "for gru (high), rnn (low)."
    ) in comparison.verdict.caveats
