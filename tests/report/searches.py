"""Made-up searches on disk, written as tuning writes them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cellwise.compare.best_of_k import counted, plug_in, unbiased
from cellwise.records.tuning import (
    Best,
    Choice,
    ExpectedBest,
    How,
    Importance,
    Setting,
    Trial,
    Tuned,
    TuningRecord,
    write_trials,
    write_tuning,
)

LOST = "seed 0: train_mse is nan at step {}; lower optim.learning_rate"
SPACE = {
    "network.hidden_size": Choice(16, 128, log=True, whole=True),
    "optim.learning_rate": Choice(1e-4, 1e-1, log=True),
    "optim.momentum": Choice(0.0, 0.99, log_of_one_minus=True),
    "optim.weight_decay": Choice(values=(0.0, 1e-4, None)),
}


def made_up(number: int, seed: int = 0, space: Mapping[str, Choice] = SPACE) -> Trial:
    """A finished trial of settings drawn evenly."""
    rng = np.random.default_rng([seed, number])
    settings = {key: _drawn(choice, float(rng.random())) for key, choice in space.items()}
    return Trial(number, settings, "finished", float(rng.lognormal(-3, 1)), 2.5)


def write_search(
    folder: Path,
    trials: Mapping[str, Sequence[Trial]],
    direction: Literal["min", "max"] = "min",
    space: Mapping[str, Choice] = SPACE,
    **changes: Any,
) -> TuningRecord:
    """Write `trials.csv` and `search.json` of a study; labels are cells' names."""
    tuned = tuple(_tuned(label, each, direction, space) for label, each in trials.items())
    record = TuningRecord("mse", direction, "", tuned)
    write_trials(folder, [({"cell": label}, each) for label, each in trials.items()])
    write_tuning(folder, record)
    return record


def _tuned(label: str, trials: Sequence[Trial], direction: Literal["min", "max"], space: Mapping[str, Choice]) -> Tuned:
    scored = [t for t in trials if t.state == "finished" and t.validation is not None]
    sign = 1 if direction == "min" else -1
    top = min(scored, key=lambda t: sign * (t.validation or 0.0), default=None)
    best = None if top is None else Best(top.number, top.settings, top.validation or 0.0, "0123abcd")
    shares = {key: 0.8 / 2**number for number, key in enumerate(space, 1)}
    importance = Importance(shares, 1 - sum(shares.values()), len(scored)) if len(scored) >= 8 else None
    missing = None if importance else f"{len(scored)} trials finished, and 8 are the least that say anything"
    pruned = [t.validation for t in trials if t.state == "pruned" and t.validation is not None]
    ended = sum(t.has_ended for t in trials)
    x = counted([t.validation or 0.0 for t in scored], pruned, ended - len(scored) - len(pruned), direction)
    curves = ExpectedBest(tuple(plug_in(x, direction).tolist()), tuple(unbiased(x, direction).tolist()))
    how = How("random", 0, (0,), len(trials), None, (), space)
    counts: dict[str, int] = dict(Counter(str(t.state) for t in trials))
    return Tuned(label, label, {"cell": label}, how, counts, best, importance, missing, curves if x.size else None)


def _drawn(choice: Choice, u: float) -> Setting:
    if choice.values:
        return choice.values[int(u * len(choice.values))]
    low, high = choice.low or 0.0, choice.high or 0.0
    if choice.log:
        value = math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    elif choice.log_of_one_minus:
        value = 1 - math.exp(math.log1p(-low) + u * (math.log1p(-high) - math.log1p(-low)))
    else:
        value = low + u * (high - low)
    return round(value) if choice.whole else float(f"{value:.6g}")
