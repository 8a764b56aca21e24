"""Peak memory of one training step, beyond its inputs and results, against what its gates and states take."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from cellwise.bench.parts import Found, Setting
from cellwise.bench.peak import needed, peak_of
from cellwise.bench.problem import DENSE, Shape
from cellwise.records.bench import Finding, Measurement
from cellwise.recurrent.layer import Recurrent

CELL = "peephole_lstm"
LONG = Shape("T=10000", 16, 10_000, 256)
RECOMPUTE = {"recompute": 100}  # steps of a chunk: the root of all steps keeps least
_AT_MOST, _AT_MOST_BYTES = 1.5, 2**30


def measure(setting: Setting) -> Found:
    """Measure C, D and a long one; with recomputation too, where the layer has it."""
    found = Found()
    for shape in (DENSE["C"], DENSE["D"], LONG):
        for cell, engine, options in _things(shape):
            _add(found, cell, engine, shape, options)
    return found


def _things(shape: Shape) -> list[tuple[str, str, Mapping[str, Any]]]:
    things: list[tuple[str, str, Mapping[str, Any]]] = [
        ("lstm", "torch.nn", {}),
        (CELL, "reference", {}),
        (CELL, "fused", {}),
    ]
    return [*things, (CELL, "fused", RECOMPUTE)] if can_recompute() and shape is LONG else things


def can_recompute() -> bool:
    """Whether layers have the option."""
    return set(RECOMPUTE) <= set(inspect.signature(Recurrent).parameters)


def _add(found: Found, cell: str, engine: str, shape: Shape, options: Mapping[str, Any]) -> None:
    peak = peak_of(cell, engine, shape, **options)
    if isinstance(peak, str):
        found.absent += [peak] if peak not in found.absent else []
        return
    named = " ".join([engine, *(f"{name}={value}" for name, value in options.items())])
    takes = needed(cell, shape)
    row = Measurement(
        "memory",
        cell,
        named,
        **shape.sizes(),  # type: ignore[arg-type]  # of several types by name
        baseline="gates and states",
        ratio=(peak.beyond + peak.output) / takes,  # the output, the first state, counts on both sides
        peak_bytes=peak.beyond,
        needed_bytes=takes,
    )
    found.rows.append(row)
    name = f"{shape.name}: {cell} {named}"
    if options:
        found.findings.append(Finding("memory", f"{name}: peak", peak.beyond, "bytes", _AT_MOST_BYTES))
    elif engine == "fused" and row.ratio is not None:
        what = f"{name}: peak over what gates and states take"
        found.findings.append(Finding("memory", what, row.ratio, "x", _AT_MOST))
