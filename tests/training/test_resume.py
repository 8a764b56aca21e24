"""A run that is cut off and started again ends with the very bits of one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cellwise.errors import CellwiseError
from cellwise.records.finished import is_finished
from cellwise.sweep.compose import compose_config
from cellwise.training.checkpoint import newest_sound, saved, step_of
from cellwise.training.module import TrainingModule
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
    "by_steps_alone": ("trainer.max_epochs=null", "trainer.max_steps=12", "trainer.validate_every_steps=3"),
    "without_epochs": ("trainer.max_epochs=null", "trainer.max_steps=12"),
}


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


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("words", [MEMORY, LANGUAGE], ids=["memory", "language"])
def test_cut_off_at_any_step_it_ends_with_the_same_bits(
    words: tuple[str, ...], moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str) -> dict[str, Any]:
        return compose_config([*words, *MOMENTS[moment], f"runs_dir={tmp_path / name}"])

    whole = bits(train(config("whole")).folder)
    last = max(row["step"] for row in whole[0])
    for step in range(1, last, 1 if words is MEMORY else 2):
        with monkeypatch.context() as patch:
            cut_before(patch, step)
            with pytest.raises(KeyboardInterrupt):
                train(config(f"cut_{step}"))
        folder = train(config(f"cut_{step}")).folder
        assert "goes on from step-" in (folder / "log.txt").read_text(), step
        assert bits(folder) == whole, step
        assert [step_of(path) for path in saved(folder / "checkpoints")] == [last]  # for more epochs


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


@pytest.mark.parametrize("killed_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_from_outside_it_ends_with_the_same_bits(tmp_path: Path, killed_by: signal.Signals) -> None:
    words = [*MEMORY, "trainer.max_epochs=15", "data.train_sequences=40"]
    whole = bits(train(compose_config([*words, f"runs_dir={tmp_path / 'whole'}"])).folder)
    command = [sys.executable, "-m", "cellwise.cli", "train", *words, f"runs_dir={tmp_path / 'runs'}"]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    while not list(tmp_path.glob("runs/*/*/seed-0/checkpoints/step-*")):
        assert started.poll() is None
        time.sleep(0.01)
    started.send_signal(killed_by)
    assert started.wait() != 0
    folder = folder_of(tmp_path)
    assert not is_finished(folder)
    subprocess.run(command, check=True, capture_output=True)
    assert "goes on from step-" in (folder / "log.txt").read_text()
    assert bits(folder) == whole
