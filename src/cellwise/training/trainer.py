"""Lightning's Trainer as this framework wants it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from cellwise.training.checkpoint import DirectWrites
from cellwise.training.settings import RunSettings


def make_trainer(
    settings: RunSettings, folder: Path, rank: int = 0, callbacks: Sequence[pl.Callback] = ()
) -> pl.Trainer:
    """Return Lightning's Trainer with everything off that the record does itself.

    Args:
        settings: of the run.
        folder: where Lightning may write; it does not.
        rank: of this process among the run's, each of which has a Trainer of its own, for one device.
        callbacks: more than those that every run has.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # tips, device lists: the record has them
    trainer = settings.trainer
    every = trainer.validate_every_steps
    ending = [] if trainer.max_steps is None else [_MaxSteps(trainer.max_steps)]
    return pl.Trainer(
        accelerator=trainer.accelerator,
        devices=[rank] if trainer.accelerator == "gpu" and trainer.devices > 1 else 1,
        precision=trainer.precision,
        max_epochs=trainer.max_epochs if trainer.max_epochs is not None else sys.maxsize,
        callbacks=[*ending, *callbacks],
        val_check_interval=every,
        check_val_every_n_epoch=1 if every is None else None,
        gradient_clip_val=settings.optim.clip_norm,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        plugins=[
            LightningEnvironment(),  # under SLURM, Lightning would take signals and requeue the job by itself
            DirectWrites(),
        ],
        default_root_dir=folder,
    )


class _MaxSteps(pl.Callback):
    """Ends training after so many steps.

    Lightning's own `max_steps` would do, but a run that has it resumes by other rules: from a checkpoint at the end of
    an epoch without validation it begins the wrong epoch, and one that is at its last step is never told its end.
    """

    def __init__(self, steps: int):
        self._steps = steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.fit_loop.epoch_loop.max_steps = self._steps
