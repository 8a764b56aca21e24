"""Runs of each task so small that one takes a tenth of a second, and what is compared when they were cut off."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cellwise.sweep.compose import compose_config
from cellwise.training.checkpoint import saved
from cellwise.training.module import TrainingModule

COMMON = (
    *("network.hidden_size=4", "network.num_layers=2", "network.dropout=0.3", "network.layer.zoneout=0.1"),
    *("trainer.max_epochs=2", "trainer.threads=1", "trainer.log_every_steps=3", "trainer.checkpoint_every_seconds=0"),
)
MEMORY = (
    *("task=memory", "data.length=4", "data.train_sequences=20", "data.valid_sequences=8", "data.test_sequences=8"),
    *("task.batch_size=4", "cell=peephole_lstm", *COMMON),
)
LANGUAGE = (
    *("task=language", "task.batch_size=4", "task.steps=5", "data.train_tokens=120", "data.valid_tokens=40"),
    *("data.test_tokens=40", "cell=gru", "optim=sgd", "optim.decay_after_epochs=1", *COMMON),
)
NOWCASTING = (
    *("task=nowcasting", "data.size=16", "data.in_steps=2", "data.lead_steps=2", "data.train_sequences=20"),
    *("data.valid_sequences=8", "data.test_sequences=8", "task.batch_size=4", "cell=peephole_lstm", *COMMON),
)
SELDOM = "trainer.checkpoint_every_seconds=1000"


def configured(runs_dir: Path | str, *words: str) -> dict[str, Any]:
    """The configuration of a run in a folder. To compose one takes as long as its training, so that it is done once."""
    return {**copy.deepcopy(_composed(words)), "runs_dir": str(runs_dir)}


@functools.cache
def _composed(words: tuple[str, ...]) -> dict[str, Any]:
    return compose_config(words)


def bits(folder: Path) -> tuple[Any, ...]:
    """All that a run left but the times: rows, summary, selected weights."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    summary = json.loads((folder / "summary.json").read_text())
    for measured in ("train_seconds", "throughput", "peak_memory_bytes"):
        del summary[measured]
    weights = torch.load(folder / "checkpoints" / "selected.pt", weights_only=True)
    untimed = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
    return untimed, summary, {name: value.tolist() for name, value in weights.items()}


def cut_before(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the next training stop before it takes a step, once."""
    right, waiting = TrainingModule.on_train_batch_start, [step]

    def stop(module: TrainingModule, batch: Any, batch_idx: int) -> None:
        if waiting and module.global_step == waiting[0]:
            waiting.clear()
            raise KeyboardInterrupt
        right(module, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "on_train_batch_start", stop)


def folder_of(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "runs").glob("*/*/seed-0")
    return folder


def steps_of(folder: Path) -> list[int]:
    return [int(path.name.split("-")[1]) for path in saved(folder / "checkpoints")]
