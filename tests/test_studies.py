"""A study of two phases, from the command line to its comparison: resumed, shared, with failures, pruned, a grid."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cellwise.cli import main
from cellwise.records.tuning import read_tuning

STUDY = """
question: Which?
overrides:
  - task=memory
  - network.hidden_size=4
  - data.length=4
  - data.train_sequences=200
  - data.valid_sequences=20
  - data.test_sequences=20
  - task.batch_size=10
  - trainer.max_steps=4
  - trainer.validate_every_steps=2
  - trainer.threads=1
sweep:
  cell: [rnn, gru]
tune:
  sampler: random
  trials: 3
  space:
    optim.learning_rate: {low: 1e-4, high: 1e-1, log: true}
confirm:
  seeds: [10, 11]
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a study `mine`."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "runs" / "mine" / "tuning" / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def told(out: str, status: str) -> list[str]:
    """Which runs have a line that begins with a status."""
    return sorted(" ".join(line.split()[1:4]) for line in out.splitlines() if line.startswith(f"{status:8}  "))


TRIALS = [f"{cell} trial {number}" for cell in ("gru", "rnn") for number in range(3)]
CONFIRMING = [f"{cell} seed {seed}" for cell in ("gru", "rnn") for seed in (10, 11)]


def test_a_study_tunes_chooses_on_validation_confirms_and_is_done_once(folder: Path, capfd: Capture) -> None:
    assert typed("study", "mine") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert told(out, "finished") == sorted([*TRIALS, *CONFIRMING])
    assert "Each cell was tuned alike: 3 trials (random) of optim.learning_rate" in " ".join(out.split())
    found = rows(folder)
    assert [(row["cell"], row["trial"], row["state"]) for row in found] == [
        (cell, str(number), "finished") for cell in ("rnn", "gru") for number in range(3)
    ]
    assert [row["optim.learning_rate"] for row in found[:3]] == [row["optim.learning_rate"] for row in found[3:]]
    record = read_tuning(folder / "runs" / "mine")
    assert record is not None
    for tuned in record.tuned:
        of_cell = [row for row in found if row["cell"] == tuned.cell]
        best = min(of_cell, key=lambda row: float(row["validation"]))
        assert tuned.best is not None
        assert (str(tuned.best.trial), repr(tuned.best.validation)) == (best["trial"], best["validation"])
        for seed in (10, 11):
            run = folder / "runs" / "mine" / f"{tuned.cell}-{tuned.best.identity}" / f"seed-{seed}"
            assert json.loads((run / "summary.json").read_text())["cell"] == tuned.cell
    page = (folder / "runs" / "mine" / "report.html").read_text()
    assert "Each cell was tuned alike" in page
    assert ">Which?<" in page

    assert typed("study", "mine") == 0
    out, err = capfd.readouterr()
    assert (told(out, "finished"), told(out, "skipped"), err) == ([], CONFIRMING, "")
    assert "6 of 6 trials have ended before" in out
    assert typed("study", "mine", "tune.trials=4", "cell=gru") == 0
    out, _ = capfd.readouterr()
    assert told(out, "finished")[-1] == "gru trial 3"
    assert "The cells were tuned unequally (gru 4 trials, rnn 3 trials)" in " ".join(out.split())
    assert len(rows(folder)) == 7
    assert typed("status", "runs/mine/tuning") == 0
    assert "7 runs: 7 finished" in capfd.readouterr().out
    assert typed("report", "runs/mine/tuning") == 0
    assert capfd.readouterr().out.startswith("Tuned: best validation mse of each cell, lower is better\n")
    for asked in (("--out", "trials.html"), ("--across", "code"), ("--target", "3")):
        assert typed("report", "runs/mine/tuning", *asked) == 2
        assert "trials are no comparison" in capfd.readouterr().err
    assert not (folder / "trials.html").exists()
    (folder / "runs" / "mine" / "tuning" / "search.json").unlink()
    assert typed("report", "runs/mine/tuning") == 2
    assert "its trials have not all ended; type `cellwise status runs/mine/tuning`" in capfd.readouterr().err


def test_what_fails_is_named_and_run_again_alone(folder: Path, write_cell: Callable[..., Path], capfd: Capture) -> None:
    mended = f"__import__('pathlib').Path({str(folder / 'mended')!r}).exists()"
    file = write_cell("fragile", f"assert {mended}, 'broken'")
    words = ("study", "mine", f"cell_modules=[{file}]", "cell=fragile,gru", "tune.trials=2")
    assert typed(*words) == 1
    out, err = capfd.readouterr()
    assert err == (
        "cellwise: 2 of 4 trials failed: fragile trial 0: seed 0: AssertionError: broken; "
        "fragile trial 1: seed 0: AssertionError: broken\n"
    )
    assert told(out, "failed") == ["fragile trial 0", "fragile trial 1"]
    assert told(out, "finished") == ["gru seed 10", "gru seed 11", "gru trial 0", "gru trial 1"]
    assert [row["state"] for row in rows(folder)] == ["failed", "failed", "finished", "finished"]
    (folder / "mended").touch()
    assert typed(*words) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert told(out, "finished") == ["fragile seed 10", "fragile seed 11", "fragile trial 0", "fragile trial 1"]


@pytest.mark.slow
def test_a_study_of_which_all_fails_confirms_nothing(
    folder: Path, write_cell: Callable[..., Path], capfd: Capture
) -> None:
    file = write_cell("fragile", "assert False, 'broken'")
    assert typed("study", "mine", f"cell_modules=[{file}]", "cell=fragile", "tune.trials=1") == 1
    out, err = capfd.readouterr()
    assert err == "cellwise: 1 of 1 trials failed: fragile trial 0: seed 0: AssertionError: broken\n"
    assert told(out, "finished") == []


COMMAND = (sys.executable, "-m", "cellwise.cli", "study", "mine", "launcher.jobs=1")


@pytest.mark.slow
def test_a_launcher_that_is_killed_loses_nothing_and_nothing_is_done_twice(folder: Path) -> None:
    undisturbed = subprocess.run([*COMMAND, "study=other"], capture_output=True, text=True, timeout=300)
    assert (undisturbed.returncode, undisturbed.stderr) == (0, "")
    with open("first.txt", "w") as out:
        first = subprocess.Popen(COMMAND, stdout=out)
    tuning = folder / "runs" / "mine" / "tuning"
    wait_for(lambda: len(list(tuning.glob("*/seed-0/summary.json"))) >= 2)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    stamps = {path: path.stat().st_mtime_ns for path in tuning.glob("*/seed-0/summary.json")}
    again = subprocess.run(COMMAND, capture_output=True, text=True, timeout=300)
    assert (again.returncode, again.stderr) == (0, "")
    for path, stamp in stamps.items():
        assert path.stat().st_mtime_ns == stamp
    assert not list(folder.glob("runs/mine/**/*.replaced-*"))
    with open(folder / "runs" / "other" / "tuning" / "trials.csv", newline="") as file:
        expected = [{**row, "seconds": ""} for row in csv.DictReader(file)]
    assert [{**row, "seconds": ""} for row in rows(folder)] == expected
    confirmed = sorted(path.relative_to(folder / "runs" / "mine") for path in folder.glob("runs/mine/*-*/seed-*"))
    assert confirmed == sorted(p.relative_to(folder / "runs" / "other") for p in folder.glob("runs/other/*-*/seed-*"))


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_two_launchers_share_the_trials_and_both_come_to_the_same_end(folder: Path) -> None:
    both = [subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outs = [one.communicate(timeout=300)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    done = [run for out in outs for run in told(out, "finished")]
    assert sorted(done) == sorted([*TRIALS, *CONFIRMING])
    assert not list(folder.glob("runs/mine/**/*.replaced-*"))
    assert len(rows(folder)) == 6


@pytest.mark.slow
def test_a_run_that_falls_behind_is_told_as_pruned_and_not_repeated(folder: Path, capfd: Capture) -> None:
    words = ("study", "mine", "cell=rnn", "tune.prune=halving", "tune.trials=6", "launcher.jobs=1")
    longer = ("trainer.max_steps=600", "trainer.validate_every_steps=10", "confirm.seeds=[10]")
    assert typed(*words, *longer) == 0
    out, err = capfd.readouterr()
    assert err == ""
    pruned = told(out, "pruned")
    assert pruned
    assert [f"rnn trial {row['trial']}" for row in rows(folder) if row["state"] == "pruned"] == pruned
    assert all(row["validation"] for row in rows(folder))
    line = next(line for line in out.splitlines() if line.startswith("pruned"))
    assert "falls behind (halving)" in line
    assert typed(*words, *longer) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert told(out, "pruned") == told(out, "finished") == []


def test_a_grid_needs_no_optuna(folder: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    text = STUDY.replace("sampler: random\n  trials: 3", "sampler: grid").replace(
        "{low: 1e-4, high: 1e-1, log: true}", "[0.001, 0.01]"
    )
    (folder / "mine" / "study.yaml").write_text(text)
    assert typed("study", "mine", "confirm.seeds=[10]") == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert told(out, "finished") == sorted(
        [f"{cell} {what}" for cell in ("gru", "rnn") for what in ("trial 0", "trial 1", "seed 10")]
    )
    assert not (folder / "runs" / "mine" / "tuning" / "optuna.journal").exists()
    assert [row["optim.learning_rate"] for row in rows(folder)] == ["0.001", "0.01"] * 2
    assert typed("study", "mine", "confirm.seeds=[10]") == 0
    out, _ = capfd.readouterr()
    assert told(out, "finished") == []
    assert len(told(out, "skipped")) == 6
    search = folder / "runs" / "mine" / "tuning" / "search.json"
    kept = search.read_text()
    search.unlink()  # as while it is under way
    assert typed("report", "runs/mine/tuning") == 2
    assert "its trials have not all ended" in capfd.readouterr().err
    search.write_text(kept)
    assert typed("study", "mine", "tune.sampler=tpe", "tune.trials=2") == 2
    assert capfd.readouterr().err == (
        "cellwise: tune.sampler=tpe needs Optuna; type pip install 'cellwise[search]', or tune a grid of listed "
        "values\n"
    )


def test_seeds_of_the_command_line_have_their_place(folder: Path, capfd: Capture) -> None:
    assert typed("study", "mine", "seed=1,2") == 2
    assert "a study of two phases has tune.seeds=[...] and confirm.seeds=[...]" in capfd.readouterr().err
    assert not (folder / "runs").exists()
