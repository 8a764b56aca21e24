"""`cellwise status` says of every run of a study where it stands, also of one whose process is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.cli import main
from cellwise.records.lease import take_lease
from cellwise.records.planned import read_plan, write_plan
from cellwise.report.terminal.status import status_lines


@pytest.fixture
def troubled(make_study: Callable[..., Path]) -> Path:
    """Two finished runs, one that failed, one that was cut off, one under way, and one that is only planned."""
    folder = make_study("study", 5, ("gru",))
    (configuration,) = folder.iterdir()
    for seed, changes in (
        (2, {"status": "failed", "error": "AssertionError: no"}),
        (3, {"status": "running"}),
        (4, {"status": "running"}),
    ):
        run = configuration / f"seed-{seed}"
        (run / "summary.json").unlink()
        path = run / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "error": None, **changes}))
        (run / "metrics.jsonl").write_text(
            '{"step": 1200}\n{"step": 1300, "validation_mse": 0.25}\n{"step": 1340}\n{"st'
        )
    write_plan([*configuration.glob("seed-*"), folder / "lstm-00000000" / "seed-0"])
    return folder


def test_every_state_is_counted_and_what_is_not_well_is_told(troubled: Path) -> None:
    (configuration,) = troubled.glob("gru-*")
    with take_lease(configuration / "seed-4"):
        assert status_lines(troubled) == [
            f"{troubled}: 6 runs: 1 running, 1 failed, 1 cut off, 2 finished, 1 waiting",
            "running   gru seed 4: step 1,340, validation_mse 0.25",
            "failed    gru seed 2: AssertionError: no",
            "cut off   gru seed 3: step 1,340, validation_mse 0.25",
            "(failed: the same command tries them again)",
            "(cut off: the same command goes on with them)",
            "(waiting: planned, not begun)",
        ]


def test_a_plan_grows_with_what_is_asked_for_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    runs = [tmp_path / "study" / f"gru-0000000{number}" / "seed-0" for number in range(3)]
    write_plan(runs[:2])
    write_plan(runs[1:])
    assert read_plan(tmp_path / "study") == [f"gru-0000000{number}/seed-0" for number in range(3)]
    assert status_lines(tmp_path / "study")[0].endswith("3 runs: 3 waiting")
    (tmp_path / "study" / "plan.json").write_text('{"runs": [1, ')
    assert read_plan(tmp_path / "study") == []


def test_a_sweep_leaves_its_plan(tiny_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: Any) -> str:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        assert ended.value.code == 0
        return capsys.readouterr().out

    said("train", "-m", *tiny_words, "study=mine", "cell=rnn,gru")
    assert said("status", tmp_path / "runs" / "mine").splitlines() == [
        f"{tmp_path / 'runs' / 'mine'}: 2 runs: 2 finished"
    ]


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", str(tmp_path / "none")])
    assert ended.value.code == 2
    assert "no such folder" in capsys.readouterr().err
