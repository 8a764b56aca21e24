"""A run is what its folder holds: renamed, moved, copied, reached by a relative path, every command takes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from cellwise.cli import main
from cellwise.sweep.compose import compose_config
from cellwise.training.train import train
from tests.training.cut_runs import LANGUAGE, MEMORY


@pytest.fixture(params=[MEMORY, LANGUAGE], ids=["memory", "language"])
def moved(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of two runs in another folder and under another name, by its path from here."""
    for seed in (0, 1):
        words = [*request.param, f"seed={seed}", f"runs_dir={tmp_path / 'before' / 'runs'}"]
        train(compose_config(words))
    (tmp_path / "after").mkdir()
    shutil.move(tmp_path / "before" / "runs" / "default", tmp_path / "after" / "renamed")
    shutil.rmtree(tmp_path / "before")
    monkeypatch.chdir(tmp_path / "after")
    return Path("renamed")


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``typed(*words)``: what a command prints that ends well."""

    def call(*words: str | Path) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    return call


def one_run(study: Path) -> Path:
    (run,) = study.glob("*/seed-1")
    return run


def test_every_command_takes_a_study_that_was_moved(moved: Path, typed: Callable[..., str]) -> None:
    run = one_run(moved)
    assert "2 runs: 2 finished" in typed("status", moved)
    assert "renamed/report.html" in typed("report", moved)
    assert "identical: " in typed("rerun", run)
    assert f"{run.parent.name}/seed-1 on test of data=" in typed("evaluate", run)
    typed("export", run, "--onnx", "layer.onnx")
    onnx.checker.check_model("layer.onnx")
    extended = Path(typed("extend", run, "--epochs", "3").splitlines()[-1].removeprefix("record: "))
    assert extended.resolve().parents[1] == moved.resolve() and extended.name == "seed-1"
    assert "identical: " in typed("rerun", extended)
    assert "3 finished runs" in typed("clean", moved)
    assert "identical: " in typed("rerun", run)


def test_every_command_takes_a_copy_of_one_run_beside_nothing(
    moved: Path, typed: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(one_run(moved), tmp_path / "alone" / "my_run")
    shutil.rmtree(moved)
    monkeypatch.chdir(tmp_path / "alone" / "my_run")
    for run in (".", "../my_run"):
        assert "identical: " in typed("rerun", run)
        assert " on valid of data=" in typed("evaluate", run, "--split", "valid")
        typed("export", run, "--onnx", "../layer.onnx")
    assert str(tmp_path / "alone" / "default") in typed("extend", ".", "--epochs", "3")
    assert "1 finished run\n" in typed("clean", ".")


def test_a_run_on_a_text_of_the_users_is_repeated_from_any_folder(
    tmp_path: Path, typed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text was given by a path from where the run was begun."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat .\n" * 40)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    small = ["task.batch_size=2", "task.steps=5", "network.hidden_size=4", "trainer.max_epochs=1", "trainer.threads=1"]
    typed("train", "data=text", "data.path=text.txt", *small)
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    (run,) = Path("runs").glob("*/*/seed-0")
    assert "identical: " in typed("rerun", run)
    assert "on test of data=text" in typed("evaluate", run)
