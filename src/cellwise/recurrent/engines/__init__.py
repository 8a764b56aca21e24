"""How a cell is run over time: `reference` is the truth, `native` torch's kernel, `scan` all steps at once.

`fused` is any cell's step, cut at its products and compiled. `auto` chooses by a fixed table: native where torch has
the kernel, scan where the cell is affine, else reference.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cellwise.cells.contract import Cell, State
from cellwise.errors import CellwiseError, unknown
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.engines import fused, native, reference, scan
from cellwise.recurrent.maps import LinearMap
from cellwise.recurrent.options import LayerOptions
from cellwise.recurrent.weights import Weights

Engine = Callable[[Weights, Tensor, State, Conditions], tuple[Tensor, State]]

ENGINES: dict[str, Engine] = {"reference": reference.run, "native": native.run, "scan": scan.run, "fused": fused.run}


def resolve(name: str, cell: Cell, recurrent_map: LinearMap, options: LayerOptions) -> str:
    """Return the engine that will run a cell.

    Args:
        name: `auto`, or an engine of `ENGINES`.
        cell: with its options.
        recurrent_map: dense or convolution.
        options: of the layer.

    Raises:
        CellwiseError: unknown engine, or one that can't run this cell with these options.
    """
    # Asked one by one: whether a step can be cut is seen by running it, which a cell from outside may not expect.
    able: dict[str, Callable[[], bool]] = {
        "native": lambda: native.expressible(cell, recurrent_map, options),
        "scan": lambda: scan.expressible(cell),
        "reference": lambda: True,
        "fused": lambda: fused.expressible(cell, recurrent_map),
    }
    if name == "auto":
        return next(engine for engine, runs in able.items() if runs())
    if name not in able:
        raise unknown("engine", name, ["auto", *ENGINES])
    if not able[name]():
        allowed = ", ".join(["auto", *(engine for engine, runs in able.items() if runs())])
        raise CellwiseError(f"engine {name!r} can't run {type(cell).__name__} with these options; allowed: {allowed}")
    return name


def run(engine: str, weights: Weights, x: Tensor, state: State, conditions: Conditions) -> tuple[Tensor, State]:
    """Run one layer in one direction; torch's kernels know no resets, so a call with resets runs on the reference.

    Output and state have the dtype of x, whatever autocast makes of them on the way.
    """
    if conditions.resets is not None and engine == "native":
        engine = "reference"
    output, new = ENGINES[engine](weights, x, state, conditions)
    return output.to(x.dtype), {name: value.to(x.dtype) for name, value in new.items()}
