"""The verdict's evidence: what the tables and the matrix say is what the comparison computed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go
import pytest

from cellwise.compare.coverage import RUNS, stated
from cellwise.compare.improvement import probability_of_improvement
from cellwise.compare.statistics import paired_difference
from cellwise.compare.table import Comparison, compare
from cellwise.records.store import load_study
from cellwise.report.theme import BLUE, VERMILLION
from cellwise.report.verdict_panels import (
    MOST_NUMBERED,
    against_the_best,
    coverage,
    improvement,
    leader,
    pairs_table,
)


@pytest.fixture
def comparison(study_folder: Path) -> Comparison:
    """Five cells with five seeds."""
    (found,) = compare(load_study(study_folder))
    return found


def test_each_square_is_how_often_the_row_beats_the_column(comparison: Comparison) -> None:
    figure = improvement(comparison).variants[""]
    go.Figure(figure)
    json.dumps(figure, allow_nan=False)
    (trace,) = figure["data"]
    rows = {row.label: row for row in comparison.rows}
    assert trace["x"] == trace["y"] == list(rows)
    for i, one in enumerate(rows.values()):
        for j, other in enumerate(rows.values()):
            if one is other:
                assert trace["z"][i][j] is None
                continue
            wins = probability_of_improvement(list(one.values.values()), list(other.values.values()), direction="min")
            assert trace["z"][i][j] == pytest.approx(wins.value, abs=1e-4)
            said = f"{one.label} beats {other.label} in {100 * wins.value:.0f} % of single runs, "
            assert trace["customdata"][i][j] == f"{said}95 % interval {100 * wins.low:.0f} to {100 * wins.high:.0f} %"
            assert ("*" in trace["text"][i][j]) == (wins.low > 0.5 or wins.high < 0.5)
    assert (trace["colorscale"][0][1], trace["colorscale"][-1][1]) == (VERMILLION, BLUE)


def test_numbers_are_left_out_where_they_do_not_fit(make_study: Callable[..., Path]) -> None:
    cells = [f"cell_{k}" for k in range(MOST_NUMBERED + 1)]
    (comparison,) = compare(load_study(make_study("wide", 2, cells)))
    (trace,) = improvement(comparison).variants[""]["data"]
    assert "texttemplate" not in trace
    assert len(trace["z"]) == MOST_NUMBERED + 1


def test_a_pair_is_one_row_with_the_difference_as_the_better_cell_has_it(comparison: Comparison) -> None:
    panel = pairs_table(comparison)
    rows = {(row[0], row[1]): row for row in panel.rows}
    assert len(rows) == 10
    values = {row.label: row.values for row in comparison.rows}
    for (better, other), row in rows.items():
        seeds = sorted(values[better])
        d = paired_difference([values[other][s] for s in seeds], [values[better][s] for s in seeds])
        assert d.mean > 0
        low, high = (float(text) for text in row[3].split(" to "))
        assert float(row[2]) == pytest.approx(d.mean, abs=0.06)
        assert (low, high) == pytest.approx((d.low, d.high), abs=0.06)
        assert row[9] == (
            "yes"
            if any(p.told_apart for p in comparison.verdict.pairs if p.better == better and p.other == other)
            else "no"
        )
    assert float(panel.rows[0][4].removeprefix("< ")) <= float(panel.rows[-1][4].removeprefix("< "))


def test_a_pair_that_is_not_ahead_on_shared_seeds_keeps_its_interval_in_order(comparison: Comparison) -> None:
    pair = comparison.verdict.pairs[0]
    turned = dataclasses.replace(pair, difference=pair.difference._replace(mean=0.5, low=-0.25, high=1.25))
    (row,) = pairs_table(
        dataclasses.replace(comparison, verdict=dataclasses.replace(comparison.verdict, pairs=(turned,)))
    ).rows
    assert row[2:4] == ("0.5", "-0.2 to 1.2")


def test_the_leader_and_who_may_be_as_good_are_named(comparison: Comparison) -> None:
    assert leader(comparison) == "peephole_lstm is in front; not told apart from it: lstm."
    against = against_the_best(comparison)
    assert against["peephole_lstm"] == "best mean"
    assert against["lstm"] == "not told apart"
    assert against["rnn"] == "worse, p < 0.001"


def test_one_cell_has_no_leader(make_study: Callable[..., Path]) -> None:
    (alone,) = compare(load_study(make_study("alone", 3, ("lstm",))))
    assert leader(alone) == ""
    assert pairs_table(alone).rows == ()


def test_coverage_is_what_was_simulated_at_the_number_of_runs_at_hand(comparison: Comparison) -> None:
    panel = coverage(comparison)
    assert panel is not None
    assert panel.heading[2:] == ("n = 3", "n = 5 (as here)", "n = 10", "n = 20", "n = 30")
    known = {(one.interval, one.scores, one.n): one.percent for one in stated()}
    for interval, scores, *percents in panel.rows:
        assert percents == [f"{known[interval, scores, n]:.0f} %" for n in RUNS]  # type: ignore[index]


def test_below_three_runs_nothing_was_simulated(make_study: Callable[..., Path]) -> None:
    (two,) = compare(load_study(make_study("two", 2)))
    assert coverage(two) is None
