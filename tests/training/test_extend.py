"""A finished run that is extended ends with the very bits of one that was trained that long from the start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cellwise.cli import main
from cellwise.errors import CellwiseError
from cellwise.records.schema import RunInfo
from cellwise.sweep.compose import compose_config
from cellwise.training.checkpoint import saved, step_of
from cellwise.training.extend import extend
from cellwise.training.train import train
from tests.training.cut_runs import LANGUAGE, MEMORY, bits, configured, cut_before

# By how the shorter run ends and how validation lies, what is asked for, and what that means from the start; an epoch
# has 5 steps in memory, 6 in language. Dropout is on in both, and carried state and decay in language.
LENGTHS: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "epochs": ((), {"epochs": 4}, "trainer.max_epochs=4"),
    "validated_by_steps": (("trainer.validate_every_steps=4",), {"epochs": 4}, "trainer.max_epochs=4"),
    "validated_at_the_last_step": (("trainer.validate_every_steps=2",), {"epochs": 3}, "trainer.max_epochs=3"),
    "within_an_epoch": (("trainer.max_steps=8", "trainer.max_epochs=null"), {"steps": 13}, "trainer.max_steps=13"),
    "within_the_same_epoch": (("trainer.max_steps=7",), {"steps": 8}, "trainer.max_steps=8"),
    "steps_at_an_epochs_end": (
        ("trainer.max_steps=30", "trainer.max_epochs=null", "trainer.validate_every_steps=7"),
        {"steps": 33},
        "trainer.max_steps=33",
    ),
    "plateau": (
        ("optim.schedule=plateau", "optim.plateau_patience=1", "optim.decay_after_epochs=null", "trainer.patience=9"),
        {"epochs": 4},
        "trainer.max_epochs=4",
    ),
    "steps_to_epochs": (
        ("trainer.max_steps=8", "trainer.validate_every_steps=3"),
        {"steps": 100, "epochs": 4},
        "trainer.max_epochs=4 trainer.max_steps=100",
    ),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_an_extended_run_has_the_bits_of_one_that_long_from_the_start(name: str, tmp_path: Path) -> None:
    ends_alike(MEMORY, *LENGTHS[name], tmp_path)


# How a run ends lies with the trainer, not with the task.
CARRIED = [pytest.param(n, marks=[] if n in ("epochs", "within_an_epoch") else pytest.mark.slow) for n in LENGTHS]


@pytest.mark.parametrize("name", CARRIED)
def test_so_has_one_that_carries_state(name: str, tmp_path: Path) -> None:
    ends_alike(LANGUAGE, *LENGTHS[name], tmp_path)


@pytest.mark.slow
def test_an_extended_run_of_two_processes_too(tmp_path: Path) -> None:
    ends_alike(MEMORY, ("trainer.devices=2",), {"epochs": 3}, "trainer.max_epochs=3", tmp_path)


def ends_alike(
    words: tuple[str, ...], shorter: tuple[str, ...], longer: dict[str, Any], same: str, tmp_path: Path
) -> None:
    """A shorter run that is extended, against one that was that long from the start."""

    def config(place: str, *more: str) -> dict[str, Any]:
        return configured(place, *words, *shorter, *more, "trainer.checkpoint_every_seconds=60")

    whole = train(config(str(tmp_path / "whole"), *same.split())).folder
    short = train(config(str(tmp_path / "short"))).folder
    before = {path: path.read_bytes() for path in short.rglob("*") if path.is_file()}
    extended = extend(short, **longer)
    assert not extended.skipped
    assert bits(extended.folder) == bits(whole)
    assert extended.folder == tmp_path / "short" / whole.relative_to(tmp_path / "whole")
    info = RunInfo.from_dict(json.loads((extended.folder / "run.json").read_text()))
    assert info.extended_from == f"{short.parent.name}/{short.name}"
    assert {path: path.read_bytes() for path in short.rglob("*") if path.is_file()} == before
    assert extend(short, **longer).skipped


def test_the_weights_that_only_the_last_validation_of_the_shorter_run_selected_are_not_the_longer_ones(
    tmp_path: Path,
) -> None:
    """A run that ends within an epoch is validated once more, which one that goes on there is not."""

    def config(place: str, steps: int) -> dict[str, Any]:
        words = [*MEMORY, "trainer.max_epochs=null", "trainer.validate_every_steps=5", f"runs_dir={tmp_path / place}"]
        # At this rate the loss rises from the first validation on but for the extra one.
        return compose_config([*words, f"trainer.max_steps={steps}", "optim.learning_rate=0.05"])

    short = train(config("short", 8)).folder
    assert json.loads((short / "summary.json").read_text())["selected_step"] == 8
    whole = train(config("whole", 9)).folder
    assert bits(extend(short, steps=9).folder) == bits(whole)


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A finished run of two epochs of five steps."""
    return train(configured(tmp_path / "runs", *MEMORY)).folder


def test_cut_off_before_or_after_its_first_checkpoint_the_same_command_goes_on(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(configured(tmp_path / "whole", *MEMORY, "trainer.max_epochs=4")).folder
    for step in (10, 13):
        with monkeypatch.context() as patch:
            cut_before(patch, step)
            with pytest.raises(KeyboardInterrupt):
                extend(short, epochs=4)
    extended = extend(short, epochs=4).folder
    assert bits(extended) == bits(whole)
    log = (extended / "log.txt").read_text()
    assert "goes on from step-000000010" in log and "goes on from step-000000013" in log
    assert json.loads((extended / "run.json").read_text())["extended_from"] == f"{short.parent.name}/seed-0"


def test_an_extended_run_is_extended_again(short: Path, tmp_path: Path) -> None:
    whole = train(configured(tmp_path / "whole", *MEMORY, "trainer.max_epochs=4")).folder
    assert bits(extend(extend(short, epochs=3).folder, epochs=4).folder) == bits(whole)


def test_of_a_run_that_was_moved_the_longer_one_lies_in_the_study_where_it_is_now(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(configured(tmp_path / "whole", *MEMORY, "trainer.max_epochs=3")).folder
    shutil.move(short.parents[1], tmp_path / "elsewhere" / "renamed")
    monkeypatch.chdir(tmp_path / "elsewhere" / "renamed" / short.parent.name)
    extended = extend(Path("seed-0"), epochs=3).folder
    assert extended == tmp_path / "elsewhere" / "renamed" / whole.parent.name / "seed-0"
    assert bits(extended) == bits(whole)
    shutil.copytree("seed-0", tmp_path / "alone" / "copy")
    monkeypatch.chdir(tmp_path / "alone")
    assert extend(Path("copy"), epochs=3).folder == tmp_path / "alone" / "default" / whole.parent.name / "seed-0"


def test_a_finished_run_keeps_the_checkpoint_of_its_last_step_alone(short: Path) -> None:
    assert [step_of(path) for path in saved(short / "checkpoints")] == [10]


def refused(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> str:
    """What the command line says to an extension, in one line."""
    with pytest.raises(SystemExit) as ended:
        main(["extend", str(run), *words])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_is_no_longer_run_is_refused(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--epochs N" in refused(capsys, short)
    for epochs in (1, 2):
        assert "has trainer.max_epochs=2; --epochs counts in all" in refused(capsys, short, "--epochs", str(epochs))
    assert "has 10 steps, 5 an epoch" in refused(capsys, short, "--steps", "20")  # two epochs end it before
    (short / "summary.json").unlink()
    assert "is not a finished run" in refused(capsys, short, "--epochs", "3")


def test_a_run_without_its_last_checkpoint_is_refused(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in saved(short / "checkpoints"):
        path.unlink()
    assert "`cellwise clean` removed it" in refused(capsys, short, "--epochs", "3")
    words = [*MEMORY, "trainer.checkpoint_every_seconds=null", f"runs_dir={short.parents[2] / 'never'}"]
    never = train(compose_config(words))
    assert saved(never.folder / "checkpoints") == []
    assert "trainer.checkpoint_every_seconds=null" in refused(capsys, never.folder, "--epochs", "3")


def test_a_run_that_stopped_early_is_refused_for_a_longer_one_would_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # At a rate of 0 no validation is better than the first.
    words = [*MEMORY, "trainer.max_epochs=9", "trainer.patience=2", "optim.learning_rate=0"]
    run = train(configured(tmp_path / "runs", *words)).folder
    assert "stopped early at step 15, by trainer.patience=2" in refused(capsys, run, "--epochs", "10")


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_rate_that_depends_on_the_length_is_refused(
    schedule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(configured(tmp_path / "runs", *MEMORY, f"optim.schedule={schedule}")).folder
    assert f"optim.schedule={schedule}" in refused(capsys, run, "--epochs", "3")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("code_sha256", "0", "cellwise's own code"),
        ("versions", {"torch": "1.0"}, "torch (1.0, now "),
        ("data", {"adding/train": "0"}, "the data adding/train"),
    ],
)
def test_what_changes_bits_is_refused(
    short: Path, capsys: pytest.CaptureFixture[str], key: str, value: Any, told: str
) -> None:
    path = short / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert told in refused(capsys, short, "--epochs", "3")
    assert list(short.parents[1].glob("*/seed-*")) == [short]  # nothing was begun


def test_the_number_of_threads_is_the_shorter_runs(tmp_path: Path) -> None:
    words = [*MEMORY, "trainer.threads=null", f"runs_dir={tmp_path / 'runs'}"]
    extended = extend(train(compose_config(words), threads=1).folder, epochs=3).folder
    assert json.loads((extended / "run.json").read_text())["threads"] == 1


def test_rows_that_are_gone_are_told(short: Path) -> None:
    (short / "metrics.jsonl").write_text("")
    with pytest.raises(CellwiseError, match=r"metrics.jsonl is damaged"):
        extend(short, epochs=3)
