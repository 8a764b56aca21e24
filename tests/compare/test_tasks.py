"""Scores of several tasks on one scale, and what the terminal says of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cellwise.compare.table import compare
from cellwise.compare.tasks import scores_over_tasks
from cellwise.errors import CellwiseError
from cellwise.records.store import Study, load_study
from cellwise.report.terminal.table import render_terminal

AddRun = Callable[..., Path]
Made = Callable[..., dict[str, Any]]
Build = Callable[..., Study]


@pytest.fixture
def build(tmp_path: Path, add_run: AddRun, made_up_run_info: Made, made_up_summary: Made) -> Build:
    """A study of language (floor 100, optimum 50) and adding (floor 0.2, optimum 0); changes are those of adding."""

    def write(language: dict[str, list[float]], adding: dict[str, list[float]], **changes: Any) -> Study:
        one = {"task": "language", "floors": {"unigram": 300.0, "bigram": 100.0}, "optimum": 50.0}
        two = {"task": "adding", "objective": "mse", "unit": "", "floors": {"mean": 0.2}, "optimum": 0.0, **changes}
        for number, (scores, said) in enumerate(((language, one), (adding, two))):
            for cell, values in scores.items():
                for seed, value in enumerate(values):
                    run = tmp_path / "both" / f"{cell}-0000000{number}" / f"seed-{seed}"
                    info = made_up_run_info(cell, seed, task=said["task"])
                    add_run(run, info, made_up_summary(cell, seed, value, **said))
        return load_study(tmp_path / "both")

    return write


def test_zero_is_the_best_floor_and_one_the_optimum_of_each_task(build: Build) -> None:
    study = build({"gru": [75.0, 50.0], "rnn": [100.0]}, {"gru": [0.05], "rnn": [0.2], "lstm": [0.0]})
    found = scores_over_tasks(compare(study))
    assert list(found) == ["gru", "rnn"]
    assert {task: scores.tolist() for task, scores in found["gru"].items()} == {
        "adding, mse": [0.75],
        "language, perplexity": [0.5, 1.0],
    }
    assert [scores.tolist() for scores in found["rnn"].values()] == [pytest.approx([0.0])] * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimum": None}, "no best possible value is known for adding, mse: its scores have no scale in common"),
        ({"floors": {}}, "no floor is known for adding, mse"),
    ],
)
def test_a_task_without_a_scale_is_refused_in_one_line(changes: dict[str, Any], said: str, build: Build) -> None:
    study = build({"gru": [75.0]}, {"gru": [0.1]}, **changes)
    with pytest.raises(CellwiseError, match=said):
        scores_over_tasks(compare(study))
    assert f"Not compared over tasks: {said}" in printed(study)


def test_one_task_or_no_cell_in_common_is_refused(build: Build) -> None:
    study = build({"gru": [75.0]}, {"rnn": [0.1]})
    with pytest.raises(CellwiseError, match="no cell has a score in each of: adding, mse; language, perplexity"):
        scores_over_tasks(compare(study))
    with pytest.raises(CellwiseError, match="need two tasks or more"):
        scores_over_tasks(compare(study)[:1])


def test_the_terminal_says_the_interquartile_mean_over_tasks_best_first(build: Build) -> None:
    study = build({"gru": [60.0] * 3, "rnn": [90.0] * 3}, {"gru": [0.04] * 3, "rnn": [0.16] * 3})
    assert "interquartile means): gru 0.80 [0.80, 0.80], rnn 0.20 [0.20, 0.20]." in printed(study)


def printed(study: Study) -> str:
    console = Console(file=io.StringIO(), width=200)
    render_terminal(study, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
