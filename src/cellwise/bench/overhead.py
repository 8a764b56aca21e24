"""What a run costs beyond its training steps: the first in a process, a later one, and one of a sweep."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from cellwise.bench.parts import Found, Setting
from cellwise.records.bench import Finding
from cellwise.sweep.launcher import LauncherSettings
from cellwise.sweep.plan import plan
from cellwise.sweep.pool import execute
from cellwise.sweep.source import PlanSource
from cellwise.training.train import train

_PROMISE_SECONDS = 0.5
_PROMISE_OF_A_SWEEP_SECONDS = 2.0
_RUNS = 5  # of each kind
_RUN = ["trainer.max_steps=20", "data.train_tokens=20000", "data.valid_tokens=2000", "data.test_tokens=2000"]


def measure(setting: Setting) -> Iterator[Found]:
    """Measure seconds beyond the training steps: of the first and the median later run of one process, of a sweep's."""
    seeds = f"seed=range({_RUNS})"
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        beyond = [_beyond_training(run.config) for run in plan([*_RUN, f"runs_dir={folder}", seeds])]
        swept = plan([*_RUN, f"runs_dir={folder}/swept", seeds])
        results = execute(PlanSource(swept), LauncherSettings(jobs=1), finished=lambda result: None)
        of_a_sweep = median(result.seconds - _train_seconds(result.run.folder) for result in results)
    what = "beyond its training steps"
    yield Found(
        findings=[
            Finding("overhead", f"the first run of a process, {what}", beyond[0], "s"),
            Finding("overhead", f"a later run, {what}", median(beyond[1:]), "s", _PROMISE_SECONDS),
            Finding("overhead", f"a run of a sweep, {what}", of_a_sweep, "s", _PROMISE_OF_A_SWEEP_SECONDS),
        ]
    )


def _beyond_training(config: Mapping[str, Any]) -> float:
    started = time.perf_counter()
    folder = train(config).folder
    return time.perf_counter() - started - _train_seconds(folder)


def _train_seconds(folder: Path) -> float:
    return float(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["train_seconds"])
