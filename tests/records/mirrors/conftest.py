"""W&B kept to itself in tests: nothing of the user's is read or written, and no host is looked up."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _wandb_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb_config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb_cache"))
    for name in ("API_KEY", "DATA_DIR", "MODE", "PROJECT", "RUN_GROUP", "JOB_TYPE", "TAGS", "NOTES"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
