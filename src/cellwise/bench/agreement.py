"""Whether what is timed computes what the reference computes: the largest max |a - b| / max |b| of all results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from cellwise.bench.problem import Problem, Results, Step
from cellwise.recurrent.engines import ENGINES

ALLOWED = {torch.float32: 1e-5, torch.float64: 1e-10}
# A gradient over hundreds of steps may amplify rounding beyond what is allowed, in the reference as in any other. Then
# float64 is the judge: nothing may be further from it than this many times the reference's own distance.
_OF_REFERENCE = 3.0
_OF_OTHERS = 10.0  # times what our engines may: of another library we ask whether it is the same function


class Agreement(NamedTuple):
    """The largest disagreement, and what is wrong, "" where nothing is."""

    disagreement: float
    wrong: str = ""


def agreement(problem: Problem, step: Step, expected: Results) -> Agreement:
    """Compare a step with the reference's results, all of which it must have.

    Args:
        problem: in float32 or float64.
        step: that is to be timed.
        expected: what the reference gives.
    """
    found = step.results()
    where = f"{step.name} at shape {problem.shape.name}"
    if missing := sorted(set(expected) - set(found)):
        return Agreement(float("inf"), f"{where}: no {', '.join(missing)}")
    worst, name = largest(found, expected)
    allowed = ALLOWED[problem.dtype] * (1.0 if step.engine.split()[0] in ENGINES else _OF_OTHERS)
    if worst <= allowed:
        return Agreement(worst)
    exact = problem.in_float64()
    own, _ = largest(found, exact)
    reference, _ = largest(expected, exact)
    if own <= max(allowed, _OF_REFERENCE * reference):
        return Agreement(worst)
    told = f"{where}: {name} differs by {worst:.1e} from the reference, allowed {allowed:.0e}"
    return Agreement(worst, f"{told}; from float64 by {own:.1e}, the reference by {reference:.1e}")


def largest(found: Results, expected: Mapping[str, Tensor]) -> tuple[float, str]:
    """Return the largest max |a - b| / max |b| and what it is of; what is not finite differs without bound."""
    differences = {name: _difference(found[name], value) for name, value in expected.items()}
    name = max(differences, key=lambda key: differences[key])
    return differences[name], name


def _difference(value: Tensor, expected: Tensor) -> float:
    if value.shape != expected.shape or not bool(value.isfinite().all()):
        return float("inf")
    scale = expected.abs().max().item() or 1.0
    return (value.to(expected.dtype) - expected).abs().max().item() / scale
