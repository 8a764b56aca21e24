"""The CSV of a study holds every run once, finished or not, with the record's numbers."""

from __future__ import annotations

import csv
from pathlib import Path

from cellwise.records.store import load_study
from cellwise.report.results import write_results


def test_every_run_is_one_row_with_the_numbers_of_its_record(study_folder: Path, tmp_path: Path) -> None:
    study = load_study(study_folder)
    with write_results(study, tmp_path / "results.csv").open() as file:
        rows = {(row["cell"], row["identity"], int(row["seed"])): row for row in csv.DictReader(file)}
    assert len(rows) == len(study.runs)
    for run in study.runs:
        row = rows[run.cell, run.identity, run.seed]
        assert row["status"] == run.status
        assert run.summary is not None
        assert float(row["test"]) == float(f"{run.summary.value:.6g}")
        assert int(row["recurrent_parameters"]) == run.summary.parameters.recurrent


def test_a_failed_run_keeps_its_row_and_its_error(troubled_folder: Path, tmp_path: Path) -> None:
    study = load_study(troubled_folder)
    with write_results(study, tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    failed = [row for row in rows if row["status"] == "failed"]
    assert failed
    assert all(row["test"] == "" for row in failed)
    assert any(row["error"] for row in failed)
