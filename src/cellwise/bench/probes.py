"""What looking inside the cell costs: an LSTM on the demo's text for 860 steps, on the adding problem for 600."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from cellwise.bench.parts import Found, Setting
from cellwise.records.bench import Finding
from cellwise.sweep.plan import plan
from cellwise.training.train import train

_PROMISE = 0.05
_ROUNDS = 3  # of a run without, one with light and one with full probes
_LEVELS = ("off", "light", "full")
_RUNS = {
    "language": [
        *("network.hidden_size=96", "optim.learning_rate=0.004", "trainer.max_steps=860"),
        *("data.valid_tokens=2000", "data.test_tokens=2000"),
    ],
    "memory": [
        *("task=memory", "data.length=50", "network.hidden_size=128", "trainer.max_steps=600"),
        *("data.valid_sequences=50", "data.test_sequences=50"),
    ],
}
_EVERY_RUN = [
    "cell=lstm",  # torch has a fast kernel for training it, and probes can't use that: their share is largest here
    *("trainer.max_epochs=null", "trainer.validate_every_steps=300", "trainer.threads=1", "again=true"),
]


def measure(setting: Setting) -> Iterator[Found]:
    """Measure, by task, what share of the training time the probes take, and how much longer a run is."""
    for task in _RUNS:
        yield Found(findings=_findings(task))


def _findings(task: str) -> list[Finding]:
    shares: dict[str, list[float]] = {level: [] for level in _LEVELS}
    longer: dict[str, list[float]] = {level: [] for level in _LEVELS}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        words = [*_RUNS[task], *_EVERY_RUN, f"runs_dir={folder}"]
        configs = {level: plan([*words, f"probe={level}"])[0].config for level in _LEVELS}
        for _ in range(_ROUNDS):  # in turn, so that a machine whose speed drifts slows all of them alike
            seconds = {}
            for level, config in configs.items():
                seconds[level], share = _timed(config)
                shares[level].append(share)
                longer[level].append(seconds[level] / seconds["off"])
    found = []
    for level in _LEVELS[1:]:
        goal = _PROMISE if level == "light" else None
        found.append(Finding("probes", f"{task}, {level}", median(shares[level]), "of training", goal))
        found.append(Finding("probes", f"{task}, {level}: a run over one without", median(longer[level]), "x"))
    return found


def _timed(config: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds of a run, and what share of its training time its probes took."""
    started = time.perf_counter()
    folder = train(config).folder
    seconds = time.perf_counter() - started
    times: Mapping[str, float] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["times_seconds"]
    return seconds, times.get("probe", 0.0) / times["train"]
