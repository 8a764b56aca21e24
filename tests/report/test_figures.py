"""Learning curves and final scores: what is drawn is what was recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from scipy import stats

from cellwise.compare.table import Comparison, compare
from cellwise.records.store import load_study
from cellwise.report.figures import bands_cut, final_scores, learning_curves, validation_curves
from cellwise.report.theme import CHOSEN


def comparison_of(folder: Path) -> Comparison:
    (comparison,) = compare(load_study(folder))
    return comparison


def named(figure: dict[str, Any], name: str) -> dict[str, Any]:
    """The trace with a legend entry of that name."""
    trace: dict[str, Any]
    (trace,) = [t for t in figure["data"] if t.get("name") == name and t.get("showlegend", True)]
    return trace


def valid(figure: dict[str, Any]) -> dict[str, Any]:
    """The figure, after Plotly's own validation and a trip through strict JSON."""
    go.Figure(figure)
    return dict(json.loads(json.dumps(figure, allow_nan=False)))


def test_the_mean_and_the_band_of_a_learning_curve_are_those_of_the_seeds(study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    figure = valid(learning_curves(comparison, validation_curves(comparison.group)))
    runs = [run for run in comparison.group.runs if run.cell == "gru"]
    at_100 = [row["validation_perplexity"] for r in runs for row in r.metrics() if row["step"] == 100 and len(row) == 5]
    mean = named(figure, "gru")
    assert mean["x"][:3] == [50, 100, 150]
    assert mean["y"][1] == pytest.approx(np.mean(at_100), rel=1e-5)
    assert mean["line"]["color"] == CHOSEN["gru"]
    (area,) = [t for t in figure["data"] if t.get("fill") == "toself" and t["legendgroup"] == "gru"]
    low, high = stats.t.interval(0.95, 4, np.mean(at_100), stats.sem(at_100))
    assert (area["y"][1], area["y"][-2]) == pytest.approx((low, high), rel=1e-5)


def test_every_seed_is_a_thin_line(study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    figure = learning_curves(comparison, validation_curves(comparison.group))
    thin = [t["name"] for t in figure["data"] if t["line"]["width"] == 1]
    assert len(thin) == 25
    assert "rnn, seed 4" in thin


def test_floors_and_optimum_are_level_lines(study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    figure = learning_curves(comparison, validation_curves(comparison.group))
    assert named(figure, "floor: unigram")["y"] == [310.2, 310.2]
    assert named(figure, "floor: bigram")["y"] == [95.7, 95.7]
    assert named(figure, "optimum")["y"] == [52.1, 52.1]
    dashes = {named(figure, name)["line"]["dash"] for name in ("floor: unigram", "floor: bigram", "optimum")}
    assert len(dashes) == 3


@pytest.mark.parametrize(("against", "x"), [("step", 50), ("examples", 35_000), ("seconds", 2.0)])
def test_learning_is_drawn_against_steps_examples_and_time(against: str, x: float, study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    figure = valid(learning_curves(comparison, validation_curves(comparison.group), against))
    assert named(figure, "lstm")["x"][0] == pytest.approx(x)


def test_runs_that_did_not_finish_are_drawn_but_do_not_enter_the_mean(troubled_folder: Path) -> None:
    comparison = comparison_of(troubled_folder)
    figure = valid(learning_curves(comparison, validation_curves(comparison.group)))
    names = [t.get("name") for t in figure["data"]]
    assert "gru, seed 3 (failed)" in names
    assert "lstm, seed 3 (running)" in names
    assert named(figure, "gru")["x"][-1] == 1000


def test_final_scores_show_every_seed_and_the_interval(study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    figure, note = final_scores(comparison)
    valid(figure)
    dots = [t for t in figure["data"] if t.get("text")]
    assert sum(len(t["x"]) for t in dots) == 25
    row = next(row for row in comparison.rows if row.label == "rnn")
    shown = next(t for t in dots if t["text"][0].startswith("rnn"))
    assert shown["x"] == pytest.approx(list(row.values.values()), rel=1e-5)
    half = [t["error_x"]["array"][0] for t in figure["data"] if "error_x" in t]
    assert half == pytest.approx([r.high - r.mean for r in reversed(comparison.rows)], rel=1e-5)
    below = [t["error_x"]["arrayminus"][0] for t in figure["data"] if "error_x" in t]
    assert below == pytest.approx(half, rel=1e-5)
    assert figure["layout"]["yaxis"]["ticktext"][-1] == comparison.rows[0].label
    assert note == "Outside the picture: floor: unigram 310.2."


def test_no_number_in_a_figure_is_nan_even_when_a_run_diverged(troubled_folder: Path) -> None:
    comparison = comparison_of(troubled_folder)
    valid(final_scores(comparison)[0])
    assert all(math.isfinite(v) for v in comparison.rows[0].values.values())


@pytest.fixture
def errors_near_0(
    tmp_path: Path,
    add_run: Callable[..., Path],
    made_up_run_info: Callable[..., dict[str, Any]],
    made_up_summary: Callable[..., dict[str, Any]],
) -> Comparison:
    """A cell whose errors scatter as widely as they are large."""
    for seed, value in enumerate((0.001, 0.012, 0.002)):
        result = made_up_summary("gru", seed, value, objective="mse", unit="", floors={}, optimum=None)
        where = {"step": 50, "examples": 100, "seconds": 1.0}
        rows = [{**where, "step": 50 * (1 + k), "validation_mse": value * (2 - k)} for k in (0, 1)]
        add_run(tmp_path / "gru-00000000" / f"seed-{seed}", made_up_run_info("gru", seed), result, rows)
    return comparison_of(tmp_path)


def test_a_band_of_errors_does_not_go_below_0(errors_near_0: Comparison) -> None:
    figure = valid(learning_curves(errors_near_0, validation_curves(errors_near_0.group)))
    (area,) = [t for t in figure["data"] if t.get("fill") == "toself"]
    assert min(area["y"]) == 0
    low, high = stats.t.interval(0.95, 2, np.mean([0.002, 0.024, 0.004]), stats.sem([0.002, 0.024, 0.004]))
    assert low < 0
    assert area["y"][-1] == pytest.approx(high, rel=1e-5)  # the other end is as it was
    assert bands_cut(figure, errors_near_0.least) == "cut at 0"


def test_an_interval_of_errors_does_not_go_below_0(errors_near_0: Comparison) -> None:
    figure = valid(final_scores(errors_near_0)[0])
    (bar,) = [t for t in figure["data"] if "error_x" in t]
    (row,) = errors_near_0.rows
    assert bar["x"][0] - bar["error_x"]["arrayminus"][0] == pytest.approx(0, abs=1e-9)
    assert bar["error_x"]["array"][0] == pytest.approx(row.high - row.mean, rel=1e-5)
    assert bar["hovertemplate"] == "mean %{x:.5~g}, 95 % interval 0 to 0.02011<extra></extra>"


def test_bands_that_no_end_cuts_say_nothing(study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    figure = learning_curves(comparison, validation_curves(comparison.group))
    assert bands_cut(figure, comparison.least) == ""
