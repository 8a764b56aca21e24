"""How a cell is run over time: `reference` is the truth, `native` torch's kernel; `auto` chooses by a fixed table."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cellwise.cells.contract import Cell, State
from cellwise.errors import CellwiseError, unknown
from cellwise.recurrent.engines import native, reference
from cellwise.recurrent.guard import Lengths
from cellwise.recurrent.maps import LinearMap
from cellwise.recurrent.weights import Weights

Engine = Callable[[Weights, Tensor, State, Lengths | None], tuple[Tensor, State]]

ENGINES: dict[str, Engine] = {"reference": reference.run, "native": native.run}


def resolve(name: str, cell: Cell, recurrent_map: LinearMap) -> str:
    """Return the engine that will run a cell.

    Args:
        name: `auto`, or an engine of `ENGINES`.
        cell: with its options.
        recurrent_map: dense or convolution.

    Raises:
        CellwiseError: unknown engine, or `native` for what torch has no kernel for.
    """
    expressible = native.expressible(cell, recurrent_map)
    if name == "auto":
        return "native" if expressible else "reference"
    if name not in ENGINES:
        raise unknown("engine", name, ["auto", *ENGINES])
    if name == "native" and not expressible:
        raise CellwiseError(
            f"engine 'native' has no kernel for {type(cell).__name__} with these options; allowed: auto, reference"
        )
    return name
