"""Patience is lost after so many validations in a row without improvement."""

from __future__ import annotations

import pytest

from cellwise.training.patience import Patience


@pytest.mark.parametrize(
    ("limit", "improved", "lost_at"),
    [
        (1, [True, True, False], 2),
        (2, [True, False, True, False, False, True], 4),
        (3, [False, False, False], 2),
        (2, [True, False, True, False, True, False], None),
        (None, [False] * 100, None),
    ],
)
def test_it_is_lost_after_so_many_in_a_row(limit: int | None, improved: list[bool], lost_at: int | None) -> None:
    patience, lost = Patience(limit), []
    for number, each in enumerate(improved):
        patience.hear(improved=each)
        if patience.is_lost():
            lost.append(number)
    assert (lost[0] if lost else None) == lost_at
