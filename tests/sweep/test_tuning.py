"""A study of two phases is planned, and refused, before its first run."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.tuning import Choice, How
from cellwise.sweep.phases import Phases, Tune
from cellwise.sweep.space import Dimension, Range, Values
from cellwise.sweep.study import StudyFile, load_study_file
from cellwise.sweep.tuning import Tuning

RATE = Range(1e-4, 1e-1, log=True)


def study(
    space: dict[str, Dimension] | None = None,
    sweep: dict[str, list[Any]] | None = None,
    overrides: Sequence[str] = ("task=memory", "network.hidden_size=4"),
    confirm: tuple[int, ...] = (10, 11),
    **changes: Any,
) -> StudyFile:
    given = {"seeds": (0,), "sampler": "random", "trials": 3, "prune": None, "overrides": (), "sampler_seed": 0}
    tune = Tune(space={"optim.learning_rate": RATE} if space is None else space, **{**given, **changes})
    return StudyFile("mine", "?", list(overrides), sweep or {"cell": ["rnn", "gru"]}, Phases(tune, confirm))


def test_each_swept_combination_is_tuned_alike() -> None:
    sweep: dict[str, list[Any]] = {"cell": ["rnn", "gru"], "data.length": [10, 20]}
    tuning = Tuning(study(sweep=sweep), [])
    assert [c.label for c in tuning.combinations] == [
        *("rnn data.length=10", "rnn data.length=20", "gru data.length=10", "gru data.length=20")
    ]
    assert tuning.combinations[1].swept == {"cell": "rnn", "data.length": "20"}
    assert len({c.name for c in tuning.combinations}) == 4
    assert tuning.trials == 12
    assert tuning.how == How("random", 0, (0,), 3, None, (), {"optim.learning_rate": Choice(1e-4, 1e-1, log=True)})
    assert (tuning.objective.metric, tuning.objective.direction) == ("mse", "min")


def test_a_swept_cell_may_bring_options() -> None:
    tuning = Tuning(study(sweep={"cell": ["rnn", "coupled_lstm cell.peepholes=true"]}), [])
    coupled = tuning.combinations[1]
    assert (coupled.label, coupled.cell, coupled.swept) == ("coupled_lstm", "coupled_lstm", {"cell": "coupled_lstm"})
    assert tuning.trial(coupled, {"optim.learning_rate": 0.01})[0].config["cell"]["peepholes"] is True


def test_a_cell_with_and_without_an_option_is_called_by_what_differs() -> None:
    tuning = Tuning(study(sweep={"cell": ["coupled_lstm", "coupled_lstm cell.peepholes=true"]}), [])
    assert [(c.label, c.swept["cell"], c.cell) for c in tuning.combinations] == [
        ("coupled_lstm", "coupled_lstm", "coupled_lstm"),
        *[("coupled_lstm cell.peepholes=true", "coupled_lstm cell.peepholes=true", "coupled_lstm")],
    ]


def test_the_readmes_study_can_be_run(tmp_path: Path) -> None:
    section = (Path(__file__).parents[2] / "README.md").read_text().partition("## Tune, then confirm")[2]
    (tmp_path / "study.yaml").write_text(section.partition("```yaml")[2].partition("```")[0])
    tuning = Tuning(load_study_file(str(tmp_path)), [])
    assert [c.label for c in tuning.combinations] == ["lstm", "gru", "coupled_lstm"]
    assert tuning.trials == 60


def test_the_cell_need_not_be_swept() -> None:
    tuning = Tuning(study(sweep={"data.length": [10]}), ["cell=gru"])
    assert [(c.label, c.swept) for c in tuning.combinations] == [
        ("gru data.length=10", {"cell": "gru", "data.length": "10"})
    ]


def test_runs_of_a_trial_lie_in_tuning_and_those_that_confirm_in_the_study() -> None:
    tuning = Tuning(study(seeds=(3, 4), overrides=("task=memory",)), ["runs_dir=here", "trainer.max_epochs=7"])
    assert (tuning.folder, tuning.tuning_folder) == (Path("here/mine"), Path("here/mine/tuning"))
    gru = tuning.combinations[1]
    runs = tuning.trial(gru, {"optim.learning_rate": 0.01})
    assert [run.config["seed"] for run in runs] == [3, 4]
    assert {run.folder.parents[1] for run in runs} == {tuning.tuning_folder}
    assert {run.config["optim"]["learning_rate"] for run in runs} == {0.01}
    confirming = tuning.confirming(gru, {"optim.learning_rate": 0.01})
    assert [run.config["seed"] for run in confirming] == [10, 11]
    assert {run.folder.parents[1] for run in confirming} == {tuning.folder}
    # The same configuration, so the same identity; only the seeds and the place differ.
    assert {run.folder.parent.name for run in (*runs, *confirming)} == {runs[0].folder.parent.name}


def test_what_holds_in_tuning_alone_is_no_part_of_the_confirming_runs() -> None:
    tuning = Tuning(study(overrides=("task=memory", "trainer.max_epochs=7")), [])
    file = study(overrides=("task=memory", "trainer.max_epochs=7"))
    assert file.phases is not None
    short = Tuning(study_with_short_trials(), [])
    [trial] = short.trial(short.combinations[0], {"optim.learning_rate": 0.01})
    confirming = short.confirming(short.combinations[0], {"optim.learning_rate": 0.01})[0]
    assert trial.config["trainer"]["max_epochs"] == 2
    assert confirming.config["trainer"]["max_epochs"] == 7
    assert short.combinations[0].name != tuning.combinations[0].name


def study_with_short_trials() -> StudyFile:
    file = study(overrides=("task=memory", "trainer.max_epochs=7"))
    assert file.phases is not None
    tune = Tune(**{**vars(file.phases.tune), "overrides": ("trainer.max_epochs=2",)})
    return StudyFile(file.name, file.question, file.overrides, file.sweep, Phases(tune, (10,)))


def test_more_trials_go_on_with_the_same_ones_and_anything_else_begins_others() -> None:
    def name(file: StudyFile, *words: str) -> str:
        return Tuning(file, words).combinations[0].name

    same = name(study())
    assert name(study(trials=200)) == same
    assert name(study(confirm=(20,))) == same
    others = [
        name(study(sampler="tpe")),
        name(study(sampler_seed=1)),
        name(study(seeds=(1,))),
        name(study(prune="median")),
        name(study({"optim.learning_rate": Range(1e-4, 1e-2, log=True)})),
        name(study(), "trainer.max_epochs=9"),
    ]
    assert len({same, *others}) == 7


def test_what_is_given_on_the_command_line_is_not_tuned() -> None:
    file = study({"optim.learning_rate": RATE, "network.dropout": Values((0.0, 0.5))})
    tuning = Tuning(file, ["network.dropout=0.25"])
    assert list(tuning.tune.space) == ["optim.learning_rate"]
    [run] = tuning.trial(tuning.combinations[0], {"optim.learning_rate": 0.01})
    assert run.config["network"]["dropout"] == 0.25
    grid = study(
        {"optim.learning_rate": Values((0.1, 0.2)), "network.dropout": Values((0.0, 0.1, 0.5))},
        sampler="grid",
        trials=6,
    )
    assert Tuning(grid, ["network.dropout=0.25"]).tune.trials == 2
    with pytest.raises(CellwiseError, match=r"nothing is left to tune: optim\.learning_rate is given on the command"):
        Tuning(study(), ["optim.learning_rate=0.1"])


@pytest.mark.parametrize(
    ("file", "words", "said"),
    [
        (study({"optim.learning_rat": RATE}), [], "did you mean 'learning_rate'?"),
        (study({"network.hidden_units": Range(4, 8, whole=True)}), [], "unknown key in 'network' 'hidden_units'"),
        (study({"optim.learning_rate": Range(-1.0, 1.0)}), [], "optim.learning_rate=-1.0 is too small"),
        (study({"network.dropout": Range(0.0, 1.0)}), [], "network.dropout=1.0 is too large"),
        (
            study({"network.readout": Values(("last", "lats"))}),
            [],
            "network.readout=lats is not allowed; allowed: last",
        ),
        (study({"trainer.threads": Values((1, 2))}), [], "trainer.threads can't be tuned: it decides nothing of what"),
        (study({"network.hidden_size": Values((4, 8))}), [], "mine: network.hidden_size stands in tune.space and in"),
        (study({"optim.learning_rate": RATE}, {"optim.learning_rate": [0.1]}), [], "give it once"),
        (study(sweep={"cell": ["rnn", "grru"]}), [], "unknown cell 'grru'; did you mean 'gru'?"),
        (study({"cell.nonlinearity": Values(("tanh", "relu"))}), [], "unknown key in 'cell' 'nonlinearity'"),
        (study(sweep={"cell": ["rnn", "rnn"]}), [], "the sweep means rnn twice; give each value once"),
        (study(), ["seed=1"], "seed=1: a study of two phases has tune.seeds=[...] and confirm.seeds=[...]"),
        (study(), ["seed=1,2"], "seed=1,2: a study of two phases has tune.seeds"),
        (study(), ["again=true"], "again=true: a study of two phases is repeated under another name, study=..."),
        (study(overrides=("trainer.max_epoch=3",)), [], "did you mean 'max_epochs'?"),
    ],
)
def test_what_can_not_be_run_is_refused_before_the_first_run(file: StudyFile, words: list[str], said: str) -> None:
    with pytest.raises(CellwiseError) as refused:
        Tuning(file, words)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_optuna_is_named_with_what_installs_it_and_a_grid_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "optuna" else there(name))
    for sampler in ("random", "tpe"):
        with pytest.raises(CellwiseError, match=rf"tune.sampler={sampler} needs Optuna; type pip install 'cellwise\["):
            Tuning(study(sampler=sampler), [])
    assert Tuning(study({"optim.learning_rate": Values((0.1, 0.2))}, sampler="grid"), []).trials == 4
