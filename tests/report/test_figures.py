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
from cellwise.report.figures import MOST_SEED_POINTS, bands_cut, learning_curves, validation_curves
from cellwise.report.scores import final_scores
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


def seeds(figure: dict[str, Any], label: str) -> list[list[tuple[float, float]]]:
    """The thin lines of a cell, each as its points."""
    (trace,) = [t for t in figure["data"] if t.get("name") == f"{label}, every seed"]
    found: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(trace["x"], trace["y"], strict=True):
        if x is None:
            found.append([])
        else:
            found[-1].append((x, y))
    return found


def test_every_seed_is_a_thin_line(study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    figure = learning_curves(comparison, validation_curves(comparison.group))
    for row in comparison.rows:
        lines = seeds(figure, row.label)
        runs = [run for run in comparison.group.runs if run.cell == row.cell]
        for drawn, run in zip(lines, runs, strict=True):
            rows = [r for r in run.metrics() if "validation_perplexity" in r]
            assert [x for x, _ in drawn] == [r["step"] for r in rows]
            assert [y for _, y in drawn] == pytest.approx([r["validation_perplexity"] for r in rows], rel=1e-5)


def test_a_thousand_seeds_are_thinned_to_what_a_browser_draws_at_once(
    tmp_path: Path, add_run: Any, made_up_run_info: Any, made_up_summary: Any
) -> None:
    rows = [{"step": k, "examples": k, "seconds": k / 10, "validation_perplexity": 5.0 + 1 / k} for k in range(1, 401)]
    for seed in range(3):
        add_run(tmp_path / "gru-00000000" / f"seed-{seed}", made_up_run_info("gru", seed), None, rows)
    comparison = comparison_of(tmp_path)
    curves = validation_curves(comparison.group)
    many = {"gru": curves["gru"] * 333}
    figure = learning_curves(comparison, many)
    lines = seeds(figure, "gru")
    assert len(lines) == 999
    assert {len(line) for line in lines} == {MOST_SEED_POINTS // 999}
    assert (lines[0][0], lines[0][-1][0]) == ((1, 6), 400)  # the first and the last step are kept
    assert len(named(figure, "gru")["x"]) == 400


def test_means_lie_above_bands_and_bands_above_seeds(study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    data = learning_curves(comparison, validation_curves(comparison.group))["data"]
    layers = [0 if "every seed" in t.get("name", "") else 1 if "fill" in t else 2 for t in data]
    assert layers == sorted(layers)
    assert layers.count(2) == 5 + 3


def test_curves_are_there_before_any_run_has_finished(tmp_path: Path, add_run: Any, made_up_run_info: Any) -> None:
    info = made_up_run_info("gru", 0, status="running")
    rows = [{"step": 5, "examples": 10, "seconds": 0.1, "train_mse": 2.0, "validation_mse": 1.5}]
    add_run(tmp_path / "gru-00000000" / "seed-0", info, None, rows)
    comparison = comparison_of(tmp_path)
    figure = valid(learning_curves(comparison, validation_curves(comparison.group)))
    assert (named(figure, "gru")["x"], named(figure, "gru")["y"]) == ([5], [1.5])
    assert figure["layout"]["yaxis"]["title"]["text"] == "validation mse"


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
    (failed,) = [t for t in figure["data"] if t.get("name") == "gru, not finished"]
    (running,) = [t for t in figure["data"] if t.get("name") == "lstm, not finished"]
    assert (failed["text"], failed["x"]) == (["gru, seed 3 (failed)"], [200])
    assert (running["text"], running["x"]) == (["lstm, seed 3 (running)"], [300])
    assert [len(line) for line in seeds(figure, "lstm")] == [20, 20, 20, 6]
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


def test_errors_that_span_much_are_drawn_on_a_log_axis_and_bands_end_with_it(errors_near_0: Comparison) -> None:
    figure = valid(learning_curves(errors_near_0, validation_curves(errors_near_0.group)))
    assert figure["layout"]["yaxis"]["type"] == "log"
    (area,) = [t for t in figure["data"] if t.get("fill") == "toself"]
    assert min(area["y"]) == 0.0005  # half of the least value that a seed has
    low, high = stats.t.interval(0.95, 2, np.mean([0.002, 0.024, 0.004]), stats.sem([0.002, 0.024, 0.004]))
    assert low < 0
    assert area["y"][-1] == pytest.approx(high, rel=1e-5)  # the other end is as it was
    assert bands_cut(figure) == "cut at 0.00050: where the axis ends"


def test_a_band_of_errors_does_not_go_below_0_on_a_linear_axis(
    tmp_path: Path, add_run: Any, made_up_run_info: Any, made_up_summary: Any
) -> None:
    for seed, value in enumerate((0.002, 0.012, 0.004)):
        result = made_up_summary("gru", seed, value, objective="mse", unit="", floors={}, optimum=None)
        rows = [{"step": 50, "examples": 100, "seconds": 1.0, "validation_mse": value}]
        add_run(tmp_path / "gru-00000000" / f"seed-{seed}", made_up_run_info("gru", seed), result, rows)
    comparison = comparison_of(tmp_path)
    figure = valid(learning_curves(comparison, validation_curves(comparison.group)))
    (area,) = [t for t in figure["data"] if t.get("fill") == "toself"]
    assert "type" not in figure["layout"]["yaxis"]
    assert min(area["y"]) == 0
    assert bands_cut(figure) == "cut at 0: no score can be below"


def test_an_interval_of_errors_ends_at_the_edge_of_a_log_axis(errors_near_0: Comparison) -> None:
    drawn, note = final_scores(errors_near_0)
    figure = valid(drawn)
    (bar,) = [t for t in figure["data"] if "error_x" in t]
    (row,) = errors_near_0.rows
    assert row.low < 0
    assert bar["x"][0] - bar["error_x"]["arrayminus"][0] == pytest.approx(0.0005, rel=1e-3)
    assert bar["error_x"]["array"][0] == pytest.approx(row.high - row.mean, rel=1e-5)
    assert bar["hovertemplate"] == "mean %{x:.5~g}, 95 % interval 0 to 0.02011<extra></extra>"
    assert note == "The axis is logarithmic: an interval that reaches 0 ends at its edge."


def test_bands_that_no_end_cuts_say_nothing(study_folder: Path) -> None:
    comparison = comparison_of(study_folder)
    figure = learning_curves(comparison, validation_curves(comparison.group))
    assert bands_cut(figure) == ""
