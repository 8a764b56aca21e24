"""The settings of memory problems are checked before anything runs, each error one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from cellwise.budget import Shape
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.resources import resource_folder
from cellwise.tasks import build_task, pin_data, recurrent_shapes
from cellwise.tasks.memory.settings import INPUT_SIZES, MemoryKeys, SequenceData, read
from cellwise.tasks.memory.task import PROBLEMS
from cellwise.training.settings import read as read_run

Memory = Callable[..., dict[str, Any]]


def test_what_is_typed_is_read(memory: Memory) -> None:
    settings = read(memory("data.length=9", "task.problem=adding", "seed=4"))
    assert (settings.data.length, settings.data.train_sequences, settings.data.seed) == (9, 70, 0)
    assert (settings.task.problem, settings.task.batch_size, settings.network.hidden_size) == ("adding", 20, 4)
    assert settings.order_seed == 4


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["task.problem=ading"], "task.problem=ading is not allowed; allowed: adding"),
        (["data.length=1"], "data.length=1 is too small; it must be 2 or more"),
        (["data.length=2.5"], "data.length=2.5 must be a whole number"),
        (["data.train_sequences=0"], "data.train_sequences=0 is too small; it must be 1 or more"),
        (["data.valid_sequences=0"], "data.valid_sequences=0 is too small; it must be 1 or more"),
        (["data.test_sequences=0"], "data.test_sequences=0 is too small; it must be 1 or more"),
        (["data.seed=-1"], "data.seed=-1 is too small; it must be 0 or more"),
        (["task.batch_size=0"], "task.batch_size=0 is too small; it must be 1 or more"),
        (["task.eval_batch_size=0"], "task.eval_batch_size=0 is too small; it must be 1 or more"),
        (["data.name=ptb"], "unknown data 'ptb'; allowed: sequences; of task=memory"),
        (["network.readout=first"], "network.readout=first is not allowed; allowed: last, mean, max, attention"),
    ],
)
def test_a_bad_value_is_one_line(memory: Memory, overrides: list[str], said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        read(memory(*overrides))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_text_is_no_data_of_a_memory_problem(memory: Memory) -> None:
    with pytest.raises(CellwiseError, match=r"unknown data 'ptb'; allowed: sequences; of task=memory; task\.problem"):
        read({**memory(), "data": {"name": "ptb", "vocabulary_size": None}})


def test_the_files_of_conf_say_the_defaults() -> None:
    conf = resource_folder("conf")
    assert yaml.safe_load((conf / "task" / "memory.yaml").read_text())["task"] == dict(vars(MemoryKeys()))
    assert yaml.safe_load((conf / "data" / "sequences.yaml").read_text()) == dict(vars(SequenceData()))


def test_a_problem_has_a_name_a_builder_and_a_number_of_features() -> None:
    names = get_args(get_type_hints(MemoryKeys)["problem"])
    assert set(names) == set(PROBLEMS) == set(INPUT_SIZES)


def test_sequences_are_pinned_by_what_the_configuration_says_of_them(memory: Memory) -> None:
    config = memory()
    assert pin_data(config) == config


@pytest.mark.parametrize(
    ("overrides", "shape"),
    [
        ([], Shape(2)),
        (["network.num_layers=2"], Shape(2, 2)),
        (["network.bidirectional=true"], Shape(2, 1, 2)),
        (["network.front_channels=5"], Shape(5)),
    ],
)
def test_the_shapes_that_a_budget_counts_are_those_of_the_layers(
    memory: Memory, overrides: list[str], shape: Shape
) -> None:
    config = memory(*overrides)
    task = build_task("memory", read_run(config).task)
    [layer] = task.recurrent_layers(task.network(build_cell("gru"), "auto"))
    assert recurrent_shapes(config, 7) == [shape]
    assert shape == Shape(layer.input_size, layer.num_layers, layer.directions)
