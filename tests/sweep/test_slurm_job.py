"""What runs on a machine of the cluster leaves with a checkpoint when it is asked to, and lets submitit answer then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.records.lease import BeingRunError, take_lease
from cellwise.sweep import slurm_job
from cellwise.sweep.plan import plan
from cellwise.sweep.slurm_job import RunJob

# As submitit calls it; its answers to the signals are told, and end the process as submitit's do.
PROCESS = """
import json, os, pathlib, signal, sys
from submitit.core.utils import UncompletedJobError
from cellwise.sweep.slurm_job import RunJob

config, place, answer = json.loads(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]

def answered(number, frame):
    checkpoints = sorted(place.glob("*/*/checkpoints/step-*"))
    (place.parent / "answered").write_text(f"{signal.Signals(number).name} {len(checkpoints)}")
    if answer == "no more":
        raise UncompletedJobError("Job not requeued because: timed-out too many times.")
    sys.exit(7)

signal.signal(signal.SIGUSR2, answered)
signal.signal(signal.SIGTERM, answered)
RunJob(config, 1, ["cellwise", "study", "demo"])()
"""


def start(config: dict[str, Any], runs: Path, answer: str = "again", **environment: str) -> int:
    command = [sys.executable, "-c", PROCESS, json.dumps(config), str(runs / "default"), answer]
    return subprocess.run(command, env={**os.environ, **environment}, timeout=120).returncode


@pytest.fixture
def warned(tiny_words: list[str], write_cell: Callable[..., Path], tmp_path: Path) -> dict[str, Any]:
    """A run that gets SIGTERM, and in its fifth step SIGUSR2, once."""
    once = tmp_path / "once"
    step = (
        f"p = __import__('pathlib').Path({str(once)!r}); n = int(p.read_text()) if p.exists() else 0; "
        "p.write_text(str(n + 1)); n == 20 and os.kill(os.getpid(), signal.SIGTERM); "
        "n == 45 and os.kill(os.getpid(), signal.SIGUSR2)"
    )
    words = [f"cell_modules=[{write_cell('warned', step)}]", "cell=warned", "trainer.max_steps=10"]
    return plan([*tiny_words, *words, "trainer.checkpoint_every_seconds=1000"])[0].config


def test_a_run_that_is_warned_writes_a_checkpoint_before_submitit_answers_and_then_goes_on(
    warned: dict[str, Any], tmp_path: Path
) -> None:
    """A repetition too, which does not begin anew each time."""
    runs, config = tmp_path / "runs", {**warned, "again": True}
    assert start(config, runs) == 7
    assert (runs / "answered").read_text() == "SIGUSR2 1"  # and nobody minded SIGTERM
    [folder] = (runs / "default").glob("warned-*/seed-0")
    assert json.loads((folder / "run.json").read_text())["command"] == "cellwise study demo"
    assert start(config, runs, SLURM_RESTART_COUNT="1") == 0
    assert "goes on from step-" in (folder / "log.txt").read_text()
    assert (folder / "summary.json").exists()


def test_a_run_that_is_not_to_be_started_again_says_what_helps(warned: dict[str, Any], tmp_path: Path) -> None:
    assert start(warned, tmp_path / "runs", "no more") == 1
    [folder] = (tmp_path / "runs" / "default").glob("warned-*/seed-0")
    said = json.loads((folder / "run.json").read_text())
    assert said["status"] == "failed"
    assert said["error"] == (
        "Job not requeued because: timed-out too many times. "
        "Give launcher.minutes or launcher.requeues more; the same command goes on with it"
    )


def test_the_lease_of_a_machine_that_went_down_is_waited_for(
    tiny: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellwise.records.identity import run_folder
    from cellwise.training import train as module

    monkeypatch.setattr(slurm_job, "_PAUSE_SECONDS", 0.01)
    config, tried = tiny(), []
    lease = take_lease(run_folder(config))

    def train(config: dict[str, Any], **options: Any) -> Any:
        tried.append(options)
        if len(tried) == 3:
            lease.close()
        return real(config, **{**options, "own_process": False})

    real = module.train
    monkeypatch.setattr(module, "train", train)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert RunJob(config, 1, sys.argv)().startswith("perplexity ")
        assert len(tried) == 3
        with take_lease(run_folder(config)), pytest.raises(BeingRunError):
            RunJob({**config, "again": True}, 1, sys.argv)()
    finally:
        signal.signal(signal.SIGTERM, before)
