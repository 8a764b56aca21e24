"""No two values of two options are left to the slow tests."""

from __future__ import annotations

import itertools

from cellwise.cells.registry import cell_names
from cellwise.testing.contract import option_variants
from tests.cells.variants import pairwise


def test_each_two_values_of_two_options_meet_in_one_of_the_variants() -> None:
    for name in cell_names():
        all_of_them, few = option_variants(name), pairwise(option_variants(name))
        for one, other in itertools.combinations(all_of_them[0], 2):
            wanted = {(variant[one], variant[other]) for variant in all_of_them}
            assert {(variant[one], variant[other]) for variant in few} == wanted
        if len(all_of_them[0]) < 3:
            assert few == all_of_them


def test_three_options_need_half_of_their_combinations() -> None:
    assert len(option_variants("layer_norm_lstm")) == 12
    assert len(pairwise(option_variants("layer_norm_lstm"))) == 6
