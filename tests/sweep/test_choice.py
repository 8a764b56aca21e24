"""The best trial is that of the best validation, and what was spent is counted whatever came of it."""

from __future__ import annotations

import pytest

from cellwise.compare.best_of_k import plug_in, unbiased
from cellwise.records.tuning import Trial
from cellwise.sweep.choice import best_trial, conclude, confirming
from cellwise.sweep.space import Range
from cellwise.sweep.tuning import Tuning
from cellwise.tasks.objective import Objective
from tests.sweep.test_tuning import study

LESS, MORE = Objective("error", "min", ""), Objective("accuracy", "max", "%")


def trial(number: int, validation: float | None, state: str = "finished") -> Trial:
    error = "no luck" if state == "failed" else None
    settings = {"optim.learning_rate": 0.001 * (number + 1)}
    return Trial(number, settings, state, validation, 1.0, error)  # type: ignore[arg-type]


def test_the_best_is_that_of_the_objectives_direction_and_the_first_of_equals() -> None:
    trials = [trial(0, 3.0), trial(1, 1.0), trial(2, 5.0), trial(3, 1.0), trial(4, 5.0)]
    assert best_trial(trials, LESS) == trials[1]
    assert best_trial(trials, MORE) == trials[2]


def test_only_finished_trials_are_chosen() -> None:
    trials = [trial(0, 0.5, "pruned"), trial(1, None, "failed"), trial(2, 3.0), trial(3, None, "waiting")]
    assert best_trial(trials, LESS) == trials[2]
    assert best_trial(trials[:2], LESS) is None


def test_each_combination_has_its_choice_its_counts_and_its_curves() -> None:
    tuning = Tuning(study({"optim.learning_rate": Range(1e-4, 1e-1, log=True)}), [])
    rnn = [trial(0, 3.0), trial(1, 2.0, "pruned"), trial(2, None, "failed")]
    gru = [trial(0, None, "failed"), trial(1, None, "failed"), trial(2, None, "failed")]
    record = conclude(tuning, {"rnn": rnn, "gru": gru})
    first, second = record.tuned
    assert (record.objective, record.direction) == ("mse", "min")
    assert (first.label, first.counts, first.ended) == ("rnn", {"finished": 1, "pruned": 1, "failed": 1}, 3)
    assert first.best is not None
    assert (first.best.trial, first.best.validation) == (0, 3.0)
    assert first.importance_missing == "1 trials finished, and 8 are the least that say anything"
    counted = [3.0, 2.0, 3.0]
    assert first.expected_best is not None
    assert first.expected_best.plug_in == pytest.approx(plug_in(counted, "min"))
    assert first.expected_best.unbiased == pytest.approx(unbiased(counted, "min"))
    assert (second.best, second.expected_best) == (None, None)
    runs = confirming(tuning, record)
    assert [run.label for run in runs] == ["rnn seed 10", "rnn seed 11"]
    assert runs[0].folder.parent.name == f"rnn-{first.best.identity}"
    assert runs[0].config["optim"]["learning_rate"] == 0.001


def test_seeds_of_the_confirming_runs_vary_slowest() -> None:
    tuning = Tuning(study(), [])
    record = conclude(tuning, {"rnn": [trial(0, 3.0)], "gru": [trial(1, 2.0)]})
    assert [run.label for run in confirming(tuning, record)] == [
        *("rnn seed 10", "gru seed 10", "rnn seed 11", "gru seed 11")
    ]
