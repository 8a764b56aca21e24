"""Which mirrors a run has: the group `logger`, of which several files may be chosen (`logger=[wandb,csv]`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cellwise.errors import CellwiseError, unknown
from cellwise.settings import parse


@dataclass(frozen=True)
class WandbSettings:
    """Weights & Biases; see conf/logger/wandb.yaml. None: as W&B's own environment variable says, else our default."""

    mode: Literal["offline", "online"] | None = None
    project: str | None = None


@dataclass(frozen=True)
class TensorboardSettings:
    """TensorBoard; see conf/logger/tensorboard.yaml."""


@dataclass(frozen=True)
class CsvSettings:
    """A CSV file; see conf/logger/csv.yaml."""


@dataclass(frozen=True)
class GifSettings:
    """Films of film strips; see conf/logger/gif.yaml."""


Loggers = Mapping[str, Any]  # name to settings
LOGGERS: Mapping[str, type] = {
    "csv": CsvSettings,
    "gif": GifSettings,
    "tensorboard": TensorboardSettings,
    "wandb": WandbSettings,
}


def read_loggers(group: Mapping[str, Any]) -> Loggers:
    """Return the checked settings of each logger that is chosen, by name.

    Raises:
        CellwiseError: an unknown logger or key, or a value that is not allowed.
    """
    found: dict[str, Any] = {}
    for name, settings in _one_spelling(group).items():
        if name not in LOGGERS:
            raise unknown("key in 'logger'", name, LOGGERS)
        if not isinstance(settings, Mapping):
            raise CellwiseError(f"logger.{name}={settings!r} must be a group of keys; type logger={name}")
        found[name] = parse(LOGGERS[name], settings, f"logger.{name}")
    return found


def _one_spelling(group: Mapping[str, Any]) -> Mapping[str, Any]:
    """Records from when there was one logger at most hold its name as a key."""
    if "name" not in group:
        return group
    name = str(group["name"])
    return {} if name == "none" else {name: {key: value for key, value in group.items() if key != "name"}}
