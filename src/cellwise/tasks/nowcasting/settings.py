"""The settings of nowcasting, checked without importing torch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cellwise.budget import Shape
from cellwise.data.get import data_folder
from cellwise.errors import CellwiseError
from cellwise.settings import bounded, parse
from cellwise.tasks.nowcasting import network_settings
from cellwise.tasks.nowcasting.archive import found_files
from cellwise.tasks.nowcasting.data_settings import DataSettings, MovingDigits, MovingMnist, Radar, read_data
from cellwise.tasks.nowcasting.network_settings import ForecasterSettings, read_network
from cellwise.tasks.objective import Objective

LossName = Literal["cross_entropy", "mse", "mae", "balanced_mse", "balanced_mae", "balanced"]
CSI_MM_H = (0.5, 2.0, 5.0, 10.0, 30.0)
"""Thresholds of rain that are scored, and that a run may be judged by."""


@dataclass(frozen=True)
class NowcastingKeys:
    """The task's own keys; see conf/task/nowcasting.yaml."""

    name: str = "nowcasting"
    loss: Literal["auto", "cross_entropy", "mse", "mae", "balanced_mse", "balanced_mae", "balanced"] = "auto"
    objective: Literal["auto", "mse", "mae", "csi", "ssim", "balanced_mse", "balanced_mae"] = "auto"
    csi_mm_h: float = 0.5
    batch_size: int = bounded(16, minimum=1)
    eval_batch_size: int = bounded(50, minimum=1)


@dataclass(frozen=True)
class NowcastingSettings:
    """Everything about a nowcasting run but cell, optimiser and trainer.

    Attributes:
        task: objective and batches, nothing left to `auto`.
        loss: what training minimises.
        data: where frames come from.
        network: around the cell.
        seed: the run's, of the order and the crops that training sees.
        data_dir: where data sets lie.
    """

    task: NowcastingKeys
    loss: LossName
    data: DataSettings
    network: ForecasterSettings
    seed: int
    data_dir: str | None


def read(config: Mapping[str, Any]) -> NowcastingSettings:
    """Return the checked settings of a resolved configuration.

    Raises:
        CellwiseError: an unknown key, a value that is not allowed, settings that do not fit each other.
    """
    data = read_data(config["data"])
    keys = _keys(config, data)
    return NowcastingSettings(
        task=keys,
        loss=_loss(keys, data),
        data=data,
        network=read_network(config["network"], frame_size(data)),
        seed=config["seed"],
        data_dir=config.get("data_dir"),
    )


def objective(config: Mapping[str, Any]) -> Objective:
    """Return what the task is judged by; see `cellwise.tasks`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    data = read_data(config["data"])
    return objective_of(_keys(config, data), rain=shows_rain(data))


def recurrent_shapes(config: Mapping[str, Any], hidden_size: int) -> list[Shape]:
    """Return the cost-deciding sizes of the network's recurrent layers, or of a cnn's; see `cellwise.tasks`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    data = read_data(config["data"])
    network = parse(ForecasterSettings, {**config["network"], "hidden_size": hidden_size}, "network")
    return network_settings.recurrent_shapes(network, frame_size(data), data.in_steps)


def stand_in(config: Mapping[str, Any]) -> str | None:
    """Return the name of a network without a recurrent cell; see `cellwise.tasks`."""
    network = config.get("network")
    return "frame_cnn" if isinstance(network, Mapping) and network.get("kind") == "cnn" else None


def frame_size(data: DataSettings) -> int:
    """Return height and width, in pixels, of the frames that training sees."""
    return data.crop if isinstance(data, Radar) else data.size


def shows_rain(data: DataSettings) -> bool:
    """Whether frames are rain rates in mm/h, not pixels."""
    return not isinstance(data, MovingDigits | MovingMnist)


def objective_of(keys: NowcastingKeys, *, rain: bool) -> Objective:
    """Return what a run is judged by, over all lead times together; named as `metrics.verification` names scores.

    Args:
        keys: of which nothing is left to `auto`.
        rain: whether frames are rain rates in mm/h.
    """
    if keys.objective == "csi":
        return Objective(f"csi_{keys.csi_mm_h:g}mm_h" if rain else "csi_0.5", "max", "")
    if keys.objective == "ssim":
        return Objective("ssim", "max", "")
    if keys.objective.startswith("balanced"):
        return Objective(keys.objective, "min", "")
    name, unit = {"mse": ("mse_pixel", "mm2/h2"), "mae": ("mae_pixel", "mm/h")}[keys.objective]
    ending = "_" + unit.replace("/", "_") if rain else ""
    return Objective(f"{name}{ending}", "min", unit if rain else "")


def _keys(config: Mapping[str, Any], data: DataSettings) -> NowcastingKeys:
    keys = parse(NowcastingKeys, config["task"], "task")
    rain = shows_rain(data)
    if keys.csi_mm_h not in CSI_MM_H:
        raise CellwiseError(f"task.csi_mm_h={keys.csi_mm_h:g} is not allowed; allowed: {', '.join(map(str, CSI_MM_H))}")
    if not rain and keys.objective.startswith("balanced"):
        raise CellwiseError(
            f"task.objective={keys.objective} weighs rain, and data={data.name} shows none; "
            "allowed: mse, mae, csi, ssim"
        )
    judged = keys.objective if keys.objective != "auto" else "csi" if rain else "mse"
    return dataclasses.replace(keys, objective=judged)


def _loss(keys: NowcastingKeys, data: DataSettings) -> LossName:
    if keys.loss == "auto":
        return "balanced" if shows_rain(data) else "cross_entropy"
    if keys.loss.startswith("balanced") and not shows_rain(data):
        raise CellwiseError(
            f"task.loss={keys.loss} weighs rain, and data={data.name} shows none; allowed: cross_entropy, mse, mae"
        )
    return keys.loss


def require_alike(own: NowcastingSettings, other: NowcastingSettings) -> None:
    """Refuse data that a run's network can't take.

    Raises:
        CellwiseError: frames of another kind, another number to forecast, or of a size or number that it is bound to.
    """
    if shows_rain(own.data) is not shows_rain(other.data):
        kinds = ["pixels", "rain"]
        raise CellwiseError(
            f"the run learnt of {kinds[shows_rain(own.data)]} and data={other.data.name} shows "
            f"{kinds[shows_rain(other.data)]}"
        )
    bound = ["lead_steps"] + (["in_steps"] if own.network.kind == "cnn" else [])
    for key in bound:
        has, wanted = getattr(other.data, key), getattr(own.data, key)
        if has != wanted:
            raise CellwiseError(
                f"data.{key}={has}, but the run's network is made for {wanted}; give data.{key}={wanted}"
            )
    has, wanted = frame_size(other.data), frame_size(own.data)
    if own.network.kind == "fully_connected" and has != wanted:
        raise CellwiseError(f"frames of {has} pixels a side, but the run's network is made for {wanted}")


def pin(data: Mapping[str, Any], data_dir: str | None = None) -> dict[str, Any]:
    """Return the data's configuration, radar files with their checksum.

    Raises:
        CellwiseError: an unknown key, a value that is not allowed, or files that can't be read.
    """
    if data.get("name") != "radar" or data.get("sha256"):
        return dict(data)
    settings = read_data(data)
    assert isinstance(settings, Radar)
    folder, _, checksum = found_files(settings, data_dir)
    in_data_folder = folder == data_folder(data_dir) / settings.path
    # Absolute where it is none of the data folder's: a run that is repeated from another folder finds its files.
    return {**data, "path": settings.path if in_data_folder else os.path.abspath(folder), "sha256": checksum}
