"""The settings that belong to training, checked without importing torch, so that a whole plan is checked at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cellwise.budget import parse_budget
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.probes import Level
from cellwise.records.mirrors.settings import Loggers, read_loggers
from cellwise.recurrent.options import check_options
from cellwise.settings import bounded, parse, typed
from cellwise.tasks import read_task


@dataclass(frozen=True)
class TrainerSettings:
    """How long, how often, on what; see conf/trainer/cpu.yaml."""

    max_epochs: int | None = bounded(5, minimum=1)
    max_steps: int | None = bounded(None, minimum=1)
    validate_every_steps: int | None = bounded(None, minimum=1)
    patience: int | None = bounded(None, minimum=1)
    log_every_steps: int = bounded(20, minimum=1)
    precision: Literal["32-true", "64-true", "bf16-mixed", "16-mixed"] = "32-true"
    accelerator: Literal["cpu", "gpu"] = "cpu"
    devices: int = bounded(1, minimum=1)
    threads: int | None = bounded(None, minimum=1)
    engine: Literal["auto", "reference", "native", "scan", "fused"] = "auto"
    checkpoint_every_seconds: float | None = bounded(60.0, minimum=0)
    data_workers: int = bounded(0, minimum=0)
    non_finite: Literal["stop", "go_on"] = "stop"

    def layer_engine(self) -> str:
        """Return the engine that recurrent layers are built with."""
        # In mixed precision the fused engine hands over to the reference: nothing to compile for.
        return "fastest" if self.engine == "auto" and self.precision.endswith("-true") else self.engine

    def steps_in_all(self, steps_per_epoch: int) -> int:
        """Return how many steps the run has unless it stops early."""
        by_epochs = sys.maxsize if self.max_epochs is None else self.max_epochs * steps_per_epoch
        return min(by_epochs, self.max_steps or sys.maxsize)


@dataclass(frozen=True)
class OptimSettings:
    """The optimiser and its learning rate; see conf/optim."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = bounded(0.002, minimum=0)
    weight_decay: float = bounded(0.0, minimum=0)
    momentum: float = bounded(0.0, minimum=0, below=1)
    nesterov: bool = False
    normalised_momentum: bool = False
    clip_norm: float | None = bounded(1.0, minimum=0)
    decay_after_epochs: int | None = bounded(None, minimum=0)
    decay_factor: float = bounded(2.0, minimum=1)
    schedule: Literal["constant", "cosine", "linear", "plateau"] = "constant"
    warmup_steps: int = bounded(0, minimum=0)
    final_fraction: float = bounded(0.0, minimum=0, below=1)
    plateau_patience: int | None = bounded(None, minimum=1)

    def __post_init__(self) -> None:
        """Refuse settings of which one makes another mean nothing."""
        falling = self.schedule in ("cosine", "linear")
        if self.momentum and self.name != "sgd":
            raise CellwiseError(f"optim.momentum={self.momentum} is of optim=sgd; {self.name} has moments of its own")
        if self.nesterov and not self.momentum:
            raise CellwiseError("optim.nesterov=true needs a momentum; give optim.momentum=..., for example 0.9")
        if self.decay_after_epochs is not None and self.schedule != "constant":
            raise CellwiseError(
                f"optim.decay_after_epochs={self.decay_after_epochs} and optim.schedule={self.schedule} are two "
                "schedules; type optim.decay_after_epochs=null or optim.schedule=constant"
            )
        if self.final_fraction and not falling:
            raise CellwiseError(
                f"optim.final_fraction={self.final_fraction} is of optim.schedule=cosine or linear, which is "
                f"{self.schedule}"
            )
        if (self.plateau_patience is None) is (self.schedule == "plateau"):
            raise CellwiseError(
                f"optim.schedule={self.schedule} and optim.plateau_patience={typed(self.plateau_patience)} do not go "
                "together; type optim.schedule=plateau optim.plateau_patience=..., for example 3"
            )

    def require_room(self, steps: int) -> None:
        """Refuse a warm-up that never ends.

        Args:
            steps: of the run.

        Raises:
            CellwiseError: it takes them all.
        """
        if self.warmup_steps >= steps:
            raise CellwiseError(
                f"optim.warmup_steps={self.warmup_steps} leaves none of the run's {steps} steps at the full rate; "
                f"give less than {steps}"
            )


@dataclass(frozen=True)
class RunSettings:
    """A whole configuration, checked: typed where it belongs to training, as it was where it belongs to a task."""

    trainer: TrainerSettings
    optim: OptimSettings
    loggers: Loggers
    task: Any
    cell: str
    cell_options: Mapping[str, Any]
    seed: int
    again: bool
    probe: Level


@dataclass(frozen=True)
class _Plain:
    """The keys of a configuration that no group holds."""

    seed: int = bounded(0, minimum=0)
    study: str = "default"
    runs_dir: str = "runs"
    data_dir: str | None = None
    cell_modules: tuple[str, ...] = ()
    again: bool = False
    budget: str | None = None
    probe: Level = "off"


_GROUPS = ("cell", "task", "data", "network", "optim", "trainer", "logger")


def read(config: Mapping[str, Any]) -> RunSettings:
    """Return the checked settings of a resolved configuration.

    Raises:
        CellwiseError: an unknown key, a value of the wrong type or out of bounds, an unknown cell, option or task.
    """
    plain = parse(_Plain, {k: v for k, v in config.items() if k not in _GROUPS}, "")
    if plain.budget is not None:
        parse_budget(plain.budget)
    for group in _GROUPS:
        if not isinstance(config.get(group), Mapping):
            raise CellwiseError(f"{group}={config.get(group)!r} must be a group of keys; choose a file of conf/{group}")
    cell = {k: v for k, v in config["cell"].items() if k != "name"}
    built = build_cell(str(config["cell"].get("name")), cell)
    trainer = parse(TrainerSettings, config["trainer"], "trainer")
    if trainer.max_epochs is None and trainer.max_steps is None:
        raise CellwiseError("training would never end; give trainer.max_epochs=... or trainer.max_steps=...")
    optim = parse(OptimSettings, config["optim"], "optim")
    if trainer.max_steps is not None:
        optim.require_room(trainer.max_steps)
    task = read_task(config)
    check_options(task.network.layer, built, config["cell"]["name"], task.network.num_layers)
    return RunSettings(
        trainer=trainer,
        optim=optim,
        loggers=read_loggers(config["logger"]),
        task=task,
        cell=config["cell"]["name"],
        cell_options=cell,
        seed=plain.seed,
        again=plain.again,
        probe=plain.probe,
    )
