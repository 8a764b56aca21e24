"""A run's W&B file read back with W&B's own reader."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WANDB = Path(sysconfig.get_path("scripts")) / "wandb"


def offline_run(folder: Path) -> Path:
    """The one folder that W&B has written for a run."""
    [path] = (folder / "wandb").glob("offline-run-*")
    return path


def inspect(folder: Path, *words: str) -> str:
    """What `wandb leet inspect` prints of a run."""
    command = [str(WANDB), "leet", "inspect", *words, str(offline_run(folder))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def mirrored(folder: Path) -> list[dict[str, Any]]:
    """The records of a run's W&B file."""
    return [json.loads(line) for line in inspect(folder, "--json").splitlines()]


def of_type(records: list[dict[str, Any]], kind: str) -> list[Any]:
    return [record[kind] for record in records if record["type"] == kind]


def history(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is ours in the rows of W&B's history, in order, each with its step."""
    own = [(item["step"]["num"], item["item"]) for item in of_type(records, "history")]
    for step, item in own:
        assert item["step"] == item["_step"] == step
    return [{k: v for k, v in item.items() if not k.startswith(("_", "task", "cell", "views"))} for _, item in own]


def by_step(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one step together, as W&B keeps them."""
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row["step"], {}).update(row)
    return list(found.values())


def final_summary(records: list[dict[str, Any]]) -> Mapping[str, Any]:
    final: dict[str, Any] = {}
    for update in of_type(records, "summary"):
        final.update(update["update"])
    return final
