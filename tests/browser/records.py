"""A study with all that a page can show, made of fixed numbers: no training, the same every time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cellwise.records.schema import View, save_view
from cellwise.records.tuning import (
    Best,
    Choice,
    ExpectedBest,
    How,
    Importance,
    Trial,
    Tuned,
    TuningRecord,
    write_trials,
    write_tuning,
)
from tests.conftest import metrics, run_info, six_views, summary, write_run

PWNED = "window.pwned=1"
HOSTILE = f"<img src=x onerror={PWNED}>"
HOSTILE_TEXT = (
    f"</script><script>{PWNED}</script>\n"
    f"\"quoted\" 'and' {{{{ 7 * 7 }}}} & <b>bold</b> <a href=javascript:{PWNED}>a</a>"
)
CELLS = ("lstm", "gru", "rnn")
SEEDS = (0, 1, 2)
RATES = {"lstm": 0.004, "gru": 0.002, "rnn": 0.001}
TRIAL_RATES = (0.0005, 0.001, 0.002, 0.004)
VALUES = {
    "lstm": (61.25, 60.5, 61.0),
    "gru": (63.5, 62.75, 63.125),
    "rnn": (82.0, 84.5, 81.25),
}


def write_everything(folder: Path) -> Path:
    """Write it: three tuned cells of three seeds, one of them costly; failed, cut off, diverged and damaged runs."""
    for number, cell in enumerate(CELLS):
        for seed in SEEDS:
            write_finished(folder, cell, seed, VALUES[cell][seed], cost=number)
    failed = run_info("gru", 3, status="failed", error="RuntimeError: out of memory", ended=None)
    write_run(folder / "gru-0123abcd" / "seed-3", failed, rows=metrics(70.0, 4))
    cut = run_info("lstm", 3, status="running", ended=None, steps=1000)
    write_run(folder / "lstm-0123abcd" / "seed-3", cut, rows=metrics(62.0, 6), tail='{"step": 350, "vali')
    write_run(folder / "gru-0123abcd" / "seed-4", run_info("gru", 4), summary("gru", 4, None))
    damaged = write_run(folder / "lstm-0123abcd" / "seed-4", run_info("lstm", 4))
    (damaged / "summary.json").write_text('{"schema": 1, "task": "lang')
    _write_tuning(folder)
    return folder


def write_finished(folder: Path, cell: str, seed: int, value: float, cost: int = 0, **changes: Any) -> Path:
    """Write one finished run with its rows and every kind of view, once of the task and once of the cell."""
    size = 100_000 * (cost + 1)
    costs: dict[str, Any] = {
        "parameters": {"total": size + 5000, "recurrent": size},
        "flops_per_step": 2 * size,
        "train_seconds": 40.0 + 10 * cost + seed,
        "throughput": {"value": 20000.0 - 1000 * cost + 10 * seed, "unit": "tokens/s"},
        "peak_memory_bytes": (200 + 50 * cost) * 2**20,
    }
    run = folder / f"{cell}-0123abcd" / f"seed-{seed}"
    write_run(
        run, run_info(cell, seed, study=folder.name), summary(cell, seed, value, **costs, **changes), metrics(value)
    )
    config = {"cell": {"name": cell}, "seed": seed, "optim": {"learning_rate": RATES.get(cell, 0.002)}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    for view in twelve_views(cell, seed):
        save_view(view, run / "views")
    return run


def twelve_views(cell: str, seed: int) -> list[View]:
    """Six views about the task, and the same six about the cell, under other names."""
    task = six_views(cell, seed)
    inside = [
        dataclasses.replace(view, name=f"inside_{view.name}", title=f"{view.title} inside", about="cell")
        for view in task
    ]
    return [*task, *inside]


def _write_tuning(folder: Path) -> None:
    space = {"optim.learning_rate": Choice(1e-4, 1e-1, log=True)}
    how = How("random", 0, (100,), len(TRIAL_RATES), None, (), space)
    found, trials = [], []
    for cell in CELLS:
        scores = trial_scores(cell)
        best = int(np.argmin(scores))
        chosen = Best(best, {"optim.learning_rate": TRIAL_RATES[best]}, scores[best], "0123abcd")
        expected = ExpectedBest(tuple(np.linspace(90, 60, 4).tolist()), tuple(np.linspace(91, 61, 4).tolist()))
        shares = Importance({"optim.learning_rate": 1.0}, 0.0, len(TRIAL_RATES))
        counts = {"finished": len(TRIAL_RATES)}
        found.append(Tuned(cell, cell, {"cell": cell}, how, counts, chosen, shares, None, expected))
        each = [
            Trial(number, {"optim.learning_rate": rate}, "finished", score, 12.5)
            for number, (rate, score) in enumerate(zip(TRIAL_RATES, scores, strict=True))
        ]
        trials.append(({"cell": cell}, each))
    write_tuning(folder, TuningRecord("perplexity", "min", "", tuple(found)))
    write_trials(folder, trials)


def trial_scores(cell: str) -> list[float]:
    """The validation of each trial of a cell: best at the rate that its runs have."""
    return [60.0 + 8 * abs(float(np.log2(rate / RATES[cell]))) for rate in TRIAL_RATES]


def write_hostile(folder: Path) -> Path:
    """Write a study whose every text wants to be executed."""
    for cell in ("lstm", HOSTILE):
        for seed in SEEDS[:2]:
            path = write_finished(folder, cell, seed, 60.0 + seed + len(cell) / 10)
            info = json.loads((path / "run.json").read_text())
            info |= {
                "command": f"cellwise train {HOSTILE_TEXT}",
                "engine": HOSTILE,
                "versions": {HOSTILE: HOSTILE_TEXT},
            }
            (path / "run.json").write_text(json.dumps(info))
            for view in hostile_views(seed):
                save_view(view, path / "views")
            (path / "views" / f"{HOSTILE}.json").write_text(HOSTILE_TEXT)
    failed = run_info(HOSTILE, 7, status="failed", error=HOSTILE_TEXT)
    write_run(folder / f"{HOSTILE}-0123abcd" / "seed-7", failed)
    (folder / "lstm-0123abcd" / HOSTILE).mkdir()
    return folder


def hostile_views(seed: int) -> list[View]:
    """The six views with texts that want to be executed, wherever a view has a text."""
    return [_hostile(view) for view in six_views("lstm", seed)]


def _hostile(value: Any, name: str = "") -> Any:
    """The same with every text replaced but those that the schema fixes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kept = ("name", "about", "role", "scale") if hasattr(value, "question") else ("about", "role", "scale")
        changed = {
            field.name: _hostile(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in kept
        }
        if hasattr(value, "question") and hasattr(value, "name"):
            changed["name"] = f"hostile_{value.name}"
        return dataclasses.replace(value, **changed)
    if isinstance(value, str):
        return f"{HOSTILE} {value}{HOSTILE_TEXT}"
    if isinstance(value, tuple):
        return tuple(_hostile(each) for each in value)
    if isinstance(value, dict):
        return {_hostile(key): each for key, each in value.items()}
    return value
