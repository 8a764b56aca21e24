"""A run is repeated from its record alone; a number that differs is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.cli import main
from cellwise.errors import CellwiseError
from cellwise.training.rerun import rerun
from cellwise.training.train import train

Tiny = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tiny: Tiny) -> Path:
    return train(tiny("network.dropout=0.3", "trainer.threads=1", "trainer.log_every_steps=1")).folder


def test_a_run_is_repeated_bit_by_bit(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    repeated = rerun(run)
    assert repeated == (None, [], len((run / "metrics.jsonl").read_text().splitlines()))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_that_was_moved_is_repeated_too(run: Path, tmp_path: Path) -> None:
    shutil.move(run, tmp_path / "elsewhere")
    assert rerun(tmp_path / "elsewhere").difference is None


def test_the_first_number_that_differs_is_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["train_nll_nats"] += 1e-9
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SystemExit) as ended:
        main(["rerun", str(run)])
    assert ended.value.code == 1
    assert f"is not repeated: step {rows[1]['step']}: train_nll_nats was" in capsys.readouterr().err


def test_what_changed_of_the_environment_is_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "run.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "versions": {**info["versions"], "torch": "1.0"}, "code_sha256": "0"}))
    with pytest.raises(SystemExit) as ended:
        main(["rerun", str(run)])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "changed since: cellwise's own code, torch (1.0, now " in told and "identical: " in told


def test_a_run_that_is_not_finished_is_refused(run: Path) -> None:
    (run / "summary.json").unlink()
    with pytest.raises(CellwiseError, match="is not a finished run"):
        rerun(run)
    with pytest.raises(CellwiseError, match="no run in"):
        rerun(run.parent)
