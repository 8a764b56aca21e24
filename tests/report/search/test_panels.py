"""The search section shows every trial as it is recorded: all numbers are read back from its figures and tables."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from cellwise.records.store import Study, load_study
from cellwise.records.tuning import TUNING, Choice, Trial
from cellwise.report.overlay import Panel
from cellwise.report.search.panels import search_panels
from cellwise.report.theme import CHOSEN
from tests.report.searches import LOST, SPACE, made_up, write_search

RATE = "optim.learning_rate"


def shown(folder: Path) -> dict[str, Panel]:
    """The panels by title; every figure is one that Plotly knows, and strict JSON."""
    try:
        study = load_study(folder)
    except Exception:  # none of its runs is there yet
        study = Study(folder, ())
    panels = search_panels(study)
    for panel in panels:
        for drawn in panel.variants.values():
            go.Figure(drawn)
            json.dumps(drawn, allow_nan=False)
    return {panel.title: panel for panel in panels}


def rows_of(folder: Path) -> list[dict[str, str]]:
    with open(folder / TUNING / "trials.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def mixed(count: int = 12, seed: int = 0) -> list[Trial]:
    """Trials of which every fifth was pruned, one failed and one diverged."""
    found = []
    for number in range(count):
        trial = made_up(number, seed)
        if number % 5 == 2:
            trial = Trial(number, trial.settings, "pruned", trial.validation, 0.5, "pruned at step 9: behind")
        if number == 3:
            trial = Trial(number, trial.settings, "failed", None, 0.1, LOST.format(100 + seed))
        if number == 4:
            trial = Trial(number, trial.settings, "failed", None, 0.1, "seed 0: out of memory")
        found.append(trial)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_search(tmp_path, {"lstm": mixed(), "gru": mixed(seed=1)})
    return tmp_path


def lines_of(figure: Mapping[str, Any]) -> dict[tuple[str, int], list[tuple[float, str]]]:
    """Place and text on each axis, by label and trial, of the thin lines."""
    found = {}
    for trace in figure["data"]:
        if trace["mode"] != "lines":
            continue
        points = zip(trace["x"], trace["y"], trace["text"], trace["customdata"], strict=True)
        for gap, part in itertools.groupby(points, key=lambda point: point[0] is None):
            if not gap:
                each = list(part)
                assert [x for x, *_ in each] == list(range(len(each)))
                found[trace["name"], each[0][3]] = [(y, text) for _, y, text, _ in each]
    return found


def test_where_nothing_was_tuned_there_are_no_panels(study_folder: Path) -> None:
    assert search_panels(load_study(study_folder)) == ()


def test_each_trial_is_a_line_through_what_is_recorded_of_it(folder: Path) -> None:
    drawn = shown(folder)["Trials as parallel coordinates"].variants["every trial"]
    lines = lines_of(drawn)
    names = [RATE, *(key for key in SPACE if key != RATE)]
    rows = rows_of(folder)
    assert len(rows) == len(lines) == 24
    for row in rows:
        *settings, validation, state = [text for _, text in lines[row["cell"], int(row["trial"])]]
        assert settings == [row[key] for key in names]
        if row["validation"]:
            assert float(validation.replace(",", "")) == pytest.approx(float(row["validation"]), rel=1e-4)
        else:
            assert validation == "no score"
        lost = {"3": "diverged"}
        assert state == (lost.get(row["trial"], "failed") if row["state"] == "failed" else row["state"])


def test_a_better_validation_is_higher_and_none_is_below_all(tmp_path: Path) -> None:
    for direction in ("min", "max"):
        write_search(tmp_path / direction, {"lstm": mixed()}, direction)
        lines = lines_of(shown(tmp_path / direction)["Trials as parallel coordinates"].variants["every trial"])
        place = {number: through[len(SPACE)][0] for (_, number), through in lines.items()}
        scores = {int(r["trial"]): float(r["validation"]) for r in rows_of(tmp_path / direction) if r["validation"]}
        ordered = sorted(scores, key=lambda n: scores[n], reverse=direction == "min")
        assert [place[n] for n in ordered] == sorted(place[n] for n in ordered)
        assert (place[ordered[0]], place[ordered[-1]]) == (0, 1)
        assert place[3] == place[4] < 0


def test_lines_of_cells_are_told_apart_by_colour_and_those_of_the_same_settings_by_place(tmp_path: Path) -> None:
    write_search(tmp_path, {"lstm": [made_up(0), made_up(1)], "gru": [made_up(0), made_up(1)]})
    drawn = shown(tmp_path)["Trials as parallel coordinates"].variants["every trial"]
    lines = lines_of(drawn)
    assert 0 < abs(lines["lstm", 0][0][0] - lines["gru", 0][0][0]) < 0.02
    assert lines["lstm", 0][-1] == lines["gru", 0][-1]
    best = {t["name"]: t for t in drawn["data"] if t["mode"] == "lines+markers"}
    assert {name: t["line"]["color"] for name, t in best.items()} == {c: CHOSEN[c] for c in ("lstm", "gru")}
    assert [t["name"] for t in drawn["data"] if t["showlegend"]] == ["lstm", "gru"]


def test_the_best_quarter_is_that_of_each_cell(tmp_path: Path) -> None:
    folder = tmp_path
    write_search(folder, {"lstm": mixed(24), "gru": mixed(24, seed=1)})
    variants = shown(folder)["Trials as parallel coordinates"].variants
    lines = lines_of(variants["best quarter of each cell"])
    for label in ("lstm", "gru"):
        finished = [r for r in rows_of(folder) if r["cell"] == label and r["state"] == "finished"]
        ordered = sorted(finished, key=lambda r: float(r["validation"]))
        best = {int(r["trial"]) for r in ordered[: len(ordered) // 4]}
        assert {number for name, number in lines if name == label} == best


def dots_of(figure: Mapping[str, Any]) -> dict[tuple[str, int], tuple[Any, Any, str]]:
    """Setting, validation (None in the strip) and symbol, by label and trial."""
    return {
        (trace["name"], number): (x, None if "yaxis" in trace else y, trace["marker"]["symbol"])
        for trace in figure["data"]
        if "customdata" in trace
        for x, y, number in zip(trace["x"], trace["y"], trace["customdata"], strict=True)
    }


@pytest.mark.parametrize("key", SPACE)
def test_each_trial_is_a_dot_at_its_setting_and_validation(folder: Path, key: str) -> None:
    drawn = shown(folder)["Sensitivity to each setting"].variants[key.split(".")[-1]]
    dots = dots_of(drawn)
    rows = rows_of(folder)
    assert len(dots) == len(rows)
    for row in rows:
        x, y, symbol = dots[row["cell"], int(row["trial"])]
        if SPACE[key].values:
            assert x == row[key]
        else:
            recorded = float(row[key])
            assert x == pytest.approx(1 - recorded if SPACE[key].log_of_one_minus else recorded, rel=1e-6)
        assert y == (pytest.approx(float(row["validation"]), rel=1e-5) if row["validation"] else None)
        assert symbol.endswith("-open") == (row["state"] == "pruned")
        assert (symbol == "x-thin") == (row["state"] == "failed")


def test_the_learning_rate_comes_first_and_the_line_goes_through_the_best_of_each_part(folder: Path) -> None:
    variants = shown(folder)["Sensitivity to each setting"].variants
    assert next(iter(variants)) == "learning_rate"
    drawn = variants["learning_rate"]
    assert drawn["layout"]["xaxis"]["type"] == "log"
    for label in ("lstm", "gru"):
        scores = [
            (math.log10(float(r[RATE])), float(r["validation"]))
            for r in rows_of(folder)
            if r["cell"] == label and r["state"] == "finished"
        ]
        parts = round(math.sqrt(len(scores)))
        edges = np.linspace(-4, -1, parts + 1)
        best = [
            min((y, 10**x) for x, y in scores if low <= x < high)
            for low, high in itertools.pairwise(edges)
            if any(low <= x < high for x, _ in scores)
        ]
        [line] = [t for t in drawn["data"] if t["name"] == label and t["mode"] == "lines"]
        assert line["x"] == pytest.approx([x for _, x in best], rel=1e-5)
        assert line["y"] == pytest.approx([y for y, _ in best], rel=1e-5)
        [ring] = [t for t in drawn["data"] if t["name"] == label and "chosen" in (t.get("hovertemplate") or "")]
        assert ring["y"] == pytest.approx([min(y for y, _ in best)], rel=1e-5)


def test_the_outer_twentieths_of_a_range_are_shaded(folder: Path) -> None:
    shapes = shown(folder)["Sensitivity to each setting"].variants["learning_rate"]["layout"]["shapes"]
    [low, high] = [(min(s["x0"], s["x1"]), max(s["x0"], s["x1"])) for s in shapes]
    assert low[1] == pytest.approx(10 ** (-4 + 0.05 * 3), rel=1e-5)
    assert high[0] == pytest.approx(10 ** (-1 - 0.05 * 3), rel=1e-5)


def test_the_expected_best_is_that_of_every_draw_of_the_recorded_trials(folder: Path) -> None:
    """By brute force over the draws of k of trials.csv; failed trials count as the worst, pruned ones as recorded."""
    panel = shown(folder)["Expected best of k trials"]
    [drawn] = panel.variants.values()
    for label in ("lstm", "gru"):
        scores = [float(r["validation"]) if r["validation"] else None for r in rows_of(folder) if r["cell"] == label]
        worst = max(score for score in scores if score is not None)
        values = [worst if score is None else score for score in scores]
        [line] = [t for t in drawn["data"] if t.get("name") == label]
        [band] = [t for t in drawn["data"] if t.get("fill") and t["legendgroup"] == label]
        assert line["x"] == list(range(1, 13))
        worse, better = band["y"][:12], band["y"][12:][::-1]
        for k in (1, 2, 6, 11, 12):
            drawn_best = sorted((min(draw) for draw in itertools.combinations(values, k)), reverse=True)
            assert line["y"][k - 1] == pytest.approx(np.mean(drawn_best), rel=1e-5)
            assert worse[k - 1] == pytest.approx(drawn_best[math.ceil(len(drawn_best) / 10) - 1], rel=1e-5)
            assert better[k - 1] == pytest.approx(drawn_best[math.ceil(0.9 * len(drawn_best)) - 1], rel=1e-5)
        [row] = [row for row in panel.rows if row[0] == label]
        assert row[1] == "12"
        half, every = line["y"][5], line["y"][11]
        told = [float(value) for value in row[2:5]]
        assert told == pytest.approx([half, every, half - every], rel=1e-2)


def test_the_gain_of_more_trials_is_held_against_the_scatter_of_the_confirming_seeds(
    make_study: Callable[..., Path],
) -> None:
    for name, scatter, word in (("quiet", 1e-6, "more trials may still help"), ("loud", 9.0, "would help little")):
        folder = make_study(name, 3, ("lstm",))
        write_search(folder, {"lstm": mixed()})
        for number, run in enumerate(sorted(folder.glob("lstm-*/seed-*/summary.json"))):
            told = json.loads(run.read_text())
            run.write_text(json.dumps({**told, "validation": 0.1 + scatter * number}))
        record = json.loads((folder / TUNING / "search.json").read_text())
        [configuration] = folder.glob("lstm-*")
        record["tuned"][0]["best"]["identity"] = configuration.name.rpartition("-")[2]
        (folder / TUNING / "search.json").write_text(json.dumps(record))
        [row] = shown(folder)["Expected best of k trials"].rows
        assert float(row[5]) == pytest.approx(scatter, rel=1e-2)
        assert word in row[6]


def test_shares_of_variance_are_those_recorded(folder: Path) -> None:
    record = json.loads((folder / TUNING / "search.json").read_text())["tuned"]
    for each in record:
        each["importance"] = {"alone": dict.fromkeys(SPACE, 0.1) | {RATE: 0.5}, "together": 0.2, "trials": 9}
    whole = json.loads((folder / TUNING / "search.json").read_text())
    (folder / TUNING / "search.json").write_text(json.dumps({**whole, "tuned": record}))
    panel = shown(folder)["Which setting matters"]
    drawn = panel.variants[""]
    texts = drawn["layout"]["yaxis"]["ticktext"]
    assert (texts[0], texts[-1]) == ("settings together", RATE)
    for trace in drawn["data"]:
        found = {texts[round(y)]: x for x, y in zip(trace["x"], trace["y"], strict=True)}
        assert found == {**dict.fromkeys(SPACE, 0.1), RATE: 0.5, "settings together": 0.2}
    assert "No intervals are known" in panel.note
    assert "9 or more a cell" in panel.note


def test_where_importance_is_not_known_the_reason_is_given(tmp_path: Path) -> None:
    write_search(tmp_path, {"lstm": [made_up(0), made_up(1)]})
    panel = shown(tmp_path)["Which setting matters"]
    assert panel.variants == {}
    assert panel.note == "Not known of lstm (2 trials finished, and 8 are the least that say anything)."


def test_a_reason_that_several_cells_share_is_given_once(tmp_path: Path) -> None:
    tried = {"lstm": [made_up(0), made_up(1)], "gru": [made_up(0), made_up(1)], "rnn": [made_up(0)]}
    write_search(tmp_path, tried)
    note = shown(tmp_path)["Which setting matters"].note
    assert note.startswith("Not known of lstm, gru (2 trials finished, and 8 are the least that say anything); rnn (1 ")


def test_the_table_counts_what_became_of_trials_and_shows_what_was_chosen(folder: Path) -> None:
    panel = shown(folder)["Trials"]
    table = [dict(zip(panel.heading, row, strict=True)) for row in panel.rows]
    for row in table:
        own = [r for r in rows_of(folder) if r["cell"] == row["cell"]]
        assert {name: int(row[name]) for name in ("finished", "pruned", "diverged", "failed")} == {
            "finished": 8,
            "pruned": 2,
            "diverged": 1,
            "failed": 1,
        }
        best = min((r for r in own if r["state"] == "finished"), key=lambda r: float(r["validation"]))
        assert float(row["best validation mse"]) == pytest.approx(float(best["validation"]), rel=1e-3)
        assert float(row["learning_rate"].split()[0]) == pytest.approx(float(best[RATE]), rel=1e-2)
        assert float(row["training of trials (s)"]) == pytest.approx(sum(float(r["seconds"]) for r in own), rel=1e-2)


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (0.095, "The best optim.learning_rate (0.0001 to 0.1) lies at the high edge of its range for lstm 0.0950: "
                "widen it upwards and search again."),
        (0.000105, "The best optim.learning_rate (0.0001 to 0.1) lies at the low edge of its range for lstm 0.000105: "
                   "widen it downwards and search again."),
        (0.01, ""),
    ],
)  # fmt: skip
def test_a_best_setting_at_the_edge_of_its_range_is_a_caution(tmp_path: Path, rate: float, said: str) -> None:
    space = {RATE: Choice(1e-4, 1e-1, log=True)}
    trials = [Trial(0, {RATE: rate}, "finished", 0.1, 1.0), Trial(1, {RATE: 0.02}, "finished", 0.2, 1.0)]
    write_search(tmp_path, {"lstm": trials}, space=space)
    panel = shown(tmp_path)["Trials"]
    assert panel.note.startswith(said)
    assert bool(panel.note) == bool(said)
    assert ("edge" in panel.rows[0][3]) == bool(said)


def test_failures_that_are_the_same_but_for_a_step_are_one_row(folder: Path) -> None:
    panel = shown(folder)["Failures of trials"]
    assert [(which, count) for which, count, _ in panel.rows] == [("lstm 3; gru 3", "2"), ("lstm 4; gru 4", "2")]
    assert panel.rows[0][2] == LOST.format(100)
    assert "Where errors differ in a step or a seed alone" in panel.note


def test_many_different_errors_of_any_length_stay_a_table(tmp_path: Path) -> None:
    trials = [Trial(n, made_up(n).settings, "failed", None, 0.1, f"{'x' * 10_000} error {n}") for n in range(60)]
    write_search(tmp_path, {"lstm": trials})
    panel = shown(tmp_path)["Failures of trials"]
    assert len(panel.rows) == 40
    assert "20 other errors are in trials.csv" in panel.note
    assert max(len(text) for row in panel.rows for text in row) < 500


@pytest.mark.parametrize(
    "trials",
    [
        [made_up(0)],
        [Trial(n, made_up(n).settings, "failed", None, 0.1, LOST.format(n)) for n in range(3)],
        [Trial(0, made_up(0).settings, "pruned", 0.5, 0.1, "pruned")],
        [Trial(0, made_up(0).settings, "running"), Trial(1, {}, "waiting")],
        [Trial(0, {}, "waiting")],
        [Trial(n, made_up(0).settings, "finished", 0.5, 1.0) for n in range(2)],
        [Trial(n, made_up(n).settings, "finished", (-1.0) ** n, 1.0) for n in range(3)],
        [Trial(n, made_up(n).settings, "finished", 0.0, 1.0) for n in range(3)],
        [Trial(n, made_up(n).settings, "finished", 10.0 ** (300 * (n - 1)), 1.0) for n in range(3)],
    ],
)
def test_a_search_of_any_outcome_is_shown(tmp_path: Path, trials: Sequence[Trial]) -> None:
    write_search(tmp_path, {"lstm": trials})
    panels = shown(tmp_path)
    assert [row[0] for row in panels["Trials"].rows] == ["lstm"]
    assert ("Trials as parallel coordinates" in panels) == any(trial.settings for trial in trials)


def test_a_damaged_table_leaves_what_the_record_says(folder: Path) -> None:
    (folder / TUNING / "trials.csv").write_bytes(b"\xff\x00")
    panels = shown(folder)
    assert [row[0] for row in panels["Trials"].rows] == ["lstm", "gru"]
    assert panels["Trials"].rows[0][1] == "8"


def test_a_search_that_has_not_ended_is_shown_without_ranges_that_nobody_knows(make_study: Callable[..., Path]) -> None:
    folder = make_study("mine/tuning", 1, ("lstm", "gru")).parent
    panels = shown(folder)
    assert "The search has not ended" in panels["Trials"].note
    assert "edge" not in panels["Trials"].note
    assert sorted(row[:3] for row in panels["Trials"].rows) == [("gru", "1", "60.00"), ("lstm", "1", "60.00")]


def test_hostile_names_are_shown_as_they_are(tmp_path: Path) -> None:
    space = {"<script>alert(1)</script>": Choice(1e-4, 1, log=True), "a.<b>": Choice(values=("<i>x</i>", "y"))}
    trials = [made_up(n, space=space) for n in range(9)]
    lost = Trial(9, trials[0].settings, "failed", None, 1.0, "<img src=x onerror=alert(1)>")
    write_search(tmp_path, {"<b>cell</b>": [*trials, lost]}, space=space)
    for panel in shown(tmp_path).values():
        for name, drawn in panel.variants.items():
            assert "<script" not in json.dumps(drawn)
            assert "<b>" not in json.dumps(drawn)
            assert "<i>" not in json.dumps(drawn)
            assert name in ("", "every trial", "best quarter of each cell", *space, "<b>")
    assert shown(tmp_path)["Failures of trials"].rows[0][2] == "<img src=x onerror=alert(1)>"  # a table is text


def test_two_thousand_trials_stay_small(tmp_path: Path) -> None:
    cells = ("lstm", "gru", "rnn", "coupled_lstm")
    write_search(tmp_path, {cell: [made_up(n) for n in range(500)] for cell in cells})
    panels = search_panels(Study(tmp_path, ()))
    size = sum(len(json.dumps(list(panel.variants.values()), separators=(",", ":"))) for panel in panels)
    assert size < 2_000_000
