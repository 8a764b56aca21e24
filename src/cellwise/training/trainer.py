"""Lightning's Trainer as this framework wants it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from cellwise.training.settings import RunSettings


def make_trainer(settings: RunSettings, folder: Path, rank: int = 0) -> pl.Trainer:
    """Return Lightning's Trainer with everything off that the record does itself.

    Args:
        settings: of the run.
        folder: where Lightning may write; it does not.
        rank: of this process among the run's, each of which has a Trainer of its own, for one device.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # tips, device lists: the record has them
    trainer = settings.trainer
    every = trainer.validate_every_steps
    return pl.Trainer(
        accelerator=trainer.accelerator,
        devices=[rank] if trainer.accelerator == "gpu" and trainer.devices > 1 else 1,
        precision=trainer.precision,
        max_epochs=trainer.max_epochs if trainer.max_epochs is not None else -1,
        max_steps=trainer.max_steps if trainer.max_steps is not None else -1,
        val_check_interval=every,
        check_val_every_n_epoch=1 if every is None else None,
        gradient_clip_val=settings.optim.clip_norm,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        plugins=LightningEnvironment(),  # under SLURM, Lightning would take signals and requeue the job by itself
        default_root_dir=folder,
    )
