"""A finished run scored on other data: its selected weights, its task's metrics and floors."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cellwise.records.plain import read_json
from cellwise.records.schema import RunInfo, Summary
from cellwise.tasks.contract import Split
from cellwise.training.fit import ignore_lightnings_own
from cellwise.training.module import TrainingModule
from cellwise.training.selection import Selection
from cellwise.training.settings import RunSettings, read
from cellwise.training.trained import load_trained
from cellwise.training.trainer import make_trainer


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes:
        run: `<cell>-<8 hex>/seed-<n>`.
        cell: by name.
        task: by name.
        seed: of the run.
        split: of the data.
        data: the data's configuration.
        checksums: sha256 of each source of data, by name.
        remarks: on the data.
        objective: key of the task's metric.
        direction: `min` or `max`.
        unit: of the objective.
        value: the objective's.
        metrics: all of them.
        floors: trivial answers' value of the objective on the same examples.
        optimum: the best possible value, where it is known.
        recorded: what the run's record says of its own test split.
        answers: the file that the task's official judge takes, where it was asked for.
    """

    run: str
    cell: str
    task: str
    seed: int
    split: str
    data: Mapping[str, Any]
    checksums: Mapping[str, str]
    remarks: Sequence[str]
    objective: str
    direction: str
    unit: str
    value: float
    metrics: Mapping[str, float]
    floors: Mapping[str, float]
    optimum: float | None
    recorded: float
    answers: bytes | None = None

    def lines(self) -> list[str]:
        """Return what to tell the user."""
        unit = f" {self.unit}" if self.unit else ""
        floors = [f"{name} {value:.5g}" for name, value in self.floors.items()]
        best = [f"best possible {self.optimum:.5g}"] if self.optimum is not None else []
        return [
            f"{self.run} on {self.split} of data={self.data['name']}: {self.objective} {self.value:.5g}{unit} "
            f"(its record, on its own test split: {self.recorded:.5g}{unit})",
            *(f"  {name} {value:.5g}" for name, value in self.metrics.items() if name != self.objective),
            *([f"  on the same examples: {', '.join([*floors, *best])}"] if floors or best else []),
            *(f"  {remark}" for remark in self.remarks),
        ]


def evaluate(folder: Path, config: Mapping[str, Any], split: Split = "test", *, answers: bool = False) -> Evaluation:
    """Score a finished run's selected weights; its record stays as it is.

    Args:
        folder: of the run.
        config: the run's own, but for the data and sizes of evaluation.
        split: of these data.
        answers: whether to keep what the network says of each example, for the task's official judge.

    Raises:
        CellwiseError: as `load_trained`; answers of a task that has no official judge; data that are missing, altered
            or that the run can't take.
    """
    own, network = load_trained(folder)
    settings = _here(read(config))
    task = own.on_other_data(settings.task, split)
    path = folder / "run.json"
    info = RunInfo.from_dict(read_json(path), str(path))
    torch.set_num_threads(info.threads)  # as many as it was tested with: they change bits
    path = folder / "summary.json"
    summary = Summary.from_dict(read_json(path), str(path))
    selected = Selection(folder / "checkpoints" / "selected.pt", task.objective.direction)
    module = TrainingModule(
        task, network, settings.optim, seed=info.seed, report=lambda row: None, selection=selected, log_every_steps=1
    )
    with warnings.catch_warnings():
        ignore_lightnings_own()
        make_trainer(settings, folder).test(module, task.loader("test"), verbose=False)
    return Evaluation(
        run=f"{info.cell}-{info.identity}/seed-{info.seed}",
        cell=info.cell,
        task=info.task,
        seed=info.seed,
        split=split,
        data=config["data"],
        checksums=task.checksums,
        remarks=task.remarks,
        objective=task.objective.metric,
        direction=task.objective.direction,
        unit=task.objective.unit,
        value=module.test_scores[task.objective.metric],
        metrics=module.test_scores,
        floors=task.floors(),
        optimum=task.optimum(),
        recorded=summary.value,
        answers=task.results(network.eval()) if answers else None,
    )


def _here(settings: RunSettings) -> RunSettings:
    """A run of a GPU is evaluated without one where there is none."""
    if settings.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        return dataclasses.replace(settings, trainer=dataclasses.replace(settings.trainer, accelerator="cpu"))
    return settings
