"""Numbers for people."""

from __future__ import annotations

import math

import pytest

from cellwise.compare.numbers import percent, short, to_spread


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (12.3456, "12.35"),
        (0.00123456, "0.001235"),
        (1234567.8, "1,234,568"),
        (123456, "123,456"),
        (-61.23456, "-61.23"),
        (1.5e-7, "1.5e-07"),
        (math.nan, "–"),
        (math.inf, "–"),
        (None, "–"),
    ],
)
def test_a_number_has_four_digits(value: float | None, shown: str) -> None:
    assert short(value) == shown


def test_a_mean_has_the_digits_that_its_spread_supports() -> None:
    assert to_spread(61.23456, 0.91) == "61.23"
    assert to_spread(61.23456, 12.0) == "61"
    assert to_spread(0.9512345, 0.00123) == "0.9512"
    assert to_spread(61.23456, math.nan) == "61.23"
    assert to_spread(math.nan, 1.0) == "–"


def test_a_share_is_in_percent() -> None:
    assert percent(-0.305, 61.0) == "0.50 %"
    assert percent(1.0, 0.0) == "–"
