"""Cost against the number of steps, 50 to 5,000, and what compilation costs, cold and from torch's cache on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch

from cellwise.bench.compared import compared, lstm, on_every_engine
from cellwise.bench.compilation import Seconds, compile_seconds
from cellwise.bench.parts import Found, Setting
from cellwise.bench.peers import CELL, peers
from cellwise.bench.problem import Problem, Shape
from cellwise.records.bench import Finding, Measurement
from cellwise.recurrent.engines.fused.compiled import compiling

STEPS = (50, 100, 500, 1000, 5000)
_FEW_STEPS = (1, 5)
_BATCH, _HIDDEN = 20, 128
# Of two lengths far apart, for what may not depend on it.
COMPILED, COMPILED_AT = ("lstm", "gru", CELL, "coupled_lstm", "layer_norm_lstm", "mut1"), (50, 1000)
_MOST_SECONDS, _MOST_DEVIATION, _MOST_OF_SHORT = 1.0, 0.1, 1.2


def measure(setting: Setting) -> Iterator[Found]:
    """Measure one cell at each number of steps; then, in processes of their own, the first calls of several."""
    found = Found()
    for steps in _FEW_STEPS if setting.quick else STEPS:
        shape = Shape(f"T={steps}", _BATCH, steps, _HIDDEN)
        problem = Problem(CELL, shape)
        others, absent = peers(problem, ["jax"])
        contests = [lstm(shape), (problem, [*on_every_engine(problem), *others])]
        # Each length by itself: a short call right after one that gave back a gigabyte would pay for that.
        with compiling(not setting.quick):
            found += compared("steps", contests, setting)
        found.absent = absent
    found.findings = linearity(found.rows)
    yield found
    if not setting.quick:
        yield _compilation()


def linearity(rows: Sequence[Measurement]) -> list[Finding]:
    """Return, by engine, microseconds a step and the largest deviation from a line, as a share of the time itself.

    The line is the one with the least squared relative deviations: a millisecond counts more where there are few.
    """
    found = []
    for cell, engine in dict.fromkeys((row.cell, row.engine) for row in rows):
        timed = [(row.steps, row.ms) for row in rows if (row.cell, row.engine) == (cell, engine) and row.ms]
        if len(timed) < 3:
            continue
        steps, ms = torch.tensor(timed, dtype=torch.float64).unbind(1)
        by_time = torch.stack([torch.ones_like(steps), steps], 1) / ms[:, None]
        start, slope = torch.linalg.lstsq(by_time, torch.ones_like(ms)[:, None]).solution.flatten()
        deviation = ((start + slope * steps) / ms - 1).abs().max().item()
        name = f"{cell} {engine}"
        goal = _MOST_DEVIATION if engine == "fused" else None
        found.append(Finding("steps", f"{name}: a step", 1e3 * slope.item(), "us"))
        found.append(Finding("steps", f"{name}: largest deviation from a line", deviation, "of the time", goal))
    return found


def _compilation() -> Found:
    found = Found()
    by_steps = {steps: compile_seconds(COMPILED, Shape("", _BATCH, steps, _HIDDEN)) for steps in COMPILED_AT}
    for steps, (cold, warm) in by_steps.items():
        for cell in COMPILED:
            shape = Shape(f"T={steps}", _BATCH, steps, _HIDDEN)
            row = Measurement("steps", cell, "fused", **shape.sizes())  # type: ignore[arg-type]  # of several types
            cold_s, warm_s = cold.cells[cell], warm.cells[cell]
            found.rows.append(dataclasses.replace(row, compile_cold_s=cold_s, compile_warm_s=warm_s))
    found.findings = _told(by_steps)
    return found


def _told(by_steps: dict[int, tuple[Seconds, Seconds]]) -> list[Finding]:
    short, long = (by_steps[steps] for steps in (COMPILED_AT[0], COMPILED_AT[-1]))
    slowest = max(COMPILED, key=lambda cell: short[0].cells[cell])
    cold, warm = sum(short[0].cells.values()), sum(short[1].cells.values())
    more = sum(long[0].cells.values()) / cold
    what = f"compilation: {COMPILED_AT[-1]} steps over {COMPILED_AT[0]}, {len(COMPILED)} cells"
    return [
        Finding("steps", "compilation: the slowest cell, cache empty", short[0].cells[slowest], "s", None, slowest),
        Finding("steps", "compilation: a cell, cache empty", cold / len(COMPILED), "s", _MOST_SECONDS),
        Finding("steps", "compilation: a cell, in a second process", warm / len(COMPILED), "s"),
        Finding("steps", "compilation: torch's compiler itself, once a process", short[1].compiler, "s"),
        Finding("steps", what, more, "x", _MOST_OF_SHORT),
    ]
