"""Several seeds at once: what 8 runs of one small layer cost, against one run, for cells without a kernel of torch.

One after another is what they cost without replicas.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cellwise.bench.agreement import agreement
from cellwise.bench.parts import Found, Setting
from cellwise.bench.problem import Problem, Shape, Step
from cellwise.bench.timing import Spread, in_turn
from cellwise.records.bench import Finding, Measurement
from cellwise.recurrent.engines.fused.compiled import compiling

CELLS = ("peephole_lstm", "coupled_lstm", "ugrnn", "mut1")  # torch has a kernel for none of them
REPLICAS = 8
_SHAPE, _SMALL = Shape("small batch", 16, 50, 32), Shape("small", 3, 4, 5)
_ENGINES = ("reference", "fused")
_AT_MOST = 3.0  # of one run on its fastest engine


def measure(setting: Setting) -> Iterator[Found]:
    """Measure each cell."""
    for cell in CELLS:
        with compiling(not setting.quick):
            found = _of(Problem(cell, _SMALL if setting.quick else _SHAPE), setting)
        yield found


def _of(problem: Problem, setting: Setting) -> Found:
    steps = [problem.ours(engine) for engine in _ENGINES]
    expected = steps[0].results()
    checked = [agreement(problem, step, expected) for step in steps[1:]]
    calls: dict[tuple[str, int], Callable[[], Any]] = {}
    for step in steps:
        calls[step.engine, 1] = step.call
        calls[step.engine, REPLICAS] = _one_after_another(step)
    spreads = in_turn({f"{engine} {n}": call for (engine, n), call in calls.items()}, once=setting.quick)
    one_run = min(spreads[f"{engine} 1"].median for engine in _ENGINES)
    rows = [_row(problem, engine, n, spreads[f"{engine} {n}"], one_run) for engine, n in calls]
    by_fused = checked[0].disagreement
    rows = [dataclasses.replace(row, disagreement=by_fused) if row.engine == "fused" else row for row in rows]
    findings = [] if setting.quick else [_finding(problem.cell, rows)]
    return Found(rows, findings, wrong=[one.wrong for one in checked if one.wrong])


def _one_after_another(step: Step) -> Callable[[], Any]:
    def call() -> None:
        for _ in range(REPLICAS):
            step.call()

    return call


def _row(problem: Problem, engine: str, replicas: int, spread: Spread, one_run: float) -> Measurement:
    return Measurement(
        "replicas",
        problem.cell,
        engine,
        **problem.shape.sizes(),  # type: ignore[arg-type]  # of several types by name
        rounds=spread.rounds,
        ms=1e3 * spread.median,
        iqr_ms=1e3 * spread.iqr,
        baseline="one run on its fastest engine",
        ratio=spread.median / one_run,
        replicas=replicas,
    )


def _finding(cell: str, rows: Sequence[Measurement]) -> Finding:
    best = min((row for row in rows if row.replicas > 1), key=lambda row: row.ratio or float("inf"))
    assert best.ratio is not None
    what = f"{cell}: {REPLICAS} runs over one on its fastest engine"
    return Finding("replicas", what, best.ratio, "x", _AT_MOST, best.engine)
