"""Every registered cell with every option: which combinations each run of the tests sees, and which are slow."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cellwise.cells.registry import cell_names
from cellwise.testing.contract import option_variants


def pairwise(variants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return so few of a cell's variants that each two values of two options are together in one of them."""
    left, chosen = {pair for variant in variants for pair in _pairs(variant)}, list[dict[str, Any]]()
    while left or not chosen:
        best = max(variants, key=lambda variant: len(left & _pairs(variant)))
        chosen.append(best)
        left -= _pairs(best)
    return [variant for variant in variants if variant in chosen]


def variants() -> list[Any]:
    """Return the parameters ``(name, options)`` of all combinations; those beyond the pairs are marked slow."""
    return [
        pytest.param(name, options, id=f"{name}-{options}", marks=[] if options in few else pytest.mark.slow)
        for name in cell_names()
        for few in [pairwise(option_variants(name))]
        for options in option_variants(name)
    ]


def _pairs(variant: dict[str, Any]) -> set[Any]:
    """What a variant has together; of less than two options, the variant itself."""
    return set(itertools.combinations(variant.items(), min(2, len(variant))))
