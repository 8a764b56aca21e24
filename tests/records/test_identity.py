"""A run is what decides its result: its configuration and its cell's code, and nothing about where or who."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.identity import identity, run_folder
from cellwise.sweep.compose import compose_config
from cellwise.sweep.plan import plan

ELSEWHERE = [
    *("seed=7", "study=other", "runs_dir=/elsewhere", "data_dir=/data", "again=true", "logger=wandb"),
    *(
        "logger.wandb.mode=online",
        "logger=[wandb,csv]",
        "trainer.accelerator=gpu",
        "trainer.threads=3",
        "trainer.engine=reference",
    ),
    *("trainer.log_every_steps=7", "trainer.data_workers=2", "trainer.non_finite=go_on"),
    *("probe=full", "network.layer.recompute=10"),
]
COUNTED = [
    *("cell=gru", "cell.forget_bias=0.5", "data.seed=1", "data.train_tokens=1000", "data.distance_max=29"),
    *("task.batch_size=21", "task.steps=36", "task.eval_batch_size=1", "task.loss=step_sum"),
    *("network.hidden_size=129", "network.num_layers=2", "network.dropout=0.1", "network.tied=true"),
    *("optim=sgd", "optim.learning_rate=0.003", "optim.clip_norm=null", "optim.decay_after_epochs=2"),
    *("trainer.max_epochs=6", "trainer.max_steps=9", "trainer.validate_every_steps=9", "trainer.precision=64-true"),
    *("optim=adamw", "optim.warmup_steps=5", "trainer.patience=3", "optim.schedule=linear", "optim.schedule=cosine"),
    *("network.layer.zoneout=0.1", "network.layer.connections=residual", "network.layer.learned_state=true"),
]
SAME_VALUE = """
import json, sys
from cellwise.records.identity import identity
print(identity(json.loads(sys.argv[1])))
"""


def overrides_of(name: str) -> list[str]:
    return ["logger=wandb", name] if name.startswith("logger.") else [name]


def test_it_is_eight_hexadecimal_digits() -> None:
    assert re.fullmatch("[0-9a-f]{8}", identity(compose_config([])))


@pytest.mark.parametrize("override", ELSEWHERE)
def test_who_where_and_how_it_is_logged_do_not_count(override: str) -> None:
    assert identity(compose_config(overrides_of(override))) == identity(compose_config([]))


@pytest.mark.parametrize(("one", "other"), [("network.dropout=0", "network.dropout=0.0"), ("seed=1", "seed=2")])
def test_two_spellings_of_a_number_are_one_run(one: str, other: str) -> None:
    assert identity(compose_config([one])) == identity(compose_config([other]))


def test_everything_else_counts_and_no_two_are_alike() -> None:
    found = [identity(compose_config([override])) for override in COUNTED] + [identity(compose_config([]))]
    assert len(set(found)) == len(found)


def test_every_key_of_the_vocabulary_is_known_to_count_or_not() -> None:
    """Change each leaf of the default configuration in turn, so that a new key has to be thought about."""
    config = compose_config(["logger=wandb"])
    not_counted = set()

    def changed(node: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        head, *rest = path
        return {**node, head: changed(node[head], tuple(rest)) if rest else f"changed {node[head]}"}

    def leaves(node: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        if not isinstance(node, dict):
            return [path]
        return [leaf for key, value in node.items() for leaf in leaves(value, (*path, key))]

    for path in leaves(config, ()):
        if path != ("cell", "name") and identity(changed(config, path)) == identity(config):
            not_counted.add(".".join(path))
    assert not_counted == {
        *("seed", "study", "runs_dir", "data_dir", "again", "probe", "cell_modules"),
        *("logger.wandb.mode", "logger.wandb.project"),
        *("trainer.accelerator", "trainer.devices", "trainer.threads", "trainer.engine", "trainer.log_every_steps"),
        *("trainer.checkpoint_every_seconds", "trainer.data_workers", "trainer.non_finite"),
        "network.layer.recompute",
    }


def test_keys_that_came_later_leave_the_runs_before_them_what_they_were() -> None:
    config = compose_config([])
    later = {
        "optim": ("momentum", "nesterov", "schedule", "warmup_steps", "final_fraction", "plateau_patience"),
        "trainer": ("patience", "data_workers", "non_finite"),
    }
    before = {**config, **{group: {k: v for k, v in config[group].items() if k not in later[group]} for group in later}}
    assert len(before["optim"]) == len(config["optim"]) - 6
    assert identity(before) == identity(config)


def test_another_process_finds_the_same(tiny: Callable[..., dict[str, Any]]) -> None:
    """Order of keys, and Python's random hashing of strings, must not matter."""
    config = tiny()
    turned = json.dumps(dict(reversed(config.items())))
    done = subprocess.run(
        [sys.executable, "-c", SAME_VALUE, turned],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "5"},
    )
    assert done.stdout.strip() == identity(config)


def identity_in_new_process(file: Path, folder: Path) -> str:
    code = (
        "from cellwise.records.identity import identity; from cellwise.sweep.compose import compose_config;"
        f"print(identity(compose_config(['cell_modules=[{file}]', 'cell=edited_cell'])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    return done.stdout.strip()


def test_an_edited_equation_is_a_new_run_and_a_reworded_comment_is_not(
    write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_cell("edited_cell")
    first = identity_in_new_process(file, tmp_path)
    file.write_text(file.read_text().replace('"""A cell of a user."""', '"""A cell, said otherwise."""  # so'))
    assert identity_in_new_process(file, tmp_path) == first
    file.write_text(file.read_text().replace("(1 - self.leak) * z", "self.leak * z"))
    assert identity_in_new_process(file, tmp_path) != first


def test_a_text_of_the_users_is_what_it_holds_not_where_it_lies(tmp_path: Path) -> None:
    def planned(path: Path) -> str:
        [run] = plan(["data=text", f"data.path={path}"])
        return identity(run.config)

    text = "the cat sat on the mat .\n" * 50
    for name, content in (("one.txt", text), ("two.txt", text), ("other.txt", text.replace("cat", "dog"))):
        (tmp_path / name).write_text(content)
    assert planned(tmp_path / "one.txt") == planned(tmp_path / "two.txt")
    assert planned(tmp_path / "one.txt") != planned(tmp_path / "other.txt")
    first = planned(tmp_path / "one.txt")
    (tmp_path / "one.txt").write_text(text + "more\n")
    assert planned(tmp_path / "one.txt") != first


def test_the_folder_names_study_cell_identity_and_seed(tiny: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = tiny("study=mine", "seed=3", "cell=gru")
    assert run_folder(config) == tmp_path / "runs" / "mine" / f"gru-{identity(config)}" / "seed-3"


@pytest.mark.parametrize("study", ["a/b", "..", ".", "", "  ", 5, None])
def test_a_study_that_can_be_no_folder_is_refused(tiny: Callable[..., dict[str, Any]], study: Any) -> None:
    with pytest.raises(CellwiseError, match="must be a name without '/'"):
        run_folder({**tiny(), "study": study})


@pytest.mark.parametrize("seed", [-1, 1.5, True, None, "x"])
def test_a_seed_that_is_no_number_is_refused(tiny: Callable[..., dict[str, Any]], seed: Any) -> None:
    with pytest.raises(CellwiseError, match="must be a whole number, 0 or more"):
        run_folder({**tiny(), "seed": seed})
