"""`metrics.csv` is the record as a wide table, the same for a run that was cut off."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.records.mirrors import csv as csv_mirror
from cellwise.records.mirrors.csv import CsvMirror
from cellwise.sweep.compose import compose_config
from cellwise.training.train import train
from tests.records.mirrors.leet import by_step
from tests.training.cut_runs import MEMORY, configured, cut_before

Rows = Callable[[Path], list[dict[str, Any]]]


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_it_has_a_row_for_each_step_and_a_column_for_each_name(tmp_path: Path, rows_of: Rows) -> None:
    folder = train(configured(tmp_path, *MEMORY, "logger=csv")).folder
    rows = by_step(rows_of(folder))
    assert [{name: float(value) for name, value in row.items() if value} for row in table(folder)] == rows
    assert list(table(folder)[0]) == list(dict.fromkeys(name for row in rows_of(folder) for name in row))


def test_a_run_that_was_cut_off_has_the_file_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str) -> dict[str, Any]:
        return configured(tmp_path / name, *MEMORY, "logger=csv")

    whole = train(config("whole")).folder
    with monkeypatch.context() as patch:
        cut_before(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            train(config("cut"))
    [folder] = (tmp_path / "cut").glob("*/*/seed-0")
    assert len(table(folder)) < len(table(whole))  # what there was when it was interrupted
    train(config("cut"))

    def untimed(folder: Path) -> list[dict[str, str]]:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in table(folder)]

    assert untimed(folder) == untimed(whole)


def test_what_was_not_finite_is_nan_and_what_was_not_logged_is_empty(tmp_path: Path) -> None:
    mirror = CsvMirror(tmp_path)
    mirror.log({"step": 1, "a_nats": None})
    mirror.log({"step": 2, "b": 0.1})
    mirror.close(None)
    assert (tmp_path / "metrics.csv").read_text() == "step,a_nats,b\n1,nan,\n2,,0.1\n"
    assert math.isnan(float(table(tmp_path)[0]["a_nats"]))


def test_who_looks_while_it_trains_finds_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = CsvMirror(tmp_path)
    mirror.log({"step": 1, "a": 1})
    assert not (tmp_path / "metrics.csv").exists()
    monkeypatch.setattr(csv_mirror, "_EVERY_SECONDS", 0.0)
    mirror.log({"step": 2, "a": 2})
    assert [row["a"] for row in table(tmp_path)] == ["1", "2"]


def test_a_run_begun_anew_leaves_no_table_and_no_events_of_the_start_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*MEMORY, f"runs_dir={tmp_path}", "trainer.checkpoint_every_seconds=null"]
    with monkeypatch.context() as patch:
        cut_before(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            train(compose_config([*words, "logger=[csv,tensorboard]"]))
    [folder] = tmp_path.glob("*/*/seed-0")
    assert (folder / "metrics.csv").exists() and (folder / "tensorboard").exists()
    train(compose_config(words))
    assert not (folder / "metrics.csv").exists() and not (folder / "tensorboard").exists()
