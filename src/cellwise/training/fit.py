"""Network and module of a run, and their training; the same for each of its ranks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from cellwise.cells.registry import build_cell, import_cells
from cellwise.data.loader import SequentialLoader
from cellwise.probes.probe import Probe
from cellwise.records.identity import run_folder
from cellwise.recurrent.engines import ENGINES
from cellwise.tasks import build_task
from cellwise.tasks.contract import Split, Task
from cellwise.training.checkpoint import Checkpoints
from cellwise.training.module import Report, TrainingModule
from cellwise.training.ranks import Ranks
from cellwise.training.resume import Start
from cellwise.training.seeds import reseed
from cellwise.training.selection import Selection
from cellwise.training.settings import RunSettings, read
from cellwise.training.stopping import Stop
from cellwise.training.trainer import make_trainer


def build_network(settings: RunSettings, task: Task, start: Start | None) -> nn.Module:
    """Return the run's network, drawn from the seed's own stream.

    Args:
        settings: of the run.
        task: with its data.
        start: where the run goes on, on the engine that it began with; None: it begins.
    """
    cell = build_cell(settings.cell, settings.cell_options)
    reseed(settings.seed, "initialisation")
    engine = settings.trainer.layer_engine()
    if start is not None and settings.trainer.engine == "auto" and start.engine in ENGINES:
        engine = start.engine
    return task.network(cell, engine)


def build_module(
    settings: RunSettings,
    task: Task,
    network: nn.Module,
    ranks: Ranks,
    *,
    folder: Path,
    report: Report,
    logged: Callable[[], int],
    note: Callable[[str], None],
    stop: Stop,
) -> TrainingModule:
    """Return what trains the network; rank 0 alone writes into the folder."""
    trainer, checkpoints = settings.trainer, folder / "checkpoints"
    writes = ranks.rank == 0
    return TrainingModule(
        task,
        network,
        settings.optim,
        seed=settings.seed,
        report=report,
        selection=Selection(checkpoints / "selected.pt" if writes else None, task.objective.direction),
        checkpoints=Checkpoints(checkpoints, trainer.checkpoint_every_seconds) if writes else None,
        log_every_steps=trainer.log_every_steps,
        logged=logged,
        steps_in_all=trainer.steps_in_all(len(task.loader("train"))),
        patience=trainer.patience,
        non_finite=trainer.non_finite,
        note=note,
        stop=stop,
        ranks=ranks,
    )


def fit(settings: RunSettings, module: TrainingModule, folder: Path, start: Start | None, probe: Probe) -> pl.Trainer:
    """Train, from where an earlier run ended if one did, and validate the end if nothing has; returns the Trainer."""
    task, ranks = module.task, module.ranks
    examples, checkpoint = batches(task, "train", settings), None
    if ranks.of > 1:
        examples.share(ranks.rank, ranks.of)
    if start is not None:
        examples.load_state_dict(start.loader)  # Lightning does not where an epoch had ended without validation
        checkpoint = start.checkpoint
    trainer = make_trainer(settings, folder, ranks.rank, [probe])
    trainer.fit(module, examples, batches(task, "valid", settings), ckpt_path=checkpoint, weights_only=True)
    if module.validated_step != module.global_step:
        trainer.validate(module, batches(task, "valid", settings), verbose=False)
    return trainer


def take_part(ranks: Ranks, config: Mapping[str, Any], threads: int, start: Start | None) -> None:
    """Train as one of the ranks of a run but the first.

    Args:
        ranks: its place.
        config: of the run, resolved.
        threads: of this rank.
        start: where the run goes on; None: it begins.
    """
    import_cells(config.get("cell_modules") or [])
    settings, folder = read(config), run_folder(config)
    torch.set_num_threads(threads)
    task = build_task(config["task"]["name"], settings.task)
    network = build_network(settings, task, start)
    module = build_module(
        settings,
        task,
        network,
        ranks,
        folder=folder,
        report=lambda row: None,
        logged=lambda: 0,
        note=lambda text: None,
        stop=Stop(),
    )
    with warnings.catch_warnings():
        ignore_lightnings_own()
        fit(settings, module, folder, start, Probe("off", task, network))  # rank 0 looks alone


def batches(task: Task, split: Split, settings: RunSettings) -> SequentialLoader[Any]:
    """Return a split's batches, prepared by as many processes as the settings say."""
    loader = task.loader(split)
    loader.workers = settings.trainer.data_workers
    return loader


def ignore_lightnings_own() -> None:
    """Say nothing of a class that Lightning 2.6 asks torch 2.13 for in a way that torch will drop."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
