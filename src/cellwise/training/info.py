"""What `run.json` says of a run that starts here and now."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cellwise.files import now
from cellwise.records.environment import code_sha256, git_state, versions
from cellwise.records.identity import called, cell_sha256, identity
from cellwise.records.schema import RunInfo
from cellwise.training.settings import RunSettings


def info_now(config: Mapping[str, Any], settings: RunSettings, data: Mapping[str, str], threads: int) -> RunInfo:
    """Return it.

    Args:
        config: resolved and plain.
        settings: the same, checked.
        data: checksum of each source of data, by name.
        threads: each of the run's processes is to have.
    """
    return RunInfo(
        status="running",
        cell=called(config),
        task=config["task"]["name"],
        seed=settings.seed,
        study=config["study"],
        identity=identity(config),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        started=now(),
        device=torch.cuda.get_device_name() if settings.trainer.accelerator == "gpu" else "cpu",
        threads=threads,
        devices=settings.trainer.devices,
        engine=settings.trainer.engine,
        versions=versions(),
        git=git_state(),
        code_sha256=code_sha256(),
        cell_sha256=cell_sha256(config),
        data=dict(data),
    )
