"""Training through the Trainer against a plain loop of the same network, batch 20, 35 steps, 2 x 200 units."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from cellwise.bench.parts import Found, Setting
from cellwise.bench.timing import medians_in_turn
from cellwise.cells.registry import build_cell
from cellwise.records.bench import Finding
from cellwise.sweep.plan import plan
from cellwise.tasks import build_task
from cellwise.tasks.contract import Task
from cellwise.tasks.language.columns import IGNORED
from cellwise.training.fit import ignore_lightnings_own
from cellwise.training.module import TrainingModule
from cellwise.training.selection import Selection
from cellwise.training.settings import RunSettings, read
from cellwise.training.state import detached
from cellwise.training.trainer import make_trainer

_PROMISE = 1.25
_STEPS, _ROUNDS = 40, 7
_RUN = [
    "network.hidden_size=200",
    "network.num_layers=2",
    "task.batch_size=20",
    "task.steps=35",
    f"trainer.max_steps={_STEPS}",
    f"trainer.validate_every_steps={_STEPS}",
    "data.valid_tokens=100",
    "data.test_tokens=100",
]


def measure(setting: Setting) -> Iterator[Found]:
    """Measure milliseconds a step of both and their ratio, for the fastest and the slowest kind of engine."""
    for cell in ("lstm", "peephole_lstm"):
        yield Found(findings=_findings(cell))


def _findings(cell: str) -> list[Finding]:
    torch.set_num_threads(1)
    config = plan([f"cell={cell}", *_RUN])[0].config
    settings = read(config)
    task = build_task("language", settings.task)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        ignore_lightnings_own()
        calls = {
            "plain": _plain(task, settings),
            "trainer": _through_trainer(task, settings, Path(folder)),
        }
        found = {name: 1e3 * seconds / _STEPS for name, seconds in medians_in_turn(calls, _ROUNDS).items()}
    return [
        Finding("trainer", f"{cell}, a step of a plain loop", found["plain"], "ms"),
        Finding("trainer", f"{cell}, a step through the Trainer", found["trainer"], "ms"),
        Finding("trainer", f"{cell}, Trainer over plain loop", found["trainer"] / found["plain"], "x", _PROMISE),
    ]


def _plain(task: Task, settings: RunSettings) -> Callable[[], Any]:
    """The loop a careful person writes, without logging."""

    def run() -> None:
        torch.manual_seed(0)
        network: Any = task.network(build_cell(settings.cell, settings.cell_options), "auto")
        optimizer = torch.optim.Adam(network.parameters(), lr=settings.optim.learning_rate)
        state = None
        for number, (inputs, targets) in enumerate(task.loader("train")):
            if number == _STEPS:
                return
            logits, state = network(inputs, state)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.optim.clip_norm or 0.0)
            optimizer.step()
            state = detached(state)

    return run


def _through_trainer(task: Task, settings: RunSettings, folder: Path) -> Callable[[], Any]:
    def run() -> None:
        torch.manual_seed(0)
        network = task.network(build_cell(settings.cell, settings.cell_options), "auto")
        module = TrainingModule(
            task,
            network,
            settings.optim,
            seed=0,
            report=lambda row: None,
            selection=Selection(folder / "selected.pt", "min"),
            log_every_steps=settings.trainer.log_every_steps,
        )
        trainer: pl.Trainer = make_trainer(settings, folder)
        trainer.fit(module, task.loader("train"), task.loader("valid"))

    return run
