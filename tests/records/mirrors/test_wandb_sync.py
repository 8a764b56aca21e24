"""The line that is printed is what to type: the shell makes of it the runs that wait to be uploaded, and no others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cellwise.cli import main
from cellwise.records.mirrors.wandb_sync import sync_command
from tests.records.mirrors.leet import WANDB, offline_run


def offline(run: Path, *, synced: bool = False) -> Path:
    """What W&B leaves of an offline run, as far as its names go."""
    folder = run / "wandb" / "offline-run-20261120_100000-abc"
    folder.mkdir(parents=True)
    (folder / "run-abc.wandb").touch()
    if synced:
        (folder / "run-abc.wandb.synced").touch()
    return folder


def meant(command: str | None, cwd: Path) -> list[str]:
    """What the shell makes of a command's arguments."""
    assert command is not None
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {command.removeprefix('wandb sync ')}"],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=True,
    )
    return sorted(done.stdout.splitlines())


def test_several_runs_are_one_pattern_that_leaves_out_what_was_set_aside(tmp_path: Path) -> None:
    study = tmp_path / "my runs" / "made up"
    runs = [study / f"{cell}-0123abcd" / f"seed-{seed}" for cell in ("lstm", "gru") for seed in (0, 11)]
    folders = [offline(run) for run in runs]
    offline(study / "gru-0123abcd" / "seed-0.replaced-1")
    command = sync_command(runs)
    assert command is not None
    assert command.count("offline-run-*") == 2
    assert meant(command, tmp_path) == sorted(map(str, folders))


def test_one_run_is_its_own_path_and_none_is_nothing(tmp_path: Path) -> None:
    run = tmp_path / "it's" / "lstm-0123abcd" / "seed-0"
    assert sync_command([run]) is None
    folder = offline(run)
    other = tmp_path / "it's" / "gru-0123abcd" / "seed-0"
    offline(other, synced=True)
    assert meant(sync_command([run, other]), tmp_path) == [str(folder)]
    assert sync_command([other]) is None


@pytest.mark.parametrize("multirun", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_command_prints_it_once_and_wandb_takes_it(
    multirun: bool,
    tiny_words: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    many = ["-m", "seed=0,1"] if multirun else []
    with pytest.raises(SystemExit) as end:
        main(["train", *tiny_words, *many, "logger=[wandb,csv]", "study=mine"])
    assert end.value.code == 0
    [line] = [line for line in capfd.readouterr().out.splitlines() if "wandb sync" in line]
    assert line.startswith("W&B: offline; to upload: wandb sync ")
    command = line.removeprefix("W&B: offline; to upload: wandb sync ")
    done = subprocess.run(["bash", "-c", f"{WANDB} sync --dry-run {command}"], capture_output=True, text=True)
    runs = list((tmp_path / "runs" / "mine").glob("*/seed-*"))
    assert len(runs) == 1 + multirun
    assert f"Would sync {len(runs)} run(s)" in done.stderr
    assert all(offline_run(run).name in done.stderr for run in runs)


def test_without_wandb_nothing_is_said(tiny_words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", *tiny_words, "logger=csv"])
    assert "wandb sync" not in capfd.readouterr().out
