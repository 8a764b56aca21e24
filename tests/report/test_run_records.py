"""What the page knows of the runs: every fact of every record, each once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cellwise.compare.groups import group_runs
from cellwise.records.store import load_study
from cellwise.report.run_records import listed, run_records


def records_of(folder: Path) -> dict[str, Any]:
    study = load_study(folder)
    found = run_records(study, listed(study, group_runs(study)), {"lstm": "#0072B2"})
    return dict(json.loads(json.dumps(found, allow_nan=False)))


def test_every_run_is_there_with_what_its_record_says(study_folder: Path) -> None:
    study, found = load_study(study_folder), records_of(study_folder)
    assert found["root"] == str(study_folder)
    assert len(found["runs"]) == len(study.runs)
    for run, known in zip(study.runs, found["runs"], strict=True):
        assert run.info is not None and run.summary is not None
        assert (study_folder / known["at"]) == run.path
        assert (known["seed"], known["status"], known["command"]) == (run.seed, "finished", run.info.command)
        assert known["result"]["test perplexity"] == pytest.approx(run.summary.value, rel=1e-5)
        assert known["result"]["checkpoint of step"] == run.summary.selected_step
        metrics = dict(zip(found["metrics"], known["metrics"], strict=False))
        assert metrics == pytest.approx(dict(run.summary.metrics), rel=1e-5)
        facts = found["facts"][known["facts"]]
        assert facts["commit"] == run.info.git.commit
        assert facts["code (SHA-256)"] == run.info.code_sha256
        assert facts["data (SHA-256)"] == "embedded " + "c" * 64
        assert facts["versions"] == "python 3.11.9, torch 2.13.0, cellwise 0.1.0"
    assert len(found["facts"]) == 1  # the same for all 25 runs


def test_settings_are_kept_once_a_configuration_and_without_what_is_no_setting(
    tmp_path: Path, add_run: Any, made_up_run_info: Any, made_up_summary: Any
) -> None:
    for number, rate in ((1, 0.1), (2, 0.2)):
        for seed in (0, 1):
            folder = tmp_path / f"gru-{str(number) * 8}" / f"seed-{seed}"
            add_run(folder, made_up_run_info("gru", seed), made_up_summary("gru", seed, 5.0 + number))
            config = {"cell": {"name": "gru"}, "seed": seed, "optim": {"learning_rate": rate}, "runs_dir": "/secret"}
            (folder / "config.yaml").write_text(json.dumps(config))
    found = records_of(tmp_path)
    assert found["configs"] == [
        {"cell.name": "gru", "optim.learning_rate": 0.1},
        {"cell.name": "gru", "optim.learning_rate": 0.2},
    ]
    assert [run["config"] for run in found["runs"]] == [0, 0, 1, 1]
    assert [run["cell"] for run in found["runs"]][::2] == ["gru learning_rate=0.1", "gru learning_rate=0.2"]


def test_runs_without_a_summary_or_a_record_are_there_too(troubled_folder: Path) -> None:
    runs = {run["at"]: run for run in records_of(troubled_folder)["runs"]}
    failed = runs["gru-0123abcd/seed-3"]
    assert (failed["status"], failed["error"]) == ("failed", "RuntimeError: out of memory")
    assert "result" not in failed
    assert "ended" not in runs["lstm-0123abcd/seed-3"]
    assert "facts" not in runs["lstm-0123abcd/seed-4"]  # its summary is damaged
    assert runs["gru-0123abcd/seed-4"]["result"]["test perplexity"] is None  # it diverged
