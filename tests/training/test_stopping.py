"""A run that is asked to stop finishes its step, keeps it, and says who asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from cellwise.records.finished import is_finished
from cellwise.sweep.compose import compose_config
from cellwise.training import stopping
from cellwise.training.module import TrainingModule
from cellwise.training.stopping import SIGNALS, StoppedError, stop_signals
from cellwise.training.train import train
from tests.training.cut_runs import MEMORY, SELDOM, bits, configured, folder_of, steps_of


def handlers() -> list[Any]:
    assert threading.current_thread() is threading.main_thread()
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_signal_stops_at_once_where_the_run_does_not_look(sent: signal.Signals) -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt, match=f"interrupted by {sent.name}") as stopped, stop_signals():
        os.kill(os.getpid(), sent)
    assert isinstance(stopped.value, StoppedError) and stopped.value.by == sent
    assert handlers() == before


def test_where_the_run_looks_the_first_signal_waits_for_it_and_the_second_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with stop_signals() as stop:
        stop.check()  # nobody asked
        stop.can_wait = True
        os.kill(os.getpid(), signal.SIGUSR2)
        assert stop.by == signal.SIGUSR2
        os.kill(os.getpid(), signal.SIGTERM)  # at once: a wrapper passes on what this process was sent already
        with pytest.raises(StoppedError):
            stop.check()
        monkeypatch.setattr(stopping, "_ONE_SECONDS", 0.0)
        with pytest.raises(StoppedError) as stopped:
            os.kill(os.getpid(), signal.SIGTERM)
        assert stopped.value.by == signal.SIGUSR2  # the first says why


def test_a_signal_that_the_process_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.by is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_no_handler_is_touched(tmp_path: Path) -> None:
    before, folders = handlers(), []
    words = [*MEMORY, "trainer.max_steps=2", f"runs_dir={tmp_path / 'runs'}"]
    thread = threading.Thread(target=lambda: folders.append(train(compose_config(words)).folder))
    thread.start()
    thread.join()
    assert is_finished(folders[0])
    assert handlers() == before


@pytest.mark.parametrize(
    ("asked", "at", "kept"),
    [(signal.SIGTERM, 3, [3]), (signal.SIGINT, 6, [6]), (signal.SIGUSR2, 8, [8]), (signal.SIGTERM, 5, [])],
)
def test_asked_to_stop_it_finishes_its_step_and_writes_a_checkpoint_unless_validation_comes_first(
    asked: signal.Signals, at: int, kept: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str) -> dict[str, Any]:
        return configured(tmp_path / name, *MEMORY, "trainer.max_steps=8", SELDOM)

    assert threading.current_thread() is threading.main_thread()
    whole = bits(train(config("whole")).folder)
    learn = TrainingModule.training_step
    finished: list[int] = []

    def ask(module: TrainingModule, batch: Any, batch_idx: int) -> Any:
        if module.global_step + 1 == at:
            os.kill(os.getpid(), asked)
        loss = learn(module, batch, batch_idx)
        finished.append(module.global_step + 1)
        return loss

    before = [signal.getsignal(number) for number in SIGNALS]
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", ask)
        with pytest.raises(StoppedError) as stopped:
            train(config("runs"))
    assert stopped.value.by == asked
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert finished == list(range(1, at + 1))
    folder = folder_of(tmp_path)
    assert steps_of(folder) == kept
    assert (f"stops at step {at} with a checkpoint: {asked.name}" in (folder / "log.txt").read_text()) is bool(kept)
    assert json.loads((folder / "run.json").read_text())["error"] == "interrupted"
    assert bits(train(config("runs")).folder) == whole


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], tuple[Any, ...]]:
    """The words of a run of one epoch of 200 steps, most of a second, and its bits when it is not cut off."""
    words = [*MEMORY, "trainer.max_epochs=1", "data.train_sequences=800", "trainer.log_every_steps=1"]
    return words, bits(train(configured(tmp_path_factory.mktemp("whole"), *words)).folder)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.slow),  # of which mirrors/test_wandb.py has one for every run
        signal.SIGTERM,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR2, marks=pytest.mark.slow),
    ],
)
def test_stopped_from_outside_it_ends_with_the_same_bits(
    sent: signal.Signals, long_run: tuple[list[str], tuple[Any, ...]], tmp_path: Path
) -> None:
    """To the run's whole group, as a terminal does it; its workers go with it."""
    words, whole = [*long_run[0], f"runs_dir={tmp_path / 'runs'}"], long_run[1]
    killed = sent == signal.SIGKILL
    how = ["trainer.data_workers=2", *([] if killed else [SELDOM])]
    command = [sys.executable, "-m", "cellwise.cli", "train", *words, *how]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not any(path.read_text().count("\n") > 5 for path in tmp_path.glob("runs/*/*/seed-0/metrics.jsonl")):
        assert started.poll() is None
        time.sleep(0.01)
    workers = psutil.Process(started.pid).children()
    assert len(workers) == 2
    started.send_signal(sent) if killed else os.killpg(started.pid, sent)
    _, said = started.communicate()
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    folder = folder_of(tmp_path)
    assert not is_finished(folder)
    if not killed:
        assert started.returncode == 130
        assert said == "cellwise: interrupted; finished runs are kept, the same command runs the others\n"
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert steps_of(folder) == [rows[-1]["step"]]
    assert bits(train(compose_config(words)).folder) == whole
    assert "goes on from step-" in (folder / "log.txt").read_text()
