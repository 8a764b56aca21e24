"""Sizes a configuration's network to its budget: `budget=params:100k` in place of `network.hidden_size`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override

from cellwise.budget import Shape, hidden_size_for, parse_budget
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.tasks import recurrent_shapes

KEY = "network.hidden_size"


def refuse_two_sizes(overrides: Sequence[Override]) -> None:
    """Refuse a hidden size that is given beside a budget; `network.hidden_size=null` takes one away.

    Raises:
        CellwiseError: the last word on the hidden size is a number.
    """
    last = None
    for override in overrides:
        value = override.value()
        if override.key_or_group == KEY:
            last = override if value is not None else None
        elif override.key_or_group == "network" and isinstance(value, dict) and value.get("hidden_size") is not None:
            last = override
    if last is not None:
        raise CellwiseError(
            f"{last.input_line} and a budget contradict each other: a budget finds the hidden size; give one of "
            f"them (budget=null, or {KEY}=null, takes away what a study gives)"
        )


def hidden_size_in(resolved: Callable[[int], Mapping[str, Any]]) -> int:
    """Return the hidden size that a configuration's budget means.

    Args:
        resolved: the configuration with a hidden size put in, so that what follows it (`${network.hidden_size}`) does.

    Raises:
        CellwiseError: no budget, one too small for the cell, or settings that are not allowed.
    """
    config = resolved(1)
    options = {key: value for key, value in config["cell"].items() if key != "name"}
    cell = build_cell(config["cell"]["name"], options)

    def shapes(hidden_size: int) -> Sequence[Shape]:
        return recurrent_shapes(resolved(hidden_size), hidden_size)

    return hidden_size_for(parse_budget(config["budget"]), cell, shapes)
