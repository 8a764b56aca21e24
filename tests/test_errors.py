"""What an unknown name is answered with."""

from __future__ import annotations

import pytest

from cellwise.errors import unknown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("LSTM", "lstm"), ("Peephole_LSTM", "peephole_lstm"), ("lstmm", "lstm"), ("kth_ful", "KTH_full")],
)
def test_the_nearest_name_is_suggested_whatever_its_case(typed: str, meant: str) -> None:
    names = ["lstm", "peephole_lstm", "KTH_full", "gru"]
    assert f"unknown cell {typed!r}; did you mean {meant!r}? allowed: KTH_full, gru, lstm" in str(
        unknown("cell", typed, names)
    )


def test_a_name_near_nothing_gets_no_suggestion() -> None:
    assert str(unknown("cell", "XYZ", ["gru"], "a hint")) == "unknown cell 'XYZ'; allowed: gru; a hint"
