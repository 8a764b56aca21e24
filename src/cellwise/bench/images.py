"""Convolutional cells on every engine, against the usual module; peak memory of each in a process of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from cellwise.bench.compared import compared, on_every_engine
from cellwise.bench.parts import Found, Setting
from cellwise.bench.peak import needed, peak_of
from cellwise.bench.problem import Problem, Shape
from cellwise.bench.usual_convolution import ENGINE, of_usual
from cellwise.records.bench import Finding, Measurement
from cellwise.recurrent.engines.fused.compiled import compiling

CELL = "peephole_lstm"
SHAPES = (
    Shape("64 channels, kernel 5", 8, 10, 64, 5, 16),
    Shape("64 channels, kernel 3", 4, 20, 64, 3, 32),
    Shape("16 channels, kernel 3", 8, 20, 16, 3, 32),
    Shape("8 channels, kernel 3", 8, 20, 8, 3, 32),
)
_SMALL = Shape("small", 2, 3, 4, 3, 5)
_AT_MOST = {64: 1.0}  # of the usual module's time: near the machine's peak there
_AT_MOST_ELSEWHERE = 1 / 1.5


def measure(setting: Setting) -> Iterator[Found]:
    """Measure each shape; quickly without compiling and without memory."""
    for shape in [_SMALL] if setting.quick else SHAPES:
        problem = Problem(CELL, shape)
        with compiling(not setting.quick):
            steps = [of_usual(problem), *on_every_engine(problem)]
            at_shape = compared("images", [(problem, steps)], setting, baseline=f"{CELL} {ENGINE}")
        if not setting.quick:
            at_shape.rows = [_with_peak(row, shape, at_shape) for row in at_shape.rows]
            at_shape.findings = findings(at_shape.rows)
        yield at_shape


def _with_peak(row: Measurement, shape: Shape, found: Found) -> Measurement:
    peak = peak_of(CELL, row.engine, shape)
    if isinstance(peak, str):
        found.absent += [peak] if peak not in found.absent else []
        return row
    return dataclasses.replace(row, peak_bytes=peak.beyond, needed_bytes=needed(CELL, shape))


def findings(rows: Sequence[Measurement]) -> list[Finding]:
    """Return what the rows of one shape say of the goals."""
    by_engine = {row.engine: row for row in rows}
    fused, usual = by_engine["fused"], by_engine[ENGINE]
    found = []
    if fused.ratio is not None:
        goal = _AT_MOST.get(fused.hidden, _AT_MOST_ELSEWHERE)
        found.append(Finding("images", f"{fused.shape}: time, fused over the usual module", fused.ratio, "x", goal))
    if fused.peak_bytes is not None and usual.peak_bytes:
        share = fused.peak_bytes / usual.peak_bytes
        found.append(Finding("images", f"{fused.shape}: peak memory, fused over the usual module", share, "x", 1.0))
    return found
