"""What a run costs beyond its training steps: the first in a process, and a second one."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

from cellwise.sweep.plan import plan
from cellwise.training.train import train

_PROMISE_SECONDS = 0.5
_RUN = ["trainer.max_steps=20", "data.train_tokens=20000", "data.valid_tokens=2000", "data.test_tokens=2000"]


def lines(runs: int = 5) -> list[str]:
    """Return seconds beyond the training steps, for the first and the median later run of one process."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        seeds = ",".join(map(str, range(runs)))
        beyond = [_beyond_training(run.config) for run in plan([*_RUN, f"runs_dir={folder}", f"seed={seeds}"])]
    later = sorted(beyond[1:])[len(beyond[1:]) // 2]
    return [
        f"{'first run':20} {beyond[0]:.3f} s beyond its training steps",
        f"{'a later run':20} {later:.3f} s (promised: under {_PROMISE_SECONDS} s)",
    ]


def _beyond_training(config: dict[str, object]) -> float:
    started = time.perf_counter()
    folder: Path = train(config).folder
    spent = time.perf_counter() - started
    return spent - float(json.loads((folder / "summary.json").read_text())["train_seconds"])
