"""Steps at one shape or several: first each is compared with its reference, then all are timed in turn; a row each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from cellwise.bench.agreement import Agreement, agreement
from cellwise.bench.parts import Found, Setting
from cellwise.bench.problem import Problem, Shape, Step, of_torch
from cellwise.bench.timing import Spread, in_turn
from cellwise.budget import recurrent_flops
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.records.bench import Measurement
from cellwise.recurrent.engines import ENGINES

REFERENCE = "reference"
LSTM = "lstm torch.nn"
_Thing = tuple[str, str]  # a shape and a step, by name
TORCH_NN = ("lstm", "gru", "rnn")


def on_every_engine(problem: Problem, engines: Sequence[str] = tuple(ENGINES)) -> list[Step]:
    """Return our steps of a cell, the reference's first, on the engines that take it."""
    found = []
    for engine in (REFERENCE, *(name for name in engines if name != REFERENCE)):
        try:
            found.append(problem.ours(engine))
        except CellwiseError:
            continue  # this engine does not take this cell
    return found


def lstm(shape: Shape) -> tuple[Problem, list[Step]]:
    """Return the baseline of dense shapes, nn.LSTM."""
    problem = Problem("lstm", shape)
    return problem, [of_torch(problem)]


def compared(
    part: str,
    contests: Sequence[tuple[Problem, Sequence[Step]]],
    setting: Setting,
    *,
    baseline: str = LSTM,
    checked: bool = True,
) -> Found:
    """Compare and time steps, those of several shapes in turn as well, where their times are compared.

    Args:
        part: of the bench.
        contests: each cell's problem with its steps; at each shape the baseline's among them.
        setting: how much.
        baseline: the name of the step that the ratio is to.
        checked: whether results are compared here, or have been.
    """
    found = Found()
    agreed: dict[_Thing, Agreement] = {}
    for problem, steps in contests if checked else ():
        expected = next((step for step in steps if step.engine == REFERENCE), None) or problem.ours(REFERENCE)
        results = expected.results()
        others = [step for step in steps if step.engine != REFERENCE]
        agreed |= {_thing(problem, step): agreement(problem, step, results) for step in others}
    found.wrong = [one.wrong for one in agreed.values() if one.wrong]
    calls = {_thing(problem, step): step.call for problem, steps in contests for step in steps}
    spreads = in_turn(calls, once=setting.quick)
    for problem, steps in contests:
        for step in steps:
            row = _row(part, problem, step, spreads, baseline)
            one = agreed.get(_thing(problem, step))
            found.rows.append(dataclasses.replace(row, disagreement=one and one.disagreement))
    return found


def _thing(problem: Problem, step: Step) -> _Thing:
    return problem.shape.name, step.name


def _row(part: str, problem: Problem, step: Step, spreads: dict[_Thing, Spread], baseline: str) -> Measurement:
    shape = problem.shape.name
    spread, reference = spreads[_thing(problem, step)], spreads.get((shape, f"{step.cell} {REFERENCE}"))
    ratio = spread.median / spreads[shape, baseline].median
    return Measurement(
        part,
        step.cell,
        step.engine,
        **problem.shape.sizes(),  # type: ignore[arg-type]  # of several types by name
        dtype=str(problem.dtype).removeprefix("torch."),
        rounds=spread.rounds,
        ms=1e3 * spread.median,
        iqr_ms=1e3 * spread.iqr,
        baseline=baseline,
        ratio=ratio,
        ratio_per_product=ratio / products(step.cell),
        to_reference=None if reference is None else spread.median / reference.median,
    )


def products(cell: str) -> float:
    """Return how many times nn.LSTM's products a cell's take, input and state of one size."""
    return recurrent_flops(build_cell(cell), 64, 64) / recurrent_flops(build_cell("lstm"), 64, 64)
