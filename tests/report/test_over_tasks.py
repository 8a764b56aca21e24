"""Several tasks on one scale: the table and the profiles are those of the comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from cellwise.compare.profiles import interquartile_mean_over_tasks, performance_profile
from cellwise.compare.table import Comparison, compare
from cellwise.compare.tasks import scores_over_tasks
from cellwise.records.store import load_study
from cellwise.report.over_tasks import has_several_tasks, tasks_panels

SCORES = {("adding", "lstm"): 0.02, ("adding", "gru"): 0.05, ("copy", "lstm"): 0.5, ("copy", "gru"): 0.4}


@pytest.fixture
def comparisons(tmp_path: Path, add_run: Any, made_up_run_info: Any, made_up_summary: Any) -> tuple[Comparison, ...]:
    """Two cells on two tasks, three seeds each; floors 1, optimum 0."""
    for number, ((task, cell), value) in enumerate(SCORES.items()):
        for seed in range(3):
            changes = {"task": task, "objective": "mse", "unit": "", "floors": {"mean": 1.0}, "optimum": 0.0}
            result = made_up_summary(cell, seed, value + 0.01 * seed, **changes)
            add_run(tmp_path / f"{cell}-{number:08x}" / f"seed-{seed}", made_up_run_info(cell, seed, task=task), result)
    return compare(load_study(tmp_path))


def test_means_and_profiles_are_those_of_the_scores(comparisons: tuple[Comparison, ...]) -> None:
    assert has_several_tasks(comparisons)
    panels = dict(tasks_panels(comparisons))
    scores = scores_over_tasks(comparisons)
    table = panels["means"]
    assert table.heading == ("cell", "interquartile mean [95 %]", "adding, mse", "copy, mse")
    for label, said, *by_task in table.rows:
        mean = interquartile_mean_over_tasks(scores[label])
        assert said == f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]"
        assert [float(text) for text in by_task] == pytest.approx(
            [values.mean() for values in scores[label].values()], abs=1e-3
        )
    figure = panels["profiles"].variants[""]
    go.Figure(figure)
    json.dumps(figure, allow_nan=False)
    (line,) = [t for t in figure["data"] if t.get("name") == "lstm" and "fill" not in t]
    expected = performance_profile(scores["lstm"], line["x"])
    assert line["y"] == pytest.approx(expected.share, abs=1e-6)
    assert set(line["y"]) > {0.0, 0.5, 1.0}


def test_one_task_is_no_several(comparisons: tuple[Comparison, ...]) -> None:
    assert not has_several_tasks(comparisons[:1])
