"""Checkpoints of finished runs are removed when asked for, and of no others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cellwise.cli import main
from cellwise.records.clean import clean
from cellwise.records.lease import take_lease

Cleaner = Callable[..., str]


@pytest.fixture
def study(make_study: Callable[..., Path]) -> Path:
    """Two finished runs, of which each has 30 bytes of checkpoints."""
    folder = make_study("room", 2, ("lstm",))
    for run in folder.glob("*/seed-*"):
        (run / "checkpoints").mkdir()
        (run / "checkpoints" / "step-000000010-0123456789abcdef.ckpt").write_bytes(bytes(20))
        (run / "checkpoints" / "selected.pt").write_bytes(bytes(10))
    return folder


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Cleaner:
    """``typed(*words)``: what `cellwise clean` prints."""

    def call(*words: str | Path) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["clean", *map(str, words)])
        assert ended.value.code == 0
        return capsys.readouterr().out

    return call


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("checkpoints/*"))


def test_all_checkpoints_of_finished_runs_go_and_their_records_stay(study: Path, typed: Cleaner) -> None:
    before = {path: path.read_bytes() for path in study.glob("*/seed-*/*.*")}
    said = typed(study)
    assert "freed 60 bytes: 4 checkpoints of 2 finished runs" in said
    assert "extend, evaluate, export" in said and "rerun" in said
    assert files(study) == []
    assert {path: path.read_bytes() for path in study.glob("*/seed-*/*.*")} == before


def test_what_evaluation_and_export_need_is_kept_when_asked_for(study: Path, typed: Cleaner) -> None:
    said = typed(study, "--keep", "selected")
    assert "freed 40 bytes: 2 checkpoints of 2 finished runs" in said
    assert "evaluate" not in said and "extend" in said
    assert files(study) == ["selected.pt"] * 2


def test_a_dry_run_removes_nothing(study: Path, typed: Cleaner) -> None:
    assert "would free 60 bytes: 4 checkpoints of 2 finished runs" in typed(study, "--dry-run")
    assert len(files(study)) == 4


def test_one_run_alone(study: Path, typed: Cleaner) -> None:
    run, other = sorted(study.glob("*/seed-*"))
    assert "freed 30 bytes: 2 checkpoints of 1 finished run" in typed(run)
    assert len(files(other)) == 2 and files(run) == []


def test_unfinished_and_running_runs_are_left_alone_and_named(study: Path, typed: Cleaner) -> None:
    unfinished, running = sorted(study.glob("*/seed-*"))
    (unfinished / "summary.json").unlink()
    with take_lease(running):
        said = typed(study)
    assert "freed 0 bytes" in said
    assert f"{unfinished}: not finished" in said and f"{running}: is being run" in said
    assert len(files(study)) == 4


def test_a_run_that_is_begun_between_look_and_removal_keeps_its_checkpoints(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellwise.records.clean.is_being_run", lambda folder: False)
    running, _ = sorted(study.glob("*/seed-*"))
    with take_lease(running):
        cleaned = clean(study)
    assert cleaned.runs == 1 and len(files(running)) == 2 and cleaned.left == [f"{running}: is being run"]


def test_an_empty_folder_is_no_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["clean", str(tmp_path)])
    assert ended.value.code == 2 and "no runs in" in capsys.readouterr().err


def test_a_second_time_there_is_nothing_to_free(study: Path, typed: Cleaner) -> None:
    typed(study)
    assert "freed 0 bytes: 0 checkpoints of 0 finished runs" in typed(study)
    shutil.rmtree(next(study.glob("*/seed-*/checkpoints")))
    assert "freed 0 bytes" in typed(study)
