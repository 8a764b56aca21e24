"""How a cell is run over time: `reference` is the truth, `native` torch's kernel, `scan` all steps at once.

`fused` is any cell's step, cut at its products and compiled. `auto` chooses by a fixed table what starts at once:
native where torch has the kernel, scan where the cell is affine, else reference. `fastest` is for whoever runs a layer
many times, as training does: also fused, where a compiler is at hand, which takes some seconds the first time; before
torch's own GRU and RNN too, which are no kernels on a CPU, but loops.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from cellwise.cells.contract import Cell, State
from cellwise.cells.lstm import LSTM
from cellwise.errors import CellwiseError, unknown
from cellwise.recurrent.conditions import Conditions
from cellwise.recurrent.engines import fused, native, reference, scan
from cellwise.recurrent.maps import LinearMap
from cellwise.recurrent.options import LayerOptions
from cellwise.recurrent.weights import Weights

Engine = Callable[[Weights, Tensor, State, Conditions], tuple[Tensor, State]]

_CHOICES = ("auto", "fastest")
ENGINES: dict[str, Engine] = {"reference": reference.run, "native": native.run, "scan": scan.run, "fused": fused.run}


def resolve(name: str, cell: Cell, recurrent_map: LinearMap, options: LayerOptions) -> str:
    """Return the engine that will run a cell.

    Args:
        name: `auto`, `fastest`, or an engine of `ENGINES`.
        cell: with its options.
        recurrent_map: dense or convolution.
        options: of the layer.

    Raises:
        CellwiseError: unknown engine, or one that can't run this cell with these options.
    """
    keeps_all = options.recompute is None
    # Asked one by one: whether a step can be cut is seen by running it, which a cell from outside may not expect.
    able: dict[str, Callable[[], bool]] = {
        "native": lambda: keeps_all and native.expressible(cell, recurrent_map, options),
        "scan": lambda: keeps_all and scan.expressible(cell),
        "reference": lambda: keeps_all,
        "fused": lambda: fused.expressible(cell, recurrent_map),
    }
    if name not in (*_CHOICES, *able):
        raise unknown("engine", name, [*_CHOICES, *ENGINES])
    if name in _CHOICES:
        tables = {"auto": list(able), "fastest": _fastest(cell)}
        name = next((engine for engine in tables[name] if able[engine]()), "fused")
    if not able[name]():
        if not keeps_all:
            raise CellwiseError(
                f"recompute={options.recompute} is what engine 'fused' does, and {type(cell).__name__} can't run on "
                f"{name!r} with it; leave recompute out"
            )
        allowed = ", ".join([*_CHOICES, *(engine for engine, runs in able.items() if runs())])
        raise CellwiseError(f"engine {name!r} can't run {type(cell).__name__} with these options; allowed: {allowed}")
    return name


def _fastest(cell: Cell) -> list[str]:
    """The engines, fastest first, for a device that is not known yet: oneDNN and cuDNN both have an LSTM."""
    compiled = ["fused"] if fused.compiles() else []
    if type(cell) is LSTM:
        return ["native", "scan", *compiled, "reference"]
    return ["scan", *compiled, "native", "reference"]


def run(engine: str, weights: Weights, x: Tensor, state: State, conditions: Conditions) -> tuple[Tensor, State]:
    """Run one layer in one direction; torch's kernels know no resets, so a call with resets runs on the reference.

    Output and state have the dtype of x, whatever autocast makes of them on the way.
    """
    if conditions.resets is not None and engine == "native":
        engine = "reference"
    output, new = ENGINES[engine](weights, x, state, conditions)
    return output.to(x.dtype), {name: value.to(x.dtype) for name, value in new.items()}
