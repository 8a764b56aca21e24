"""The settings of visual question answering, checked without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cellwise.budget import Shape
from cellwise.settings import bounded, parse
from cellwise.tasks.objective import Objective
from cellwise.tasks.vqa import network_settings
from cellwise.tasks.vqa.data_settings import DataSettings, pin_data, read_data
from cellwise.tasks.vqa.network_settings import JointSettings, read_network

LossName = Literal["cross_entropy", "soft_target_bce"]
ACCURACY = Objective("accuracy", "max", "%")


@dataclass(frozen=True)
class VqaKeys:
    """The task's own keys; see conf/task/vqa.yaml."""

    name: str = "vqa"
    loss: LossName = "cross_entropy"
    batch_size: int = bounded(64, minimum=1)
    eval_batch_size: int = bounded(256, minimum=1)


@dataclass(frozen=True)
class VqaSettings:
    """Everything about a run of visual question answering but cell, optimiser and trainer.

    Attributes:
        task: loss and batches.
        data: where questions and images come from.
        network: around the cell.
        seed: the run's, of the order in which training sees questions.
        data_dir: where data sets lie.
    """

    task: VqaKeys
    data: DataSettings
    network: JointSettings
    seed: int
    data_dir: str | None


def read(config: Mapping[str, Any]) -> VqaSettings:
    """Return the checked settings of a resolved configuration.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    return VqaSettings(
        task=parse(VqaKeys, config["task"], "task"),
        data=read_data(config["data"]),
        network=read_network(config["network"]),
        seed=config["seed"],
        data_dir=config.get("data_dir"),
    )


def objective(config: Mapping[str, Any]) -> Objective:
    """Return what the task is judged by: the official accuracy in per cent, over all questions of a split alike.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    parse(VqaKeys, config["task"], "task")
    return ACCURACY


def recurrent_shapes(config: Mapping[str, Any], hidden_size: int) -> list[Shape]:
    """Return the cost-deciding sizes of the network's recurrent layers; see `cellwise.tasks`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    return network_settings.recurrent_shapes(
        parse(JointSettings, {**config["network"], "hidden_size": hidden_size}, "network")
    )


def stand_in(config: Mapping[str, Any]) -> str | None:
    """Return the name of a network that reads no question, so that no cell runs in it; see `cellwise.tasks`."""
    network = config.get("network")
    return "image_only" if isinstance(network, Mapping) and network.get("sees") == "image" else None


def pin(data: Mapping[str, Any], data_dir: str | None = None) -> dict[str, Any]:
    """Return the data's configuration, files of the user's own with their checksum.

    Raises:
        CellwiseError: an unknown key, a value that is not allowed, or files that can't be read.
    """
    return pin_data(data, data_dir)
