"""What a run costs beyond its training steps: the first in a process, a later one, and one of a sweep."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from cellwise.sweep.launcher import LauncherSettings
from cellwise.sweep.plan import plan
from cellwise.sweep.pool import execute
from cellwise.sweep.source import PlanSource
from cellwise.training.train import train

_PROMISE_SECONDS = 0.5
_PROMISE_OF_A_SWEEP_SECONDS = 2.0
_RUN = ["trainer.max_steps=20", "data.train_tokens=20000", "data.valid_tokens=2000", "data.test_tokens=2000"]


def lines(runs: int = 5) -> list[str]:
    """Return seconds beyond the training steps: of the first and the median later run of one process, and of a sweep's.

    Args:
        runs: of each kind.
    """
    seeds = f"seed=range({runs})"
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        beyond = [_beyond_training(run.config) for run in plan([*_RUN, f"runs_dir={folder}", seeds])]
        swept = plan([*_RUN, f"runs_dir={folder}/swept", seeds])
        results = execute(PlanSource(swept), LauncherSettings(jobs=1), finished=lambda result: None)
        of_a_sweep = median(result.seconds - _train_seconds(result.run.folder) for result in results)
    return [
        f"{'first run':20} {beyond[0]:.3f} s beyond its training steps",
        f"{'a later run':20} {median(beyond[1:]):.3f} s (promised: under {_PROMISE_SECONDS} s)",
        f"{'a run of a sweep':20} {of_a_sweep:.3f} s (promised: under {_PROMISE_OF_A_SWEEP_SECONDS} s)",
    ]


def _beyond_training(config: Mapping[str, Any]) -> float:
    started = time.perf_counter()
    folder = train(config).folder
    return time.perf_counter() - started - _train_seconds(folder)


def _train_seconds(folder: Path) -> float:
    return float(json.loads((folder / "summary.json").read_text(encoding="utf-8"))["train_seconds"])
