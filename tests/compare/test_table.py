"""Rows and sentences of a comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cellwise.compare.improvement import probability_of_improvement
from cellwise.compare.power import seeds_needed, smallest_detectable_difference
from cellwise.compare.statistics import mean_interval
from cellwise.compare.table import Comparison, compare, settings_that_differ
from cellwise.records.store import load_study

AddRun = Callable[..., Path]
Made = Callable[..., dict[str, Any]]


@pytest.fixture
def compared(
    tmp_path: Path, add_run: AddRun, made_up_run_info: Made, made_up_summary: Made
) -> Callable[..., Comparison]:
    """Compare configurations given as name-identity to scores by seed."""

    def build(scores: dict[str, list[float | None]], **changes: Any) -> Comparison:
        for folder, values in scores.items():
            cell = folder[:-9]
            for seed, value in enumerate(values):
                result = made_up_summary(cell, seed, value, **changes)
                add_run(tmp_path / "study" / folder / f"seed-{seed}", made_up_run_info(cell, seed), result)
        (comparison,) = compare(load_study(tmp_path / "study"))
        return comparison

    return build


def test_a_row_holds_the_plain_statistics_of_its_seeds(compared: Callable[..., Comparison]) -> None:
    values = [61.0, 63.5, 60.25, 62.0]
    (row,) = compared({"gru-00000000": values}).rows
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert row.n == 4
    assert (row.mean, row.median) == pytest.approx((np.mean(values), 61.5))
    assert (row.sd, row.low, row.high) == pytest.approx((np.std(values, ddof=1), low, high))
    assert row.values == dict(enumerate(values))
    assert (row.throughput, row.throughput_unit, row.train_seconds) == (21015.0, "tokens/s", 42.5)
    assert (row.parameters_total, row.parameters_recurrent) == (123456, 45678)


@pytest.mark.parametrize(("direction", "order"), [("min", ["gru", "lstm", "rnn"]), ("max", ["rnn", "lstm", "gru"])])
def test_rows_are_sorted_best_first(direction: str, order: list[str], compared: Callable[..., Comparison]) -> None:
    scores = {"lstm-00000000": [2.0, 2.1], "rnn-00000000": [3.0, 3.1], "gru-00000000": [1.0, 1.1]}
    assert [row.label for row in compared(scores, direction=direction).rows] == order


def test_a_clear_difference_names_the_better_cell_in_the_objectives_direction(
    compared: Callable[..., Comparison],
) -> None:
    scores: dict[str, list[float | None]] = {
        "gru-00000000": [10.0, 10.5, 9.5],
        "rnn-00000000": [20.1, 20.4, 19.6],
    }
    d = np.array(scores["rnn-00000000"], dtype=float) - np.array(scores["gru-00000000"], dtype=float)
    low, high = stats.t.interval(0.95, 2, d.mean(), stats.sem(d))
    (pair,) = compared(scores).verdict.pairs
    assert pair.told_apart
    assert pair.sentence == (
        f"gru is better than rnn by 10.03 [{low:.2f}, {high:.2f}] perplexity (p < 0.001) "
        "and wins 100 % [50, 100] of single runs."
    )
    assert pair.wins == probability_of_improvement([-10.0, -10.5, -9.5], [-20.1, -20.4, -19.6])
    assert pair.smallest == smallest_detectable_difference(pair.difference.sd, 3)


def test_with_direction_max_the_higher_cell_is_better(compared: Callable[..., Comparison]) -> None:
    scores = {"gru-00000000": [0.5, 0.51, 0.49], "rnn-00000000": [0.7, 0.72, 0.69]}
    (pair,) = compared(scores, direction="max", unit="", objective="accuracy", floors={}).verdict.pairs
    assert pair.sentence.startswith("rnn is better than gru by 0.2")
    assert " accuracy (p" in pair.sentence


def test_an_open_difference_says_how_many_seeds_would_settle_it(compared: Callable[..., Comparison]) -> None:
    # differences +1, -1, +1, -1, +1: mean 0.2, sd 1.0954, effect 0.1826
    scores = {"gru-00000000": [50.0] * 5, "lstm-00000000": [51.0, 49.0, 51.0, 49.0, 51.0]}
    comparison = compared(scores)
    (pair,) = comparison.verdict.pairs
    assert not pair.told_apart
    # n of a paired t-test at effect 0.18257, power 0.8: normal 235.5, and about 2 more for t
    expected = "about 238 would be needed to see the difference observed (0.40 %)."
    assert pair.sentence == f"gru is not distinguishable from lstm with 5 seeds; {expected}"
    assert "5 seeds can separate cells that differ by about 1.8 perplexity (3.7 %)" in comparison.verdict.separation


def test_many_pairs_are_corrected(study_folder: Path) -> None:
    (comparison,) = compare(load_study(study_folder))
    assert len(comparison.verdict.pairs) == 10
    assert "corrected for 10 pairs" in comparison.verdict.separation
    for pair in comparison.verdict.pairs:
        assert pair.p >= pair.difference.p
        assert pair.told_apart == (pair.p < 0.05)


def test_a_p_value_that_only_the_correction_takes_away_is_no_verdict(
    compared: Callable[..., Comparison],
) -> None:
    # gru and lstm differ with p = 0.020 alone, which is 0.059 among three pairs by Holm
    scores = {
        "gru-00000000": [50.0, 51.0, 52.0, 50.5, 51.5],
        "lstm-00000000": [51.0, 53.0, 52.5, 51.0, 53.0],
        "peephole_lstm-00000000": [53.0, 51.0, 53.0, 50.0, 53.5],
    }
    pairs = {(pair.better, pair.other): pair for pair in compared(scores).verdict.pairs}
    pair = pairs["gru", "lstm"]
    assert pair.difference.p < 0.05 < pair.p
    assert not pair.told_apart
    needed = seeds_needed(pair.difference.mean, pair.difference.sd, alpha=0.05 / 3)
    assert needed is not None
    assert needed > 5
    assert f"with 5 seeds; about {needed} would be needed" in pair.sentence


def test_one_seed_separates_nothing(make_study: Callable[..., Path]) -> None:
    (comparison,) = compare(load_study(make_study("single", 1)))
    assert comparison.verdict.separation.startswith("One seed separates nothing")
    assert comparison.verdict.pairs == ()
    assert all(math.isnan(row.sd) for row in comparison.rows)


def test_every_verdict_says_that_nothing_was_tuned(study_folder: Path) -> None:
    (comparison,) = compare(load_study(study_folder))
    assert "same settings" in comparison.verdict.caveats[0]
    assert "none was tuned" in comparison.verdict.caveats[0]


def test_identical_scores_are_called_identical(compared: Callable[..., Comparison]) -> None:
    (pair,) = compared({"gru-00000000": [5.0, 6.0], "lstm-00000000": [5.0, 6.0]}).verdict.pairs
    assert pair.sentence == "gru and lstm gave the same perplexity with every seed."


@pytest.mark.parametrize(("seeds", "says"), [(3, False), (4, True)])
def test_of_few_seeds_nobody_says_how_many_would_tell(
    compared: Callable[..., Comparison], seeds: int, says: bool
) -> None:
    scores = [5.0, 6.3, 5.4, 6.1][:seeds]
    (pair,) = compared({"gru-00000000": scores, "lstm-00000000": [*list(reversed(scores))[:-1], 7.0]}).verdict.pairs
    assert ("would be needed to see the difference observed" in pair.sentence) == says
    assert pair.sentence.endswith("with 3 seeds, too few to say how many would be needed.") == (not says)


def test_a_difference_that_is_the_same_with_few_seeds_is_no_verdict(compared: Callable[..., Comparison]) -> None:
    (pair,) = compared({"gru-00000000": [5.0, 6.0], "lstm-00000000": [5.5, 6.5]}).verdict.pairs
    assert not pair.told_apart
    assert pair.sentence == (
        "gru is ahead of lstm by the same 0.5000 with each of 2 seeds, too few to be sure; "
        "about 6 would be needed to see the difference observed (8.3 %)."
    )


def test_ten_seeds_have_a_bootstrapped_interval(compared: Callable[..., Comparison]) -> None:
    values: list[float | None] = [50.0, 50.1, 50.2, 50.2, 50.3, 50.4, 50.5, 50.7, 52.0, 56.0]
    (row,) = compared({"gru-00000000": values}).rows
    assert (row.mean, row.low, row.high) == mean_interval(np.array(values, dtype=float))
    assert row.high - row.mean > 1.5 * (row.mean - row.low)


def test_what_a_step_costs_is_in_the_row(compared: Callable[..., Comparison]) -> None:
    (row,) = compared({"gru-00000000": [1.0, 2.0]}).rows
    assert row.flops_per_step == 91356


def test_seeds_that_do_not_pair_are_compared_by_their_means(
    tmp_path: Path, add_run: AddRun, made_up_run_info: Made, made_up_summary: Made
) -> None:
    a, b = {0: 10.0, 1: 10.5, 2: 9.5}, {7: 20.0, 8: 20.5, 9: 19.7, 10: 21.0}
    for cell, values in (("gru", a), ("rnn", b)):
        for seed, value in values.items():
            run = tmp_path / f"{cell}-00000000" / f"seed-{seed}"
            add_run(run, made_up_run_info(cell, seed), made_up_summary(cell, seed, value))
    (comparison,) = compare(load_study(tmp_path))
    expected = stats.ttest_ind(list(a.values()), list(b.values()), equal_var=False)
    assert comparison.verdict.pairs[0].p == pytest.approx(expected.pvalue)


def test_two_configurations_of_one_cell_are_shown_apart(compared: Callable[..., Comparison]) -> None:
    scores = {"lstm-11111111": [1.0, 1.1], "lstm-2222aaaa": [3.0, 3.1], "gru-00000000": [2.0, 2.1]}
    assert [row.label for row in compared(scores).rows] == ["lstm-11111111", "gru", "lstm-2222aaaa"]


def test_failed_diverged_and_killed_runs_are_counted_and_named(troubled_folder: Path) -> None:
    (comparison,) = compare(load_study(troubled_folder))
    counts = {row.label: (row.n, row.failed, row.running) for row in comparison.rows}
    assert counts == {"lstm": (3, 1, 1), "gru": (3, 2, 0)}
    named = {(f.label, f.seed): f.error for f in comparison.failures}
    assert named["gru", 3] == "RuntimeError: out of memory"
    assert named["gru", 4] == "diverged: perplexity is not a finite number"
    assert "not readable" in named["lstm", 4]


def test_cells_that_do_not_beat_a_floor_are_named(compared: Callable[..., Comparison]) -> None:
    scores = {"gru-00000000": [50.0, 51.0], "rnn-00000000": [96.0, 97.0]}
    caveats = compared(scores).verdict.caveats
    assert "Not better than the best floor (bigram, 95.70): rnn." in caveats


def test_runs_of_two_tasks_are_compared_apart(
    study_folder: Path, add_run: AddRun, made_up_run_info: Made, made_up_summary: Made
) -> None:
    for seed in range(2):
        info = made_up_run_info("gru", seed, task="adding", identity="99999999")
        result = made_up_summary("gru", seed, 0.1, task="adding", objective="mse", unit="")
        add_run(study_folder / "gru-99999999" / f"seed-{seed}", info, result)
    adding, language = compare(load_study(study_folder))
    assert [(c.task, c.objective) for c in (adding, language)] == [
        ("adding", "mse"),
        ("language", "perplexity"),
    ]
    assert [row.label for row in adding.rows] == ["gru"]
    assert "gru" in [row.label for row in language.rows]


def test_a_study_that_has_only_started_has_nothing_to_compare(
    tmp_path: Path, add_run: AddRun, made_up_run_info: Made
) -> None:
    add_run(tmp_path / "gru-0123abcd" / "seed-0", made_up_run_info("gru", 0, status="running"))
    (comparison,) = compare(load_study(tmp_path))
    assert comparison.verdict.separation == "No run has finished: there is nothing to compare yet."
    assert (comparison.rows[0].n, comparison.rows[0].running) == (0, 1)


def test_settings_that_differ_are_named_but_not_cells_seeds_or_machines() -> None:
    one = {
        "cell": {"name": "lstm"},
        "seed": 1,
        "network": {"hidden_size": 4},
        "trainer": {"threads": 1, "max_epochs": 2},
    }
    two = {
        "cell": {"name": "gru"},
        "seed": 2,
        "network": {"hidden_size": 8},
        "trainer": {"threads": 2, "max_epochs": 2},
    }
    assert settings_that_differ([one, two]) == ["network.hidden_size"]
    assert settings_that_differ([one, {**two, "network": one["network"]}]) == []


def test_a_hidden_size_that_a_budget_found_is_no_setting_that_differs() -> None:
    def sized(cell: str, hidden_size: int, budget: str | None) -> dict[str, Any]:
        return {"cell": {"name": cell}, "network": {"hidden_size": hidden_size, "num_layers": 1}, "budget": budget}

    lstm, gru = sized("lstm", 4, "params:100"), sized("gru", 5, "params:100")
    assert settings_that_differ([lstm, gru]) == []
    assert settings_that_differ([lstm, {**gru, "network": {"hidden_size": 5, "num_layers": 2}}]) == [
        "network.num_layers"
    ]
    assert settings_that_differ([sized("lstm", 4, None), sized("gru", 5, None)]) == ["network.hidden_size"]
    assert settings_that_differ([lstm, sized("gru", 5, None)]) == ["budget", "network.hidden_size"]
    assert "budget" in settings_that_differ([lstm, sized("gru", 5, "params:200")])
    without = {key: value for key, value in sized("gru", 4, None).items() if key != "budget"}
    assert settings_that_differ([sized("lstm", 4, None), without]) == []  # a record older than budgets


def test_a_comparison_at_equal_cost_says_so(compared: Callable[..., Comparison], tmp_path: Path) -> None:
    assert not compared({"lstm-00000000": [1.0, 1.1], "gru-00000000": [1.2, 1.4]}).sized
    for cell, hidden_size in (("lstm", 4), ("gru", 5)):
        for seed in (0, 1):
            (tmp_path / "study" / f"{cell}-00000000" / f"seed-{seed}" / "config.yaml").write_text(
                f"{{cell: {{name: {cell}}}, network: {{hidden_size: {hidden_size}}}, budget: 'params:100'}}"
            )
    (comparison,) = compare(load_study(tmp_path / "study"))
    assert comparison.sized
    assert comparison.verdict.caveats[0].startswith("Each cell's recurrent layers were sized to params:100. All cells")


def test_an_interval_is_computed_as_it_is_and_shown_where_scores_can_be(compared: Callable[..., Comparison]) -> None:
    scores = {"gru-00000000": [0.001, 0.010, 0.002], "rnn-00000000": [0.1, 0.11, 0.12]}
    comparison = compared(scores, objective="mse", unit="", floors={}, optimum=None)
    gru, rnn = comparison.rows
    assert gru.low < 0
    assert comparison.shown_interval(gru) == (0.0, gru.high)
    assert comparison.shown_interval(rnn) == (rnn.low, rnn.high)
    assert comparison.cut == "cut at 0"


@pytest.mark.parametrize(
    ("values", "objective", "optimum"), [([61.0, 62.0], "perplexity", 52.1), ([0.1, 5.0], "their_loss", None)]
)
def test_nothing_is_cut_where_no_interval_reaches_the_end_or_none_is_known(
    values: list[float | None], objective: str, optimum: float | None, compared: Callable[..., Comparison]
) -> None:
    comparison = compared({"gru-00000000": values}, objective=objective, optimum=optimum)
    (row,) = comparison.rows
    assert comparison.cut == ""
    assert comparison.shown_interval(row) == (row.low, row.high)


def test_where_less_can_be_seen_than_lies_between_best_cell_and_worst_floor_the_verdict_is_nothing(
    compared: Callable[..., Comparison],
) -> None:
    scores = {"gru-00000000": [0.12, 0.20], "rnn-00000000": [0.18, 0.15]}
    floors = {"mean": 0.17, "second": 0.08}
    comparison = compared(scores, objective="mse", unit="", floors=floors, optimum=0.0)
    d = np.array([0.12 - 0.18, 0.20 - 0.15])
    smallest = smallest_detectable_difference(float(d.std(ddof=1)), 2)
    assert smallest > 0.17 - 0.16
    assert comparison.verdict.separation == (
        "2 seeds separate nothing here: at the scatter typical here two cells would have to differ by about "
        f"{smallest:.2f} mse (80 % power), and from the best cell to the worst floor (mean) it is no more than 0.010."
    )
    assert comparison.verdict.apart == ()
    assert comparison.verdict.undecided == comparison.verdict.pairs


@pytest.mark.parametrize(
    ("rnn", "floors"),
    [
        ([0.18, 0.15], {}),
        ([0.18, 0.15], {"mean": 1.7}),
        ([0.18, 0.15], {"mean": 0.15}),  # no cell beats it, so how far apart they may be is not known
        ([0.22, 0.3001], {"mean": 0.1601}),
    ],
)
def test_a_pair_that_is_told_apart_or_room_enough_or_no_floor_is_not_nothing(
    rnn: list[float | None], floors: dict[str, float], compared: Callable[..., Comparison]
) -> None:
    comparison = compared({"gru-00000000": [0.12, 0.20], "rnn-00000000": rnn}, floors=floors, objective="mse", unit="")
    verdict = comparison.verdict
    assert verdict.separation.startswith("2 seeds can separate cells that differ by about")
    assert len(verdict.apart) == (rnn[0] == 0.22)


def test_of_an_objective_to_maximise_the_worst_floor_is_the_lowest(compared: Callable[..., Comparison]) -> None:
    scores = {"gru-00000000": [0.50, 0.60], "rnn-00000000": [0.58, 0.50]}
    floors = {"chance": 0.5, "better": 0.54}
    verdict = compared(scores, direction="max", objective="accuracy", unit="", floors=floors, optimum=None).verdict
    assert "from the best cell to the worst floor (chance) it is no more than 0.050." in verdict.separation


def test_the_best_of_more_configurations_is_tuned_more_and_that_is_said(compared: Callable[..., Comparison]) -> None:
    several = {f"lstm-{digit * 8}": [1.0 + digit_number, 1.1] for digit_number, digit in enumerate("123")}
    caveats = compared({**several, "gru-00000000": [2.0, 2.1]}).verdict.caveats
    said = "Cells are here with unequal numbers of configurations (gru 1, lstm 3): the best of more is tuned more."
    assert said in caveats


def test_of_cells_with_one_configuration_each_nothing_is_said_of_configurations(
    compared: Callable[..., Comparison],
) -> None:
    caveats = compared({"lstm-00000000": [1.0, 1.1], "gru-00000000": [2.0, 2.1]}).verdict.caveats
    assert not any("configurations" in caveat for caveat in caveats)
