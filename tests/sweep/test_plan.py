"""A plan is every run a sweep means, in order, each with its folder, before any of them starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.sweep import plan as plans
from cellwise.sweep.compose import Config, compose_both
from cellwise.sweep.plan import PlannedRun, choice_words, plan


def labels(runs: Sequence[PlannedRun]) -> list[str]:
    return [run.label for run in runs]


def test_one_configuration_is_one_run() -> None:
    [run] = plan(["cell=gru", "seed=3", "runs_dir=there", "study=mine"])
    assert run.label == "gru seed 3"
    assert run.folder.parts[:2] == ("there", "mine")
    assert run.folder.name == "seed-3"
    assert plan([])[0].label == "lstm seed 0"


def test_seeds_vary_slowest_so_that_every_cell_has_a_result_early() -> None:
    expected = ["rnn seed 0", "gru seed 0", "rnn seed 1", "gru seed 1"]
    assert labels(plan(["seed=0,1", "cell=rnn,gru"])) == expected
    assert labels(plan([], {"seed": [0, 1], "cell": ["rnn", "gru"]})) == expected


@pytest.mark.parametrize(
    ("word", "seeds"),
    [
        ("seed=3,1,2", [3, 1, 2]),
        ("seed=range(3)", [0, 1, 2]),
        ("seed=range(1,7,3)", [1, 4]),
        ("seed=choice(5,6)", [5, 6]),
        ("seed=sort(3,1)", [1, 3]),
    ],
)
def test_seeds_are_swept_in_hydras_grammar(word: str, seeds: list[int]) -> None:
    assert [run.config["seed"] for run in plan([word])] == seeds


def test_every_combination_is_planned_once() -> None:
    runs = plan(["cell=rnn,gru", "network.hidden_size=4,8", "optim.learning_rate=0.1,0.2,0.3", "seed=0,1"])
    assert len(runs) == len({run.folder for run in runs}) == 2 * 2 * 3 * 2
    chosen = {(r.config["cell"]["name"], r.config["network"]["hidden_size"], r.config["optim"]["learning_rate"],
               r.config["seed"]) for r in runs}  # fmt: skip
    assert len(chosen) == 24


def test_the_runs_of_one_configuration_lie_beside_each_other() -> None:
    runs = plan(["seed=0,1", "cell=rnn,gru"])
    assert len({run.folder.parent for run in runs}) == 2
    assert {**runs[0].config, "seed": 1} == runs[2].config
    runs[0].config["network"]["hidden_size"] = 1  # and share nothing that one could spoil for the other
    assert runs[2].config["network"]["hidden_size"] != 1


def test_a_sweeps_values_of_any_kind_arrive_as_they_are() -> None:
    sweep: dict[str, list[Any]] = {
        "network.tied": [True, False],
        "optim.clip_norm": [None, 0.5],
        "network.hidden_size": [4],
    }
    found = [(r.config["network"]["tied"], r.config["optim"]["clip_norm"]) for r in plan([], sweep)]
    assert found == [(True, None), (True, 0.5), (False, None), (False, 0.5)]


def test_a_swept_value_may_bring_overrides_of_its_own() -> None:
    sweep: dict[str, list[Any]] = {"cell": ["lstm", "coupled_lstm cell.peepholes=true cell.forget_bias=0"]}
    lstm, coupled = plan([], sweep)
    assert lstm.config["cell"] == {"name": "lstm", "forget_bias": 1.0}
    assert coupled.config["cell"] == {"name": "coupled_lstm", "forget_bias": 0, "peepholes": True}
    assert choice_words("data.path", "my = text.txt") == ["data.path=my = text.txt"]
    assert choice_words("data.path", "my text") == ["data.path=my text"]


def test_an_override_takes_the_place_of_a_studys_sweep() -> None:
    sweep: dict[str, list[Any]] = {"cell": ["rnn", "gru"], "seed": [0, 1, 2]}
    assert labels(plan(["seed=7"], sweep)) == ["rnn seed 7", "gru seed 7"]
    assert labels(plan(["cell=lstm", "seed=4,5"], sweep)) == ["lstm seed 4", "lstm seed 5"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["seed=1,1"], "the sweep means seed 1 twice"),
        (["cell=gru,gru"], "the sweep means gru seed 0 twice"),
        (["logger=none,[wandb,csv]"], "the sweep means lstm seed 0 twice"),  # not part of what it is
        (["seed=1,x"], "seed='x' must be a whole number, 0 or more"),
        (["seed=1,-2"], "seed=-2 must be a whole number, 0 or more"),
        (["seed=1,1.5"], "seed='1.5' must be a whole number, 0 or more"),
        (["seed=x"], "seed='x' must be a whole number"),
        (["launcher.jobs=1,2"], "launcher.jobs can't be swept: it is no part of what a run is"),
        (["launcher.failures=most"], "launcher.failures=most is not allowed; allowed: end, fast, max:N"),
        (["launcher=here"], "unknown launcher 'here'; allowed: local"),
        (["trainer.max_steps=1,0"], "trainer.max_steps=0 is too small"),
        (["cell=lstm,lstmm"], "unknown cell 'lstmm'; did you mean 'lstm'?"),
        (["seed=0,1", "nope=2"], "unknown key 'nope'; allowed: again, budget, cell"),
        (["seed=interval(0,1)"], "can't sweep 'seed=interval(0,1)'"),
        (["seed=glob(*)"], "can't sweep 'seed=glob(*)'"),
        (["cell=[a],b"], "cell=[a] is no choice; cell is one of: "),
    ],
)
def test_a_plan_with_a_mistake_is_refused_as_a_whole(overrides: list[str], said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        plan(overrides)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_an_outside_text_is_pinned_when_planned(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a b c d\n" * 30)
    [run] = plan(["data=text", f"data.path={tmp_path / 'text.txt'}"])
    assert len(run.config["data"]["sha256"]) == 64
    with pytest.raises(CellwiseError, match="no text at"):
        plan(["data=text", "data.path=/nowhere/text.txt"])


def test_outside_cells_are_swept_beside_ours(write_cell: Callable[..., Path]) -> None:
    file = write_cell("leaky_in_a_plan")
    assert labels(plan(["cell=gru,leaky_in_a_plan", f"cell_modules=[{file}]"])) == [
        "gru seed 0",
        "leaky_in_a_plan seed 0",
    ]


def test_what_follows_the_seed_follows_it_in_a_sweep_too() -> None:
    runs = plan(["data.seed=${seed}", "seed=1,2"])
    assert [(run.config["seed"], run.config["data"]["seed"]) for run in runs] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("key", ["study", "runs_dir"])
def test_a_sweep_is_one_study_in_one_folder(key: str) -> None:
    with pytest.raises(CellwiseError, match=f"{key} can't be swept"):
        plan([f"{key}=a,b"])


def test_a_large_plan_is_made_while_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 runs of 20 configurations: 8 are composed to try each value, the others when their turn comes."""
    composed: list[Sequence[str]] = []

    def count(words: Sequence[str]) -> tuple[Config, Config]:
        composed.append(words)
        return compose_both(words)

    monkeypatch.setattr(plans, "compose_both", count)
    runs = plan(["network.hidden_size=1,2,3,4,5", "optim.learning_rate=0.1,0.2,0.3,0.4", "seed=range(50)"])
    assert len(runs) == 1000
    assert len(composed) == 8
    assert runs[4].config["network"]["hidden_size"] == 2
    assert len(composed) == 8
    assert runs[-1].config["seed"] == 49
    assert len(composed) == 20


def test_values_that_exclude_each_other_are_refused_when_their_turn_comes() -> None:
    runs = plan(["trainer.max_epochs=1,null", "trainer.max_steps=5,null"])
    assert len(runs[:3]) == 3
    with pytest.raises(CellwiseError, match="training would never end"):
        runs[3]
