"""The offline mirror holds what the record holds, read back with W&B's own reader."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import wandb

from cellwise.errors import CellwiseError
from cellwise.records.wandb import WandbMirror
from cellwise.training.train import train

Tiny = Callable[..., dict[str, Any]]
WANDB = Path(sysconfig.get_path("scripts")) / "wandb"


@pytest.fixture(autouse=True)
def _no_lookup_of_hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb_config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb_cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb_data"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def mirrored(folder: Path) -> list[dict[str, Any]]:
    """The records of a run's W&B file, as `wandb leet inspect --json` gives them."""
    [path] = (folder / "wandb").glob("offline-run-*")
    words = [str(WANDB), "leet", "inspect", "--json", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_type(records: list[dict[str, Any]], kind: str) -> list[Any]:
    return [record[kind] for record in records if record["type"] == kind]


def by_step(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Rows of one step together, as W&B keeps them."""
    found: dict[int, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row["step"], {}).update({name: value for name, value in row.items() if name != "step"})
    return found


def own(item: Mapping[str, Any]) -> dict[str, Any]:
    """What is ours in a row of W&B's history."""
    return {name: value for name, value in item.items() if not name.startswith(("_", "views/"))}


def test_two_runs_of_one_process_are_two_mirrors_of_their_records(
    tiny: Tiny, rows_of: Callable[[Path], list[dict[str, Any]]]
) -> None:
    same = ("logger=wandb", "trainer.max_steps=4", "trainer.validate_every_steps=2")
    ids = set()
    for seed in (0, 1):
        config = tiny(*same, f"seed={seed}", "study=mirrored")
        folder = train(config).folder
        summary = json.loads((folder / "summary.json").read_text())
        records = mirrored(folder)

        history = {item["step"]["num"]: own(item["item"]) for item in of_type(records, "history")}
        assert {step: row for step, row in history.items() if row} == by_step(rows_of(folder))

        [run] = of_type(records, "run")
        assert run["project"] == "cellwise"
        assert run["run_group"] == "mirrored"
        assert run["display_name"] == f"{folder.parent.name}-seed-{seed}"
        assert {name: value for name, value in run["config"]["update"].items() if name != "_wandb"} == config
        ids.add(run["run_id"])

        final: dict[str, Any] = {}
        for update in of_type(records, "summary"):
            final.update(update["update"])
        for name, value in summary["metrics"].items():
            assert final[name] == value
        assert final["perplexity"] == summary["value"]
        assert of_type(records, "exit")[0]["exit_code"] == 0
        tables = {path.name.split("_4_")[0].split("_5_")[0] for path in (folder / "wandb").rglob("*.table.json")}
        assert tables == {"perplexity_against_optimum", "effect_by_distance"}
    assert len(ids) == 2
    assert wandb.run is None  # finished: what a user logs next is not ours


def test_a_run_of_the_users_own_is_left_alone(tiny: Tiny, tmp_path: Path) -> None:
    theirs: Any = wandb.init(mode="offline", dir=str(tmp_path), settings=wandb.Settings(silent=True, console="off"))
    try:
        [run] = of_type(mirrored(train(tiny("logger=wandb")).folder), "run")
        assert run["run_id"] != theirs.id
        theirs.log({"still": "open"})
        assert wandb.run is not None
        assert wandb.run.id == theirs.id
    finally:
        theirs.finish()


def test_a_failed_run_is_a_failed_mirror(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny("logger=wandb", "optim=sgd", "optim.learning_rate=1e38", "optim.clip_norm=null")
    with pytest.raises(CellwiseError, match="train_nll_nats is inf"):
        train(config)
    [folder] = (tmp_path / "runs" / "default").glob("*/seed-0")
    assert of_type(mirrored(folder), "exit")[0]["exit_code"] == 1


def test_without_the_logger_there_is_no_mirror(tiny: Tiny) -> None:
    assert not (train(tiny()).folder / "wandb").exists()


def test_a_refusal_of_wandb_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**settings: Any) -> None:
        assert settings["mode"] == "online"
        raise wandb.errors.UsageError("No API key configured.\nUse `wandb login` to log in.")

    monkeypatch.setattr(wandb, "init", refused)
    with pytest.raises(CellwiseError) as caught:
        WandbMirror(tmp_path, "online", "cellwise", {"study": "mine"})
    assert str(caught.value) == ("W&B: No API key configured.; run `wandb login`, or keep logger.mode=offline")
