"""A study of two phases says how settings are tuned and which fresh seeds confirm them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cellwise.errors import CellwiseError
from cellwise.sweep.phases import Phases, Tune, parse_phases
from cellwise.sweep.space import Range, Space, Values
from cellwise.sweep.study import StudyFile, load_study_file

GOOD = """
question: Which is better?
overrides: [task=memory]
sweep:
  cell: [rnn, gru]
tune:
  seeds: [0, 1]
  sampler: random
  trials: 20
  prune: median
  overrides: [trainer.max_epochs=2]
  space:
    optim.learning_rate: {low: 1e-6, high: 1e-2, log: true}
    network.hidden_size: [8, 16]
confirm:
  seeds: [10, 11]
"""


def read(folder: Path, text: str = GOOD, *words: str) -> StudyFile:
    folder.mkdir(exist_ok=True)
    (folder / "study.yaml").write_text(text)
    return load_study_file(str(folder), words)


def phases(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "tune": {"sampler": "random", "trials": 4, "space": {"optim.learning_rate": [0.1, 0.2]}},
        "confirm": {"seeds": [10]},
    }
    for key, value in changes.items():
        group, _, name = key.partition("_")
        content[group] = {**content[group], name: value}
    return content


def test_both_phases_are_read(tmp_path: Path) -> None:
    study = read(tmp_path / "mine")
    space: Space = {"optim.learning_rate": Range(1e-6, 1e-2, log=True), "network.hidden_size": Values((8, 16))}
    tune = Tune((0, 1), "random", 20, space, "median", ("trainer.max_epochs=2",), 0)
    assert study.phases == Phases(tune, (10, 11))


def test_a_study_of_one_phase_has_none_and_takes_no_word_of_one(tmp_path: Path) -> None:
    assert parse_phases({"sweep": {"seed": [0]}}, "f") is None
    text = yaml.safe_dump({"sweep": {"cell": ["rnn"], "seed": [0]}})
    assert read(tmp_path / "mine", text).phases is None
    with pytest.raises(CellwiseError, match=r"tune.trials=8: .*study.yaml tunes nothing; leave it out"):
        read(tmp_path / "mine", text, "tune.trials=8")


def test_words_of_the_command_line_change_the_phases(tmp_path: Path) -> None:
    words = (
        *("tune.trials=8", "tune.prune=null", "confirm.seeds=[20,21,22]", "tune.overrides=['trainer.max_epochs=1']"),
        *("tune.space.optim.learning_rate=[0.1,0.2]", "tune.space.network.dropout={low:0.0,high:0.5}"),
    )
    changed = read(tmp_path / "mine", GOOD, *words).phases
    assert changed is not None
    assert (changed.tune.trials, changed.tune.prune, changed.confirm_seeds) == (8, None, (20, 21, 22))
    assert changed.tune.overrides == ("trainer.max_epochs=1",)
    assert list(changed.tune.space) == ["optim.learning_rate", "network.hidden_size", "network.dropout"]
    assert changed.tune.space["optim.learning_rate"] == Values((0.1, 0.2))
    with pytest.raises(CellwiseError, match=r"tune.seeds=1,2: give one value, a list in brackets: tune.seeds=\[...\]"):
        read(tmp_path / "mine", GOOD, "tune.seeds=1,2")


def test_a_grid_has_a_trial_for_each_combination_of_values() -> None:
    space = {"optim.learning_rate": [0.1, 0.2, 0.3], "network.hidden_size": [8, 16]}
    content = phases(tune_space=space, tune_sampler="grid")
    content["tune"].pop("trials")
    found = parse_phases(content, "f")
    assert found is not None
    assert found.tune.trials == 6
    assert found.tune.seeds == (0,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"tune": {"sampler": "random"}}, "f: a study of two phases needs both, tune: {sampler: ..., space: ...} and"),
        ({"confirm": {"seeds": [1]}}, "needs both"),
        (phases(confirm_sedes=[1]), "unknown key in f: confirm 'sedes'; did you mean 'seeds'?"),
        (phases(confirm_seeds=[]), "f: confirm.seeds=[] must be a list of seeds, for example [10, 11, 12]"),
        (phases(confirm_seeds=[1, 1]), "f: confirm.seeds has a seed twice"),
        (phases(confirm_seeds=[-1]), "f: confirm.seeds=-1 must be a whole number, 0 or more"),
        (phases(confirm_seeds=[1, 0]), "f: seed 0 is one of tuning and can't confirm; give confirm.seeds others"),
        (phases(tune_trails=3), "unknown key in f: tune 'trails'; did you mean 'trials'?"),
        (phases(tune_trials=0), "f: tune.trials=0 must be a whole number, 1 or more"),
        (phases(tune_trials=None), "f: tune.trials=None must be a whole number, 1 or more"),
        (phases(tune_sampler="rnadom"), "f: tune.sampler='rnadom' is not allowed; allowed: grid, random, tpe"),
        (phases(tune_prune="best"), "f: tune.prune='best' is not allowed; allowed: median, halving, null"),
        (phases(tune_seeds=3), "f: tune.seeds=3 must be a list of seeds"),
        (phases(tune_overrides="a=b"), "f: tune.overrides must be a list of key=value"),
        (phases(tune_sampler_seed=1.5), "f: tune.sampler_seed=1.5 must be a whole number"),
        (phases(tune_space={"seed": [0, 1]}), "f: seed can't be tuned; what cells are compared in stands in sweep"),
        (phases(tune_space={"cell": ["gru", "rnn"]}), "f: cell can't be tuned"),
        (phases(tune_space={"launcher.jobs": [1, 2]}), "f: launcher.jobs can't be tuned"),
        (phases(tune_space={}), "f: tune.space must map keys to what may be chosen"),
        (phases(tune_sampler="grid"), "f: tune.trials is for random and tpe; a grid has a trial for each combination"),
        ({**phases(), "sweep": {"seed": [1]}}, "f: the seeds of two phases stand in tune.seeds and confirm.seeds"),
    ],
)
def test_what_means_nothing_is_refused_in_a_line(content: dict[str, Any], said: str) -> None:
    with pytest.raises(CellwiseError) as refused:
        parse_phases(content, "f")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_grid_takes_neither_a_range_nor_a_pruner() -> None:
    content = phases(tune_sampler="grid", tune_space={"optim.learning_rate": {"low": 1.0, "high": 2.0}})
    content["tune"].pop("trials")
    with pytest.raises(CellwiseError, match=r"a grid needs values, for example optim.learning_rate: \[0.001, 0.01\]"):
        parse_phases(content, "f")
    content["tune"]["prune"] = "median"
    with pytest.raises(CellwiseError, match="prune needs sampler random or tpe"):
        parse_phases(content, "f")
