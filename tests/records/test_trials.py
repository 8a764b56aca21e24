"""The trials of a search are read back as they were written, and what is damaged or unfinished is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cellwise.records.trials import Searched, read_searched
from cellwise.records.tuning import Choice, How, Trial, Tuned, TuningRecord, write_trials, write_tuning
from tests.report.searches import LOST, SPACE, made_up, write_search


def read(folder: Path) -> Searched:
    found = read_searched(folder)
    assert found is not None
    return found


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    trials = {
        "lstm": [made_up(0), Trial(1, made_up(1).settings, "pruned", 0.5, 1.0, "pruned at step 3")],
        "gru": [Trial(0, made_up(0).settings, "failed", None, 0.5, LOST.format(7)), Trial(1, {}, "waiting")],
    }
    record = write_search(tmp_path, trials)
    found = read(tmp_path)
    assert found.record == record
    assert found.ended
    assert found.said == ()
    assert found.trials == {"lstm": tuple(trials["lstm"]), "gru": (trials["gru"][0],)}
    assert type(found.trials["lstm"][0].settings["network.hidden_size"]) is int


def test_a_row_is_that_of_the_combination_with_most_of_its_swept_keys(tmp_path: Path) -> None:
    space = {"optim.learning_rate": Choice(1e-4, 1e-1, log=True)}
    how = How("random", 0, (0,), 1, None, (), space)
    swept = [{"cell": "lstm"}, {"cell": "lstm", "data.length": "10"}]
    tuned = [Tuned(" ".join(keys.values()), "lstm", keys, how, {}, None, None, None, None) for keys in swept]
    write_tuning(tmp_path, TuningRecord("mse", "min", "", tuple(tuned)))
    rates = [0.001, 0.002]
    trials = [Trial(0, {"optim.learning_rate": rate}, "finished", rate, 1.0) for rate in rates]
    write_trials(tmp_path, [(keys, [trial]) for keys, trial in zip(swept, trials, strict=True)])
    found = read(tmp_path).trials
    assert {label: each[0].validation for label, each in found.items()} == {"lstm": 0.001, "lstm 10": 0.002}


def test_where_nothing_was_tuned_there_is_nothing(tmp_path: Path) -> None:
    assert read_searched(tmp_path) is None
    (tmp_path / "tuning").mkdir()
    assert read_searched(tmp_path) is None


def test_damaged_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    write_search(tmp_path, {"lstm": [made_up(n) for n in range(5)]})
    path = tmp_path / "tuning" / "trials.csv"
    [heading, *rows] = path.read_text().splitlines()
    rows[0] = rows[0].replace("finished", "exploded")
    rows[1] = "lstm,1,not a number,0.1,0.1,null,0.5,finished,1.0,"
    rows[2] = rows[2][:12]
    rows[3] = rows[3].replace("lstm", "nobody")
    path.write_bytes("\n".join([heading, *rows]).encode() + b"\n\xff\xfe")
    found = read(tmp_path)
    assert [trial.number for trial in found.trials["lstm"]] == [4]
    assert found.said == (f"{path}: 5 of 6 rows can't be read and are left out",)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"cell\n", b'cell,trial\n"'])
def test_a_table_that_is_none_leaves_what_the_record_says(tmp_path: Path, content: bytes) -> None:
    record = write_search(tmp_path, {"lstm": [made_up(0)]})
    (tmp_path / "tuning" / "trials.csv").write_bytes(content)
    found = read(tmp_path)
    assert found.record == record
    assert not any(found.trials.values())


def test_a_missing_table_is_said(tmp_path: Path) -> None:
    write_search(tmp_path, {"lstm": [made_up(0)]})
    (tmp_path / "tuning" / "trials.csv").unlink()
    assert "not there, so no single trial is shown" in read(tmp_path).said[0]


def test_a_validation_that_is_no_number_is_none(tmp_path: Path) -> None:
    write_search(tmp_path, {"lstm": [Trial(0, made_up(0).settings, "finished", 0.5, 1.0)]})
    path = tmp_path / "tuning" / "trials.csv"
    path.write_text(path.read_text().replace(",0.5,finished", ",inf,finished"))
    assert read(tmp_path).trials["lstm"][0].validation is None


def test_configurations_beyond_the_table_are_said(tmp_path: Path) -> None:
    write_search(tmp_path, {"lstm": [made_up(0)]})
    for number in range(3):
        (tmp_path / "tuning" / f"lstm-0000000{number}").mkdir()
    assert read(tmp_path).said[0].startswith("The folder of tuning holds 2 more configurations than are shown")


@pytest.fixture
def half_done(make_study: Callable[..., Path]) -> Path:
    """A study in tuning: no table, no record; of three cells six configurations each."""
    folder = make_study("mine/tuning", 1, ("lstm", "gru", "rnn"))
    for cell in ("lstm", "gru", "rnn"):
        [first] = folder.glob(f"{cell}-*")
        for number in range(6):
            copy = folder / f"{cell}-0000000{number}"
            shutil.copytree(first, copy)
            config = {
                "cell": {"name": cell},
                "optim": {"learning_rate": 10.0 ** (number - 4), "name": "adam"},
                "trainer": {"precision": ["32-true", "64-true"][number % 2]},
                "seed": number,
                "study": "tuning",
            }
            run = copy / "seed-0"
            (run / "config.yaml").write_text(yaml.safe_dump(config))
            summary = json.loads((run / "summary.json").read_text())
            (run / "summary.json").write_text(json.dumps({**summary, "validation": 50.0 + number}))
        shutil.rmtree(first)
    return folder.parent


def test_a_search_that_has_not_ended_is_read_from_its_folders(half_done: Path) -> None:
    run = half_done / "tuning" / "lstm-00000005" / "seed-0"
    (run / "summary.json").unlink()
    told = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**told, "status": "failed", "error": LOST.format(3)}))
    found = read(half_done)
    assert not found.ended
    assert "The search has not ended" in found.said[0]
    assert (found.record.objective, found.record.direction) == ("perplexity", "min")
    lstm = {trial.settings["optim.learning_rate"]: trial for trial in found.trials["lstm"]}
    assert {rate: trial.validation for rate, trial in lstm.items()} == {
        **{10.0 ** (number - 4): 50.0 + number for number in range(5)},
        10.0: None,
    }
    assert (lstm[10.0].state, lstm[10.0].error) == ("failed", LOST.format(3))
    space = found.record.tuned[0].how.space
    assert space["optim.learning_rate"] == Choice(1e-4, 10.0, log=True)
    assert set(space["trainer.precision"].values) == {"32-true", "64-true"}
    assert set(space) == {"optim.learning_rate", "trainer.precision"}
    assert {each.label: each.counts for each in found.record.tuned}["lstm"] == {"finished": 5, "failed": 1}


def test_pruned_and_running_trials_of_an_unended_search_are_told_apart(half_done: Path) -> None:
    for number, status in ((0, "pruned"), (1, "running")):
        run = half_done / "tuning" / f"gru-0000000{number}" / "seed-0"
        (run / "summary.json").unlink()
        told = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**told, "status": status}))
        rows = [{"step": 1, "validation_perplexity": 80.0}, {"step": 2, "validation_perplexity": 70.0}]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    gru = {trial.settings["optim.learning_rate"]: trial for trial in read(half_done).trials["gru"]}
    assert (gru[1e-4].state, gru[1e-4].validation) == ("pruned", 70.0)
    assert (gru[1e-3].state, gru[1e-3].validation) == ("running", None)


def test_a_damaged_record_is_said_and_the_folders_are_read(half_done: Path) -> None:
    (half_done / "tuning" / "search.json").write_text('{"schema": 1, "tuned": [')
    found = read(half_done)
    assert "not readable as JSON" in found.said[0]
    assert len(found.trials["rnn"]) == 6


def test_the_space_of_the_made_up_search_has_every_kind_of_choice() -> None:
    kinds = {(choice.log, choice.log_of_one_minus, bool(choice.values)) for choice in SPACE.values()}
    assert len(kinds) == 3
