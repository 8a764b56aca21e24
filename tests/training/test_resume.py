"""A run that is cut off and started again ends with the very bits of one that was not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.training.checkpoint import newest_sound, saved, step_of
from cellwise.training.module import TrainingModule
from cellwise.training.train import train
from tests.training.cut_runs import (
    LANGUAGE,
    MEMORY,
    NOWCASTING,
    bits,
    configured,
    cut_before,
    folder_of,
    steps_of,
)

MOMENTS = {  # by how validation lies: at an epoch's end, within epochs and across them, and a last step within one
    "by_epochs": (),
    "by_steps": ("trainer.validate_every_steps=2",),
    "mid_epoch_end": ("trainer.max_steps=8",),
    "by_steps_alone": ("trainer.max_epochs=null", "trainer.max_steps=12", "trainer.validate_every_steps=3"),
    "without_epochs": ("trainer.max_epochs=null", "trainer.max_steps=12"),
}
LAST_STEP = {"mid_epoch_end": 7, "by_steps_alone": 11, "without_epochs": 11}
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
        return configured(tmp_path / name, *words, *changes)

    whole = bits(train(config("whole")).folder)
    for step in steps:
        with monkeypatch.context() as patch:
            cut_before(patch, step)
            with pytest.raises(KeyboardInterrupt):
                train(config(f"cut_{step}", *cut))
        folder = train(config(f"cut_{step}", *resumed)).folder
        assert "goes on from step-" in (folder / "log.txt").read_text(), step
        assert bits(folder) == whole, step
        kept = [] if "trainer.patience=2" in words else [whole[0][-1]["step"]]  # of the last step, for more epochs
        assert [step_of(path) for path in saved(folder / "checkpoints")] == kept
    return whole


@pytest.mark.parametrize("moment", MOMENTS)
def test_cut_off_at_any_step_it_ends_with_the_same_bits(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_alike((*MEMORY, *MOMENTS[moment]), range(1, LAST_STEP.get(moment, 9) + 1), tmp_path, monkeypatch)


# Validation lies with the trainer, not with the task: one moment by epochs and one without them.
OF_LANGUAGE = [pytest.param(m, marks=[] if m in ("by_epochs", "without_epochs") else pytest.mark.slow) for m in MOMENTS]


@pytest.mark.parametrize("moment", OF_LANGUAGE)
def test_so_does_a_run_that_carries_state(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_alike((*LANGUAGE, *MOMENTS[moment]), range(1, LAST_STEP.get(moment, 9) + 1, 2), tmp_path, monkeypatch)


def test_where_every_epoch_sees_new_examples_it_ends_with_the_same_bits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_alike((*NOWCASTING, "trainer.validate_every_steps=3"), (2, 4, 6, 8), tmp_path, monkeypatch)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_with_every_schedule_and_optimiser_too(schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, *_ = ends_alike((*MEMORY, *SCHEDULES[schedule]), (3, 7), tmp_path, monkeypatch)
    rates = [row["learning_rate"] for row in rows if "learning_rate" in row]
    assert (len(set(rates)) > 1) is (schedule not in ("adamw", "nesterov"))  # the schedule did something


@pytest.mark.parametrize(
    ("words", "cut", "resumed"),
    [(MEMORY, 2, 0), (LANGUAGE, 0, 2), (NOWCASTING, 2, 0)],
    ids=["before", "after", "nowcasting"],
)
def test_with_data_workers_before_or_after_and_not_both(
    words: tuple[str, ...], cut: int, resumed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = ((f"trainer.data_workers={cut}",), (f"trainer.data_workers={resumed}",))
    ends_alike(words, (3, 5), tmp_path, monkeypatch, cut=workers[0], resumed=workers[1])


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
        return configured(tmp_path / name, *MEMORY, *EARLY)

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
        return configured(tmp_path / name, *MEMORY)

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
        return configured(tmp_path / "runs", *MEMORY, *changes)

    with monkeypatch.context() as patch:
        cut_before(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            train(build())
    return build


def test_the_last_two_checkpoints_are_kept(cut_run: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    steps = steps_of(folder_of(tmp_path))
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
