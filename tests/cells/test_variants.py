"""No value of an option, and where it counts no two of them together, are left to the slow tests."""

from __future__ import annotations

import itertools

import pytest

from cellwise.cells.registry import cell_names
from cellwise.testing.contract import option_variants
from tests.cells.variants import covering, variants


@pytest.mark.parametrize("together", [1, 2])
def test_values_meet_in_one_of_the_variants(together: int) -> None:
    for name in cell_names():
        all_of_them, few = option_variants(name), covering(option_variants(name), together)
        for names in itertools.combinations(all_of_them[0], together):
            wanted = {tuple(variant[one] for one in names) for variant in all_of_them}
            assert {tuple(variant[one] for one in names) for variant in few} == wanted
        if len(all_of_them[0]) <= together:
            assert few == all_of_them


def test_three_options_need_fewer_than_their_combinations() -> None:
    all_of_them = option_variants("layer_norm_lstm")
    assert [len(some) for some in (all_of_them, covering(all_of_them, 2), covering(all_of_them, 1))] == [12, 6, 3]


def test_every_combination_is_there_slow_or_not() -> None:
    found = [param.values for param in variants(1)]
    assert found == [(name, options) for name in cell_names() for options in option_variants(name)]
