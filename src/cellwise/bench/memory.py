"""Peak memory of one training step, beyond its inputs and results, against what its gates and states take."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from cellwise.bench.parts import Found, Setting
from cellwise.bench.peak import needed, peak_of
from cellwise.bench.problem import DENSE, Shape
from cellwise.records.bench import Finding, Measurement
from cellwise.recurrent.layer import Recurrent

CELL = "peephole_lstm"
LONG = Shape("T=10000", 16, 10_000, 256)
RECOMPUTE = {"recompute": 100}  # steps of a chunk: the root of all steps keeps least
_AT_MOST, _GIB = 1.5, 2**30


def measure(setting: Setting) -> Iterator[Found]:
    """Measure C, D and a long one; with recomputation too, where the layer has it."""
    for shape in (DENSE["C"], DENSE["D"], LONG):
        for cell, engine, options in _things(shape):
            yield _of(cell, engine, shape, options)


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


def _of(cell: str, engine: str, shape: Shape, options: Mapping[str, Any]) -> Found:
    peak = peak_of(cell, engine, shape, **options)
    if isinstance(peak, str):
        return Found(absent=[peak])
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
    return Found([row], _findings(row, recomputed=bool(options)))


def _findings(row: Measurement, *, recomputed: bool) -> list[Finding]:
    name = f"{row.shape}: {row.cell} {row.engine}"
    if recomputed:
        assert row.peak_bytes is not None
        return [Finding("memory", f"{name}: peak beyond inputs and results", row.peak_bytes / _GIB, "GiB", 1.0)]
    if row.engine != "fused" or row.ratio is None:
        return []
    return [Finding("memory", f"{name}: peak and output over gates and states", row.ratio, "x", _AT_MOST)]
