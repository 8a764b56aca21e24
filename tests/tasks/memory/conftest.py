"""A very small run on a memory problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.sweep.plan import plan

SMALL = (
    *("task=memory", "data.length=8", "data.train_sequences=70", "data.valid_sequences=30", "data.test_sequences=40"),
    *("task.batch_size=20", "network.hidden_size=4", "trainer.max_steps=2", "trainer.log_every_steps=1"),
    "trainer.threads=1",
)


@pytest.fixture
def memory(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``memory(*overrides)``: the configuration of a very small run, in the temporary folder ``runs``."""

    def configured(*overrides: str) -> dict[str, Any]:
        [run] = plan([*SMALL, f"runs_dir={tmp_path / 'runs'}", *overrides])
        return run.config

    return configured
