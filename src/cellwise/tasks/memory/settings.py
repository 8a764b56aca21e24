"""The settings of memory problems, checked without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cellwise.budget import Shape, shape_of
from cellwise.errors import unknown
from cellwise.network.settings import SequenceSettings, read_network
from cellwise.settings import bounded, parse
from cellwise.tasks.objective import Objective

INPUT_SIZES = {"adding": 2}
"""Features of a step, by problem: of adding a number and a marker."""

OBJECTIVES = {"adding": Objective("mse", "min", "")}
"""What each problem is judged by."""


@dataclass(frozen=True)
class MemoryKeys:
    """The task's own keys; see conf/task/memory.yaml."""

    name: str = "memory"
    problem: Literal["adding"] = "adding"
    batch_size: int = bounded(50, minimum=1)
    eval_batch_size: int = bounded(500, minimum=1)


@dataclass(frozen=True)
class SequenceData:
    """What is drawn, the same for every problem; see conf/data/sequences.yaml."""

    name: Literal["sequences"] = "sequences"
    seed: int = bounded(0, minimum=0)
    length: int = bounded(20, minimum=2)  # one step for each marker
    train_sequences: int = bounded(10_000, minimum=1)
    valid_sequences: int = bounded(1_000, minimum=1)
    test_sequences: int = bounded(10_000, minimum=1)


@dataclass(frozen=True)
class MemorySettings:
    """Everything about a run on a memory problem but cell, optimiser and trainer.

    Attributes:
        task: the problem and its batches.
        data: the sequences.
        network: around the cell.
        order_seed: the run's seed, of the order in which training sees the sequences.
    """

    task: MemoryKeys
    data: SequenceData
    network: SequenceSettings
    order_seed: int


def read(config: Mapping[str, Any]) -> MemorySettings:
    """Return the checked settings of a resolved configuration.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    name = config["data"].get("name")
    if name != "sequences":
        raise unknown("data", str(name), ["sequences"], "of task=memory; task.problem says what is drawn")
    return MemorySettings(
        task=parse(MemoryKeys, config["task"], "task"),
        data=parse(SequenceData, config["data"], "data"),
        network=read_network(config["network"]),
        order_seed=config["seed"],
    )


def objective(config: Mapping[str, Any]) -> Objective:
    """Return what the task is judged by; see `cellwise.tasks`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    return OBJECTIVES[parse(MemoryKeys, config["task"], "task").problem]


def recurrent_shapes(config: Mapping[str, Any], hidden_size: int) -> list[Shape]:
    """Return the cost-deciding sizes of the network's recurrent layers; see `cellwise.tasks`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    task = parse(MemoryKeys, config["task"], "task")
    network = parse(SequenceSettings, {**config["network"], "hidden_size": hidden_size}, "network")
    features = network.front_channels or INPUT_SIZES[task.problem]
    return [shape_of(network.layer, features, network.num_layers, network.directions, multiple=network.multiple)]


def pin(data: Mapping[str, Any], data_dir: str | None = None) -> dict[str, Any]:
    """Return the data's configuration as it is: sequences are drawn from what it says, nothing lies on disk."""
    return dict(data)
