"""Overrides become one plain configuration, from any folder; what is wrong is one line that lists what is allowed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from cellwise.errors import CellwiseError
from cellwise.sweep.compose import cell_node, compose_config, parse_overrides


def error(*overrides: str) -> str:
    """The one line that refuses these overrides."""
    with pytest.raises(CellwiseError) as caught:
        compose_config(list(overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_configuration_is_plain_and_resolved() -> None:
    config = compose_config(["cell=gru", "network.hidden_size=7", "seed=3"])
    assert json.loads(json.dumps(config)) == config
    assert config["cell"] == {"name": "gru", "reset": "after"}
    assert (config["network"]["hidden_size"], config["seed"], config["task"]["name"]) == (7, 3, "language")
    assert next(iter(config["data"])) == "name"


def test_it_is_the_same_from_any_folder_and_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = compose_config(["optim=sgd"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()  # a folder of that name must not be taken for ours
    (tmp_path / "conf" / "config.yaml").write_text("seed: 99\n")
    assert compose_config(["optim=sgd"]) == here
    assert sorted(os.listdir(tmp_path)) == ["conf"]
    assert not GlobalHydra.instance().is_initialized()


def test_of_two_overrides_the_last_counts() -> None:
    assert compose_config(["optim=sgd", "seed=1", "seed=2", "optim=adam"])["optim"]["name"] == "adam"
    assert compose_config(["seed=1", "seed=2"])["seed"] == 2


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["nope=1"], "unknown key 'nope'; allowed: again, budget, cell, cell_modules, data, data_dir, launcher, "),
        (["sed=1"], "unknown key 'sed'; did you mean 'seed'? allowed: again, budget, cell, "),
        (["optim.lr=1"], "unknown key in 'optim' 'lr'; allowed: clip_norm, decay_after_epochs, decay_factor, "),
        (["network.hidden=1"], "unknown key in 'network' 'hidden'; did you mean 'hidden_size'? allowed: dropout, "),
        (["cell=gru", "cell.forget_bias=1"], "unknown key in 'cell' 'forget_bias'; allowed: name, reset"),
        (["cell=gru", "cell.reset=after", "cell.x=1"], "unknown key in 'cell' 'x'; allowed: name, reset"),
        (["data=ptb", "data.pairs=3"], "unknown key in 'data' 'pairs'; allowed: name, vocabulary_size"),
        (["hydra.run.dir=x"], "hydra.run.dir=x has no effect: Hydra only composes here; runs go to runs_dir=..."),
        (["hydra=x"], "hydra=x has no effect"),
        (["cell=lstmm"], "unknown cell 'lstmm'; did you mean 'lstm'? allowed: "),
        (["cell=conv_lstm"], "unknown cell 'conv_lstm'; a ConvLSTM is peephole_lstm"),
        (["task=langage"], "unknown task 'langage'; did you mean 'language'? allowed: language"),
        (["data=ptbb"], "unknown data 'ptbb'; did you mean 'ptb'? allowed: easy_vqa, image_qa, moving_digits, "),
        (["network=big"], "unknown network 'big'; allowed: encoder_forecaster, frame_cnn, "),
        (["optim=adamm"], "unknown optim 'adamm'; did you mean 'adam'? allowed: adam, adamw, sgd"),
        (["trainer=tpu"], "unknown trainer 'tpu'; did you mean 'gpu'? allowed: cpu, gpu, smoke"),
        (["logger=tb"], "unknown logger 'tb'; allowed: csv, gif, none, tensorboard, wandb"),
        (["logger=[wandb,tb]"], "unknown logger 'tb'; allowed: csv, gif, none, tensorboard, wandb"),
        (["logger=[]"], "logger=[] is no choice; logger is one of: csv, gif, none, tensorboard, wandb"),
        (["logger=csv", "logger.wandb.mode=x"], "unknown key in 'logger' 'wandb'; allowed: csv; "
         "type 'logger=[csv,wandb]' logger.wandb.mode=x"),
        (["logger.wandb.mode=online"], "unknown key in 'logger' 'wandb'; allowed: none; "
         "type logger=wandb logger.wandb.mode=online"),
        (["logger=wandb", "logger.mode=online"], "unknown key in 'logger' 'mode'; allowed: wandb; "
         "type logger=wandb logger.wandb.mode=online"),
        (["logger.wandb=online"], "unknown key in 'logger' 'wandb'; allowed: none; type logger=wandb"),
        (["probe.kind=light"], "probe has no keys, so probe.kind is none; type probe=..."),
        (["logger=[csv,wandb]", "logger.wandb.mod=x"], "unknown key in 'logger.wandb' 'mod'; did you mean 'mode'? "),
        (["cell=null"], "cell=null is no choice; cell is one of: "),
        (["optim=[adam]"], "optim=[adam] is no choice; optim is one of: adam, adamw, sgd"),
        (["data=text"], "data.path is not set; give data.path=..."),
        (["study=${nope}"], "Interpolation key 'nope' not found"),
        (["nonsense"], "can't read 'nonsense'; an override is key=value, for example cell=gru seed=1"),
        (["study=my (best)"], "can't read 'study=my (best)'; an override is key=value"),
        (["=3"], "can't read '=3'; conf/ has every key, so an override is key=value without"),
        (["+nope=1"], "can't read '+nope=1'; conf/ has every key, so an override is key=value without '+', '~' or '@'"),
        (["~cell"], "can't read '~cell'; conf/ has every key"),
        (["~optim.clip_norm"], "can't read '~optim.clip_norm'; conf/ has every key"),
        (["cell@two=gru"], "can't read 'cell@two=gru'; conf/ has every key"),
        (["cell_modules=[no_such_module]"], "cell_modules: can't import 'no_such_module' (ModuleNotFoundError: "),
        (["cell_modules=[./none.py]"], "cell_modules: can't import './none.py' (FileNotFoundError: no file none.py)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_says_what_is_allowed(overrides: list[str], said: str) -> None:
    assert error(*overrides).startswith(said)


def test_a_line_for_an_unknown_cell_says_how_to_bring_ones_own() -> None:
    assert error("cell=mine").endswith("; a cell of your own needs its module: cell_modules=[my_module]")


def test_a_quoted_value_may_hold_anything() -> None:
    assert compose_config(["data=text", "data.path='my téxt (1).txt'"])["data"]["path"] == "my téxt (1).txt"
    assert "quoted twice" in error("data.path=my (1).txt")


def test_a_cell_from_outside_needs_no_yaml(write_cell: Callable[..., Path]) -> None:
    file = write_cell("leaky_without_yaml")
    config = compose_config([f"cell_modules=[{file}]", "cell=leaky_without_yaml", "cell.leak=0.25"])
    assert config["cell"] == {"name": "leaky_without_yaml", "leak": 0.25}
    assert cell_node("leaky_without_yaml") == {"name": "leaky_without_yaml", "leak": 0.5}
    assert compose_config([f"cell_modules={file}", "cell=leaky_without_yaml"])["cell"]["leak"] == 0.5
    found = error(f"cell_modules=[{file}]", "cell=leaky_without_yaml", "cell.leek=1")
    assert found == "unknown key in 'cell' 'leek'; did you mean 'leak'? allowed: leak, name"


def test_a_cell_that_takes_a_built_in_name_is_refused(write_cell: Callable[..., Path]) -> None:
    assert "cell 'lstm' is registered already" in error(f"cell_modules=[{write_cell('lstm')}]")


def test_a_module_that_breaks_is_told_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    assert "(ZeroDivisionError: division by zero)" in error(f"cell_modules=[{tmp_path / 'broken.py'}]")


def test_overrides_are_parsed_in_hydras_grammar() -> None:
    parsed = parse_overrides(["cell=a,b", "seed=range(3)", "network.hidden_size=4"])
    assert [o.is_sweep_override() for o in parsed] == [True, True, False]
