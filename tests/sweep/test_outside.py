"""A cell and a text of the user's own train end to end from another folder, as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXT = "the cat sat on the mat . the dog ran to the barn .\n" * 60


def typed(folder: Path, *words: str) -> str:
    """Type `cellwise ...` in a folder and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "cellwise.cli", *words], cwd=folder, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def elsewhere(tmp_path: Path, write_cell: Callable[..., Path]) -> Path:
    """A working folder with a module of cells, a package of cells, and texts of the user's own."""
    folder = tmp_path / "elsewhere"
    (folder / "mine").mkdir(parents=True)
    write_cell("leaky_module").rename(folder / "my_cells.py")
    write_cell("leaky_package").rename(folder / "mine" / "cells.py")
    (folder / "texts").mkdir()
    for split, lines in (("train", 60), ("valid", 10), ("test", 12)):
        (folder / "texts" / f"{split}.txt").write_text("a b c d e f g .\n" * lines)
    (folder / "text.txt").write_text(TEXT)
    return folder


SMALL = ("trainer=smoke", "network.hidden_size=4", "task.batch_size=2", "task.steps=5", "trainer.threads=1")


def test_an_outside_cell_trains_on_an_outside_text_from_another_folder(elsewhere: Path) -> None:
    """A module of the working folder and a file by its path, one text as a file, and a sweep over both cells."""
    out = typed(
        elsewhere,
        *("train", "-m", "cell=leaky_module,leaky_package,gru", "cell_modules=[my_cells,mine/cells.py]"),
        *("data=text", "data.path=text.txt", "study=outside", *SMALL),
    )
    assert sum(line.startswith("finished ") for line in out.splitlines()) == 3
    summaries = [
        json.loads(path.read_text()) for path in (elsewhere / "runs" / "outside").glob("*/seed-0/summary.json")
    ]
    assert sorted(summary["cell"] for summary in summaries) == ["gru", "leaky_module", "leaky_package"]
    assert len({json.dumps(summary["floors"]) for summary in summaries}) == 1
    assert (elsewhere / "runs" / "outside" / "report.html").exists()
    assert sorted(path.name for path in elsewhere.iterdir() if path.name != "__pycache__") == [
        *("mine", "my_cells.py", "runs", "text.txt", "texts")
    ]  # no folders of Hydra or Lightning


def test_a_folder_of_texts_is_read_by_its_path_and_characters_are_modelled(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cellwise.cli import main

    monkeypatch.chdir(elsewhere)
    with pytest.raises(SystemExit) as ended:
        main(["train", "cell=leaky_module", "cell_modules=[my_cells.py]", "cell.leak=0.1", "data=text",
              "data.path=texts", "task.level=character", *SMALL])  # fmt: skip
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("leaky_module seed 0: bits_per_character ")
    [folder] = (elsewhere / "runs" / "default").glob("leaky_module-*/seed-0")
    said: dict[str, Any] = json.loads((folder / "run.json").read_text())
    assert sorted(said["data"]) == ["test.txt", "train.txt", "valid.txt"]
    assert said["engine"] == "reference"
    assert "leak: 0.1" in (folder / "config.yaml").read_text()
