"""Colours that stay a cell's own."""

from __future__ import annotations

from cellwise.report.theme import CHOSEN, PALETTE, colour_of, faded, literal, styles


def test_a_cells_colour_does_not_depend_on_what_else_is_shown() -> None:
    alone = styles({"mgu": "mgu"})["mgu"].colour
    among = styles({name: name for name in ["gru", "lstm", "mgu", "rnn"]})["mgu"].colour
    assert alone == among == colour_of("mgu")


def test_the_first_cells_have_five_different_colours() -> None:
    assert len(set(CHOSEN.values())) == len(CHOSEN) == 5
    assert set(CHOSEN.values()) <= set(PALETTE)


def test_an_outside_cell_keeps_its_colour_in_every_process() -> None:
    # Python's own hash() differs between processes; this one may not.
    assert colour_of("my_cell") == "#E69F00"


def test_labels_of_one_colour_differ_in_dash_and_marker() -> None:
    found = styles({"lstm-11111111": "lstm", "lstm-22222222": "lstm", "gru": "gru"})
    first, second = found["lstm-11111111"], found["lstm-22222222"]
    assert first.colour == second.colour
    assert first.dash != second.dash
    assert first.symbol != second.symbol


def test_text_for_plotly_holds_no_tag() -> None:
    assert literal('<a href="x">&') == '&lt;a href="x"&gt;&amp;'
    assert faded("#0072B2", 0.5) == "rgba(0,114,178,0.5)"
