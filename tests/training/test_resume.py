"""A run that is cut off and started again ends with the very bits of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from cellwise.errors import CellwiseError
from cellwise.records.finished import is_finished
from cellwise.sweep.compose import compose_config
from cellwise.training.checkpoint import newest_sound, saved
from cellwise.training.module import TrainingModule
from cellwise.training.stopping import SIGNALS, StoppedError
from cellwise.training.train import train

COMMON = (
    *("network.hidden_size=4", "network.num_layers=2", "network.dropout=0.3", "network.layer.zoneout=0.1"),
    *("trainer.max_epochs=2", "trainer.threads=1", "trainer.log_every_steps=3", "trainer.checkpoint_every_seconds=0"),
)
MEMORY = (
    *("task=memory", "data.length=4", "data.train_sequences=20", "data.valid_sequences=8", "data.test_sequences=8"),
    *("task.batch_size=4", "cell=peephole_lstm", *COMMON),
)
LANGUAGE = (
    *("task=language", "task.batch_size=4", "task.steps=5", "data.train_tokens=120", "data.valid_tokens=40"),
    *("data.test_tokens=40", "cell=gru", "optim=sgd", "optim.decay_after_epochs=1", *COMMON),
)
MOMENTS = {  # by how validation lies: at an epoch's end, within epochs and across them, and a last step within one
    "by_epochs": (),
    "by_steps": ("trainer.validate_every_steps=2",),
    "mid_epoch_end": ("trainer.max_steps=8",),
}
SCHEDULES = {
    "decay": ("optim.decay_after_epochs=1",),
    "cosine": ("optim.schedule=cosine", "optim.warmup_steps=3"),
    "linear": ("optim.schedule=linear", "optim.final_fraction=0.1"),
    "plateau": (
        *("optim.schedule=plateau", "optim.plateau_patience=2", "optim.learning_rate=0.5"),
        *("trainer.validate_every_steps=1", "trainer.log_every_steps=1"),
    ),
    "adamw": ("optim=adamw",),
    "nesterov": ("optim=sgd", "optim.momentum=0.9", "optim.nesterov=true", "optim.decay_after_epochs=null"),
}
# A rate so high that validation is never as good again as after four steps: it stops after eight of ten.
EARLY = ("trainer.validate_every_steps=2", "trainer.patience=2", "optim.learning_rate=3")
SELDOM = "trainer.checkpoint_every_seconds=1000"


def bits(folder: Path) -> tuple[Any, ...]:
    """All that a run left but the times: rows, summary, selected weights."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    for measured in ("train_seconds", "throughput", "peak_memory_bytes"):
        del summary[measured]
    weights = torch.load(folder / "checkpoints" / "selected.pt", weights_only=True)
    untimed = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
    return untimed, summary, {name: value.tolist() for name, value in weights.items()}


def cut_before(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the next training stop before it takes a step, once."""
    right, waiting = TrainingModule.on_train_batch_start, [step]

    def stop(module: TrainingModule, batch: Any, batch_idx: int) -> None:
        if waiting and module.global_step == waiting[0]:
            waiting.clear()
            raise KeyboardInterrupt
        right(module, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", stop)


def ends_alike(
    words: Sequence[str],
    steps: Iterable[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cut: Sequence[str] = (),
    resumed: Sequence[str] = (),
) -> tuple[Any, ...]:
    """Cut a run before each of the steps and let it go on, with changes that must not matter; returns its bits."""

    def config(name: str, *changes: str) -> dict[str, Any]:
        return compose_config([*words, *changes, f"runs_dir={tmp_path / name}"])

    whole = bits(train(config("whole")).folder)
    for step in steps:
        with monkeypatch.context() as patch:
            cut_before(patch, step)
            with pytest.raises(KeyboardInterrupt):
                train(config(f"cut_{step}", *cut))
        folder = train(config(f"cut_{step}", *resumed)).folder
        assert "goes on from step-" in (folder / "log.txt").read_text(), step
        assert bits(folder) == whole, step
        assert saved(folder / "checkpoints") == []  # a finished run needs none
    return whole


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("words", [MEMORY, LANGUAGE], ids=["memory", "language"])
def test_cut_off_at_any_step_it_ends_with_the_same_bits(
    words: tuple[str, ...], moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = 7 if moment == "mid_epoch_end" else 9
    ends_alike((*words, *MOMENTS[moment]), range(1, last + 1, 1 if words is MEMORY else 2), tmp_path, monkeypatch)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_with_every_schedule_and_optimiser_too(schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, *_ = ends_alike((*MEMORY, *SCHEDULES[schedule]), (3, 7), tmp_path, monkeypatch)
    rates = [row["learning_rate"] for row in rows if "learning_rate" in row]
    assert (len(set(rates)) > 1) is (schedule not in ("adamw", "nesterov"))  # the schedule did something


@pytest.mark.parametrize(("cut", "resumed"), [(2, 0), (0, 2)])
def test_with_data_workers_before_and_after_or_not(
    cut: int, resumed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = ((f"trainer.data_workers={cut}",), (f"trainer.data_workers={resumed}",))
    for name, words in (("memory", MEMORY), ("language", LANGUAGE)):
        ends_alike(words, (3, 5), tmp_path / name, monkeypatch, cut=workers[0], resumed=workers[1])


def test_a_run_that_stops_early_is_cut_off_before_its_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, summary, _ = ends_alike((*MEMORY, *EARLY), range(1, 8), tmp_path, monkeypatch)
    assert [row["step"] for row in rows if "validation_mse" in row] == [2, 4, 6, 8]
    assert [row["step"] for row in rows if "train_mse" in row] == [3, 6, 8]
    assert summary["selected_step"] == 4


@pytest.mark.parametrize("hook", ["on_validation_end", "on_test_epoch_end"], ids=["at", "after"])
def test_a_run_that_stops_early_is_cut_off_at_its_decision_and_after_it(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str) -> dict[str, Any]:
        return compose_config([*MEMORY, *EARLY, f"runs_dir={tmp_path / name}"])

    whole = bits(train(config("whole")).folder)
    right = getattr(TrainingModule, hook)

    def cut(module: TrainingModule) -> None:
        if module.patience.is_lost():
            raise KeyboardInterrupt
        right(module)

    steps: list[int] = []

    def count(module: TrainingModule, batch: Any, batch_idx: int) -> Any:
        steps.append(module.global_step)
        return learn(module, batch, batch_idx)

    learn = TrainingModule.training_step
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, hook, cut)
        with pytest.raises(KeyboardInterrupt):
            train(config("cut"))
    monkeypatch.setattr(TrainingModule, "training_step", count)
    assert bits(train(config("cut")).folder) == whole
    # Before the checkpoint it decides again, from the one before the validation; after it, it takes no step more.
    assert steps == ([7] if hook == "on_validation_end" else [])


def test_cut_off_twice_and_in_the_test_pass_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def config(name: str) -> dict[str, Any]:
        return compose_config([*MEMORY, f"runs_dir={tmp_path / name}"])

    whole = bits(train(config("whole")).folder)
    for step in (2, 7):
        with monkeypatch.context() as patch:
            cut_before(patch, step)
            with pytest.raises(KeyboardInterrupt):
                train(config("cut"))
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_test_epoch_end", lambda module: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config("cut"))
    assert bits(train(config("cut")).folder) == whole


@pytest.fixture
def cut_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The configuration of a run that was cut off before step 6."""

    def build(*changes: str) -> dict[str, Any]:
        return compose_config([*MEMORY, f"runs_dir={tmp_path / 'runs'}", *changes])

    with monkeypatch.context() as patch:
        cut_before(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            train(build())
    return build


def folder_of(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "runs").glob("*/*/seed-0")
    return folder


def test_the_last_two_checkpoints_are_kept(cut_run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    steps = [int(path.name.split("-")[1]) for path in saved(folder_of(tmp_path) / "checkpoints")]
    assert len(steps) == 2 and steps == sorted(steps)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    cut_run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    older, newer = saved(folder_of(tmp_path) / "checkpoints")
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    newer.write_bytes(bytes(content))
    assert newest_sound(newer.parent) == older
    newer.write_bytes(newer.read_bytes()[:100])
    assert newest_sound(newer.parent) == older
    folder = train(cut_run()).folder
    assert f"goes on from {older.name}" in (folder / "log.txt").read_text()


def test_again_starts_over(cut_run: Callable[..., dict[str, Any]]) -> None:
    folder = train(cut_run("again=true")).folder
    assert "goes on" not in (folder / "log.txt").read_text().splitlines()[-1]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("code_sha256", "0", "cellwise's own code"),
        ("device", "another", "the device"),
        ("versions", {"torch": "1.0"}, "torch (1.0, now "),
    ],
)
def test_what_changes_bits_is_refused(
    cut_run: Callable[..., dict[str, Any]], tmp_path: Path, key: str, value: Any, told: str
) -> None:
    path = folder_of(tmp_path) / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CellwiseError) as error:
        train(cut_run())
    assert told in str(error.value) and "again=true" in str(error.value)
    assert len(saved(path.parent / "checkpoints")) == 2  # nothing is lost


def test_another_number_of_threads_is_refused_when_asked_for_and_else_the_old_one_is_taken(
    cut_run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(CellwiseError, match=r"the number of threads \(1, now 2\)"):
        train(cut_run("trainer.threads=2"))
    folder = train(cut_run("trainer.threads=null")).folder
    assert json.loads((folder / "run.json").read_text())["threads"] == 1


def steps_of(folder: Path) -> list[int]:
    return [int(path.name.split("-")[1]) for path in saved(folder / "checkpoints")]


@pytest.mark.parametrize(
    ("asked", "at", "kept"),
    [(signal.SIGTERM, 3, [3]), (signal.SIGINT, 6, [6]), (signal.SIGUSR2, 8, [8]), (signal.SIGTERM, 5, [])],
)
def test_asked_to_stop_it_finishes_its_step_and_writes_a_checkpoint_unless_validation_comes_first(
    asked: signal.Signals, at: int, kept: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str) -> dict[str, Any]:
        return compose_config([*MEMORY, "trainer.max_steps=8", SELDOM, f"runs_dir={tmp_path / name}"])

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
    return words, bits(train(compose_config([*words, f"runs_dir={tmp_path_factory.mktemp('whole')}"])).folder)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
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
