"""Quality against each cost of a comparison: whose place is worth it."""

from __future__ import annotations

import math

from cellwise.compare.pareto import Place, pareto_front
from cellwise.compare.table import Comparison

# What a row calls it, and what people do; less is better for each.
COSTS = {
    "parameters_recurrent": "recurrent parameters",
    "flops_per_step": "recurrent FLOPs per step",
    "train_seconds": "training time (s)",
    "peak_memory_bytes": "peak memory (bytes)",
}


def fronts(comparison: Comparison) -> dict[str, tuple[Place, ...]]:
    """Return where each cell stands by each of `COSTS` that is known, by what people call the cost.

    FLOPs are those of the recurrent layers forward, a time step and example. Time and memory are medians over runs, and
    those of the machine.
    """
    apart = {frozenset((pair.better, pair.other)) for pair in comparison.verdict.apart}
    scored = {row.label: row.mean for row in comparison.rows if row.n}
    found = {}
    for attribute, name in COSTS.items():
        known = {row.label: getattr(row, attribute) for row in comparison.rows}
        cost = {label: float(value) for label, value in known.items() if value is not None and math.isfinite(value)}
        if scored.keys() & cost.keys():
            found[name] = pareto_front(scored, cost, comparison.direction, apart)
    return found
