"""What tuning found is read back as it was written, beside what an earlier command found."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.store import load_study
from cellwise.records.tuning import (
    Best,
    Choice,
    ExpectedBest,
    How,
    Importance,
    Trial,
    Tuned,
    TuningRecord,
    read_tuning,
    write_trials,
    write_tuning,
)

SPACE = {"optim.learning_rate": Choice(1e-4, 1e-1, log=True), "network.tied": Choice(values=(True, 1, 0.5, "x", None))}
HOW = How("random", 0, (0, 1), 3, "median", ("trainer.max_epochs=2",), SPACE)


def tuned(label: str = "lstm", how: How = HOW) -> Tuned:
    return Tuned(
        label=label,
        cell="lstm",
        swept={"cell": label},
        how=how,
        counts={"finished": 2, "pruned": 1, "failed": 1, "waiting": 3},
        best=Best(2, {"optim.learning_rate": 0.01, "network.tied": True}, 0.25, "0123abcd"),
        importance=Importance({"optim.learning_rate": 0.75, "network.tied": 0.125}, 0.125, 2),
        importance_missing=None,
        expected_best=ExpectedBest((0.5, 0.375), (0.5, 0.25)),
    )


def test_the_record_of_tuning_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    record = TuningRecord("mse", "min", "", (tuned(),))
    path = write_tuning(tmp_path, record)
    assert path == tmp_path / "tuning" / "search.json"
    assert read_tuning(tmp_path) == record
    assert record.tuned[0].ended == 4
    assert type(record.tuned[0].how.space["network.tied"].values[1]) is int


def test_what_was_tuned_before_and_is_not_now_stays(tmp_path: Path) -> None:
    write_tuning(tmp_path, TuningRecord("mse", "min", "", (tuned("lstm"), tuned("gru"))))
    again = tuned("gru", dataclasses.replace(HOW, trials=9))
    write_tuning(tmp_path, TuningRecord("mse", "min", "", (again, tuned("rnn"))))
    found = read_tuning(tmp_path)
    assert found is not None
    assert [(each.label, each.how.trials) for each in found.tuned] == [("lstm", 3), ("gru", 9), ("rnn", 3)]


def test_a_study_that_was_not_tuned_has_no_record(tmp_path: Path) -> None:
    assert read_tuning(tmp_path) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 2}', '{"schema": 1, "objective": "mse"}'])
def test_a_damaged_record_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "tuning").mkdir()
    (tmp_path / "tuning" / "search.json").write_text(content)
    with pytest.raises(CellwiseError) as caught:
        read_tuning(tmp_path)
    assert "search.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_trials_are_a_table_with_every_setting(tmp_path: Path) -> None:
    trials = [
        Trial(0, {"optim.learning_rate": 0.01, "optim.clip_norm": None}, "finished", 0.1 + 0.2, 12.34),
        Trial(1, {"optim.learning_rate": 0.5, "optim.clip_norm": 1.0}, "failed", None, 0.5, "seed 0: NaN, at step 3"),
        Trial(2, {}, "waiting"),
    ]
    path = write_trials(tmp_path, [({"cell": "lstm", "data.length": "10"}, trials)])
    assert path == tmp_path / "tuning" / "trials.csv"
    assert path.read_text().splitlines() == [
        "cell,trial,data.length,optim.learning_rate,optim.clip_norm,validation,state,seconds,error",
        "lstm,0,10,0.01,null,0.30000000000000004,finished,12.3,",
        'lstm,1,10,0.5,1.0,,failed,0.5,"seed 0: NaN, at step 3"',
        "lstm,2,10,,,,waiting,,",
    ]


def test_rows_of_other_cells_stay_and_those_of_the_same_are_replaced(tmp_path: Path) -> None:
    first = [Trial(0, {"a": 1}, "finished", 1.0, 1.0)]
    write_trials(tmp_path, [({"cell": "lstm"}, first), ({"cell": "gru"}, first)])
    path = write_trials(tmp_path, [({"cell": "gru"}, [Trial(0, {"b": 2}, "pruned", 2.0, 1.0, "behind")])])
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["cell"], row["a"], row["b"], row["state"]) for row in rows] == [
        ("lstm", "1", "", "finished"),
        ("gru", "", "2", "pruned"),
    ]


def test_runs_of_tuning_are_no_runs_of_the_study(study_folder: Path) -> None:
    runs = len(load_study(study_folder).runs)
    other = study_folder / "tuning" / "lstm-89abcdef" / "seed-0"
    other.mkdir(parents=True)
    (study_folder / "tuning" / "search.json").write_text(json.dumps({}))
    found = load_study(study_folder)
    assert len(found.runs) == runs
    assert found.ignored == ()
