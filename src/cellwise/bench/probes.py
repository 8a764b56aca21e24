"""What looking inside the cell costs: the demo's network for 860 steps and the adding problem's for 600, one thread."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from cellwise.sweep.plan import plan
from cellwise.training.train import train

_PROMISE = 0.05
_LEVELS = ("off", "light", "full")
_RUNS = {  # of each cell that torch has a kernel for, which probes have not: their share is largest there
    "language": ["network.hidden_size=96", "optim.learning_rate=0.004", "trainer.max_steps=860"],
    "memory": ["task=memory", "data.length=100", "network.hidden_size=128", "trainer.max_steps=600"],
}
_EVERY_RUN = ["trainer.max_epochs=null", "trainer.validate_every_steps=200", "trainer.threads=1", "again=true"]


def lines(rounds: int = 3) -> list[str]:
    """Return, by task and cell, what share of the training time the probes take, and how much longer a run is.

    Args:
        rounds: of a run without, one with light and one with full probes.
    """
    return [_line(task, cell, rounds) for task in _RUNS for cell in ("lstm", "rnn")]


def _line(task: str, cell: str, rounds: int) -> str:
    shares: dict[str, list[float]] = {level: [] for level in _LEVELS}
    longer: dict[str, list[float]] = {level: [] for level in _LEVELS}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        words = [*_RUNS[task], *_EVERY_RUN, f"cell={cell}", f"runs_dir={folder}"]
        configs = {level: plan([*words, f"probe={level}"])[0].config for level in _LEVELS}
        for _ in range(rounds):  # in turn, so that a machine whose speed drifts slows all of them alike
            seconds = {}
            for level, config in configs.items():
                seconds[level], share = _timed(lambda config=config: train(config).folder)  # type: ignore[misc]
                shares[level].append(share)
                longer[level].append(seconds[level] / seconds["off"])
    light, full = (f"{median(shares[level]):.1%}, a run {median(longer[level]):.2f}x" for level in ("light", "full"))
    return f"{task:10} {cell:6} light {light} (promised: under {_PROMISE:.0%} of training); full {full}"


def _timed(run: Callable[[], Path]) -> tuple[float, float]:
    """Seconds of a run, and what share of its training time its probes took."""
    started = time.perf_counter()
    folder = run()
    seconds = time.perf_counter() - started
    times: Mapping[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["times_seconds"]
    return seconds, times.get("probe", 0.0) / times["train"]
