"""Every registered cell, fused against reference, at the shapes A and E, or at all of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from cellwise.bench.compared import compared, lstm, on_every_engine
from cellwise.bench.parts import Found, Setting
from cellwise.bench.problem import DENSE, Problem, Shape
from cellwise.cells.registry import cell_names
from cellwise.records.bench import Finding, Measurement
from cellwise.recurrent.engines.fused.compiled import compiling

_AT_MOST = 1.5  # of nn.LSTM per product, the median cell
_SMALL = Shape("small", 3, 4, 5)
_ENGINES = ("reference", "fused", "scan")


def measure(setting: Setting) -> Iterator[Found]:
    """Measure every cell; quickly without compiling, which takes a second a cell."""
    shapes = [_SMALL] if setting.quick else [DENSE[name] for name in (DENSE if setting.full else "AE")]
    for shape in shapes:
        with compiling(not setting.quick):
            problems = [Problem(cell, shape) for cell in cell_names()]
            contests = [lstm(shape), *((problem, on_every_engine(problem, _ENGINES)) for problem in problems)]
            at_shape = compared("registry", contests, setting)
        if not setting.quick:
            at_shape.findings = findings(at_shape.rows)
        yield at_shape


def findings(rows: Sequence[Measurement]) -> list[Finding]:
    """Return what the rows of one shape say of the goals."""
    shape, fused = rows[0].shape, [row for row in rows if row.engine == "fused"]
    ratios = [row.ratio_per_product for row in fused if row.ratio_per_product is not None]
    slower = sorted(row.cell for row in fused if row.to_reference is not None and row.to_reference > 1)
    what = f"{shape}: fused over nn.LSTM per product, median of {len(ratios)} cells"
    found = [Finding("registry", what, statistics.median(ratios), "x", _AT_MOST)] if ratios else []
    return [*found, Finding("registry", f"{shape}: cells slower than reference", len(slower), "", 0, ", ".join(slower))]
