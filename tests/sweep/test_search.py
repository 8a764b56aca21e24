"""A search hands out the runs of trials, and makes of their ends what the trials come to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.records.planned import read_plan
from cellwise.records.tuning import Trial
from cellwise.sweep.plan import PlannedRun
from cellwise.sweep.pool import Result
from cellwise.sweep.search import Search
from cellwise.sweep.space import Values
from cellwise.sweep.tuning import Tuning
from tests.sweep.test_tuning import study

Ended = Callable[..., str]


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Search]:
    """`search(words, **changes of tune)`; nothing that it gives is run."""
    monkeypatch.setattr("cellwise.sweep.search._LOOK_SECONDS", 0.0)
    return lambda *words, **changes: Search(Tuning(study(**changes), [f"runs_dir={tmp_path}", *words]))


@pytest.fixture
def end(made_up_summary: Callable[..., dict[str, Any]], made_up_run_info: Any) -> Ended:
    """`end(search, run, validation, status)`: as if a run had ended."""

    def ended(search: Search, run: PlannedRun, validation: float | None = 1.0, status: Any = "finished") -> str:
        run.folder.mkdir(parents=True, exist_ok=True)
        rows = [{"step": step, "validation_mse": 10.0 - step, "seconds": 0.5 * step} for step in (1, 2)]
        (run.folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if status in ("finished", "skipped"):
            value = None if validation is not None and math.isnan(validation) else validation
            made_up = made_up_summary("rnn", 0, 5.0, validation=value, train_seconds=3.0)
            (run.folder / "summary.json").write_text(json.dumps(made_up))
        return search.told(Result(run, status, f"test note of {status}"))

    return ended


def take_all(search: Search) -> list[PlannedRun]:
    runs = []
    while (run := search.take()) is not None:
        runs.append(run)
    return runs


def test_cells_take_turns_and_each_run_is_in_the_plan_of_tuning(search: Callable[..., Search], tmp_path: Path) -> None:
    one = search(trials=2)
    runs = take_all(one)
    assert [one.label(run) for run in runs] == ["rnn trial 0", "gru trial 0", "rnn trial 1", "gru trial 1"]
    assert read_plan(tmp_path / "mine" / "tuning") == [f"{r.folder.parent.name}/{r.folder.name}" for r in runs]
    assert len(one) == 4
    assert not one.exhausted()
    assert not one.plan_ahead()


def test_the_same_trial_of_each_cell_has_the_same_settings(search: Callable[..., Search]) -> None:
    rates = [run.config["optim"]["learning_rate"] for run in take_all(search(trials=2))]
    assert rates[0] == rates[1] != rates[2] == rates[3]


def test_what_is_said_of_a_run_is_its_validation_and_never_its_test(search: Callable[..., Search], end: Ended) -> None:
    one = search(trials=1)
    [rnn, gru] = take_all(one)
    assert end(one, rnn, 0.123456) == "validation mse 0.12346"
    assert end(one, gru, status="failed") == "test note of failed"


def test_seeds_of_a_trial_follow_each_other_and_are_averaged(search: Callable[..., Search], end: Ended) -> None:
    one = search(trials=1, seeds=(3, 4))
    runs = take_all(one)
    assert [one.label(run) for run in runs] == [
        *("rnn trial 0 seed 3", "rnn trial 0 seed 4", "gru trial 0 seed 3", "gru trial 0 seed 4")
    ]
    end(one, runs[0], 1.0)
    assert one.trials()["rnn"][0].state == "running"
    assert one.ended() == 0
    end(one, runs[1], 2.0, "skipped")
    found = one.trials()["rnn"][0]
    assert (found.state, found.validation, found.seconds) == ("finished", 1.5, 6.0)
    assert one.ended() == 1


def test_a_seed_that_fails_is_the_failure_of_its_trial_and_spares_the_others(
    search: Callable[..., Search], end: Ended
) -> None:
    one = search(trials=1, seeds=(3, 4))
    first = one.take()
    assert first is not None
    end(one, first, status="failed")
    found = one.trials()["rnn"][0]
    assert (found.state, found.error, found.seconds) == ("failed", "seed 3: test note of failed", 1.0)
    assert [one.label(run) for run in take_all(one)] == ["gru trial 0 seed 3", "gru trial 0 seed 4"]


def test_a_validation_that_is_no_number_is_a_failure_and_never_a_crash(
    search: Callable[..., Search], end: Ended
) -> None:
    one = search(trials=1)
    [rnn, gru] = take_all(one)
    end(one, rnn, math.nan)
    end(one, gru, 2.0)
    found = one.trials()["rnn"][0]
    assert (found.state, found.error) == ("failed", "diverged: validation_mse is no finite number")
    assert one.exhausted()


def test_a_pruned_run_is_a_pruned_trial_with_the_best_that_it_had_reached(
    search: Callable[..., Search], end: Ended
) -> None:
    one = search(trials=1, prune="median")
    run = one.take()
    assert run is not None
    end(one, run, status="pruned")
    found = one.trials()["rnn"][0]
    assert (found.state, found.validation, found.seconds) == ("pruned", 8.0, 1.0)


def test_a_run_that_falls_behind_is_pruned_with_a_reason(search: Callable[..., Search], end: Ended) -> None:
    one = search(trials=7, prune="median")
    runs = [run for run in take_all(one) if run.config["cell"]["name"] == "rnn"]
    for run in runs[:6]:
        assert one.watch(run, {"step": 1, "validation_mse": 2.0}) is None
        assert one.watch(run, {"step": 1, "train_mse": 9.0}) is None
        end(one, run, 2.0)
    late = runs[6]
    assert one.watch(late, {"step": 1, "validation_mse": math.nan}) is None
    assert one.watch(late, {"step": 1, "validation_mse": None}) is None
    assert one.watch(late, {"step": 1, "validation_mse": 3.0}) == (
        "pruned at step 1: validation_mse 3 falls behind (median)"
    )


def test_a_pruner_looks_back_at_what_a_run_had_logged_before_it_was_cut_off(
    search: Callable[..., Search], tmp_path: Path
) -> None:
    gone = search(trials=1, prune="median")
    run = gone.take()
    assert run is not None
    run.folder.mkdir(parents=True)
    (run.folder / "metrics.jsonl").write_text('{"step": 4, "validation_mse": 0.5}\n')
    gone.close()
    other = search(trials=1, prune="median")
    assert [other.label(r) for r in take_all(other)] == ["rnn trial 0", "gru trial 0"]
    lines = (tmp_path / "mine" / "tuning" / "optuna.journal").read_text().splitlines()
    reported = [each for each in map(json.loads, lines) if "step" in each]
    assert [(each["step"], each["intermediate_value"]) for each in reported] == [(4, 0.5)]


def test_two_trials_that_mean_one_run_both_end_with_it(search: Callable[..., Search], end: Ended) -> None:
    one = search(space={"optim.learning_rate": Values((0.1, 0.2))}, trials=6, sweep={"cell": ["rnn"]})
    runs = take_all(one)
    assert len(runs) == 6
    assert len({run.folder for run in runs}) == 2
    for run in runs:
        end(one, run, run.config["optim"]["learning_rate"], "skipped")
    assert one.exhausted()
    assert all(trial.validation == trial.settings["optim.learning_rate"] for trial in one.trials()["rnn"])


def test_settings_that_are_not_allowed_together_are_a_failed_trial(search: Callable[..., Search]) -> None:
    """Each is allowed beside the low ends of the others, which is all that can be tried before."""
    space = {"optim.momentum": Values((0.0, 0.9)), "optim.nesterov": Values((False, True))}
    overrides = ("task=memory", "optim=sgd", "optim.decay_after_epochs=null")
    with pytest.raises(Exception, match=r"optim\.nesterov=true needs a momentum"):
        search(space=space, sampler="grid", trials=4, overrides=overrides)
    space = {"optim.nesterov": Values((False, True)), "optim.momentum": Values((0.5, 0.0, 0.9))}
    one = search(space=space, sampler="grid", trials=6, overrides=overrides, sweep={"cell": ["rnn"]})
    assert [one.label(run) for run in take_all(one)] == [f"rnn trial {number}" for number in (0, 1, 2, 3, 5)]
    failed = one.trials()["rnn"][4]
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.startswith("optim.nesterov=true needs a momentum")


def test_a_grid_is_one_of_listed_values(search: Callable[..., Search], end: Ended) -> None:
    one = search(space={"optim.learning_rate": Values((0.1, 0.2))}, sampler="grid", trials=2)
    for run in take_all(one):
        end(one, run, 1.0)
    assert one.exhausted()
    assert one.trials()["gru"][1] == Trial(1, {"optim.learning_rate": 0.2}, "finished", 1.0, 3.0)
    one.close()
