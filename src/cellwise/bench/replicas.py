"""Several seeds at once: what 8 runs of one small layer cost, against one run, for cells without a kernel of torch.

As replicas (`cellwise.recurrent.replicas`), and one after another on each engine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cellwise.bench.agreement import ALLOWED, Agreement, agreement, largest
from cellwise.bench.parts import Found, Setting
from cellwise.bench.problem import Problem, Shape, Step
from cellwise.bench.timing import Spread, in_turn
from cellwise.records.bench import Finding, Measurement
from cellwise.recurrent.engines.fused.compiled import compiling
from cellwise.recurrent.layer import Recurrent
from cellwise.recurrent.replicas import Replicas

CELLS = ("peephole_lstm", "coupled_lstm", "ugrnn", "mut1")  # torch has a kernel for none of them
REPLICAS = 8
_SHAPE, _SMALL = Shape("small batch", 16, 50, 32), Shape("small", 3, 4, 5)
_ENGINES = ("reference", "fused")
_AT_ONCE = "replicas"
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
    together = _Together(problem)
    checked = {"fused": agreement(problem, steps[1], expected), _AT_ONCE: together.agreement()}
    calls: dict[tuple[str, int], Callable[[], Any]] = {(_AT_ONCE, REPLICAS): together.call}
    for step in steps:
        calls[step.engine, 1] = step.call
        calls[step.engine, REPLICAS] = _one_after_another(step)
    spreads = in_turn({f"{engine} {n}": call for (engine, n), call in calls.items()}, once=setting.quick)
    one_run = min(spreads[f"{engine} 1"].median for engine in _ENGINES)
    rows = [_row(problem, engine, n, spreads[f"{engine} {n}"], one_run) for engine, n in calls]
    rows = [
        dataclasses.replace(row, disagreement=checked[row.engine].disagreement) if row.engine in checked else row
        for row in rows
    ]
    findings = [] if setting.quick else [_finding(problem.cell, rows)]
    return Found(rows, findings, wrong=[one.wrong for one in checked.values() if one.wrong])


class _Together:
    """A training step of replicas with weights and inputs of their own, and the same of each layer on the reference."""

    def __init__(self, problem: Problem):
        self._where = f"{problem.cell} {_AT_ONCE} at shape {problem.shape.name}"
        self._own: dict[str, list[Recurrent]] = {engine: [] for engine in _ENGINES}
        for number in range(REPLICAS):
            for layers in self._own.values():
                layer = problem.layer("reference")  # which engine a layer has alone means nothing to replicas
                assert isinstance(layer, Recurrent)
                with torch.no_grad():
                    for parameter in layer.parameters():
                        parameter.mul_(1 + 0.1 * number)
                layers.append(layer)
        self._replicas = Replicas(self._own["fused"])
        self._x = torch.stack([problem.x * (1 - 0.1 * n) for n in range(REPLICAS)], dim=1).requires_grad_()
        self._d_output = torch.stack([problem.d_output.roll(n, 0) for n in range(REPLICAS)], dim=1)

    def call(self) -> dict[str, Tensor]:
        """Make a step; return what comes out, by name."""
        return self._results(self._own["fused"], self._replicas(self._x)[0])

    def agreement(self) -> Agreement:
        """Compare with each layer alone."""
        alone = [layer(self._x[:, number])[0] for number, layer in enumerate(self._own["reference"])]
        worst, name = largest(self.call(), self._results(self._own["reference"], torch.stack(alone, dim=1)))
        allowed = ALLOWED[self._x.dtype]
        wrong = "" if worst <= allowed else f"{self._where}: {name} differs by {worst:.1e}, allowed {allowed:.0e}"
        return Agreement(worst, wrong)

    def _results(self, layers: Sequence[Recurrent], output: Tensor) -> dict[str, Tensor]:
        parameters = {f"{n} {name}": p for n, layer in enumerate(layers) for name, p in layer.named_parameters()}
        leaves = {"input": self._x, **parameters}
        gradients = torch.autograd.grad(output, list(leaves.values()), self._d_output)
        return {"output": output.detach(), **dict(zip(leaves, gradients, strict=True))}


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
    at_once = next(row for row in rows if row.engine == _AT_ONCE)
    assert at_once.ratio is not None
    what = f"{cell}: {REPLICAS} replicas over one run on its fastest engine"
    return Finding("replicas", what, at_once.ratio, "x", _AT_MOST)
