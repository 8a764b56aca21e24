"""Every registered cell with every option: which combinations each run of the tests sees, and which are slow."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cellwise.cells.registry import cell_names
from cellwise.testing.contract import option_variants


def covering(variants: list[dict[str, Any]], together: int) -> list[dict[str, Any]]:
    """Return so few of a cell's variants that each value is in one of them, or each two or more `together` are."""
    left, chosen = {met for variant in variants for met in _met(variant, together)}, list[dict[str, Any]]()
    while left or not chosen:
        best = max(variants, key=lambda variant: len(left & _met(variant, together)))
        chosen.append(best)
        left -= _met(best, together)
    return [variant for variant in variants if variant in chosen]


def variants(together: int) -> list[Any]:
    """Return the parameters ``(name, options)`` of all combinations; those that `covering` leaves are marked slow.

    Each two values are to meet where the equations are what is tested; each value by itself where it is what a layer
    makes of them.
    """
    return [
        pytest.param(name, options, id=f"{name}-{options}", marks=[] if options in few else pytest.mark.slow)
        for name in cell_names()
        for few in [covering(option_variants(name), together)]
        for options in option_variants(name)
    ]


def _met(variant: dict[str, Any], together: int) -> set[Any]:
    """What a variant has together; all of it where that is less."""
    return set(itertools.combinations(variant.items(), min(together, len(variant))))
