"""Synthetic studies on disk, so that every room that reads records is tested on the same made-up runs; and real runs
so small that one takes a fifth of a second."""

from __future__ import annotations

import copy
import functools
import json
import math
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from cellwise.records.schema import (
    Axis,
    Column,
    Curves,
    Distribution,
    Filmstrip,
    Heatmap,
    Series,
    Table,
    Text,
    View,
    save_view,
)

# One thread: sizes are so small that two threads on a busy machine cost twenty times as much as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Runs of tests are shorter than what it takes to compile a step; what is compiled is tested for itself.
os.environ.setdefault("CELLWISE_COMPILE", "0")

# Other programs may have the machine meanwhile: how long an example takes says nothing about it.
settings.register_profile("shared_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared_machine")

# A shell that starts the tests in the background lets them, and so the commands they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A whole run: 4 columns of about 750 words in windows of 10, 2 steps.
TINY = (
    *("data.train_tokens=3000", "data.valid_tokens=600", "data.test_tokens=600"),
    *("task.batch_size=4", "task.steps=10", "task.eval_batch_size=4", "task.eval_steps=20"),
    *("network.hidden_size=8", "trainer.max_steps=2", "trainer.log_every_steps=1", "trainer.threads=1"),
)

# Test perplexities that five cells might reach, best first.
LEVELS = {"lstm": 61.0, "peephole_lstm": 61.3, "gru": 63.5, "coupled_lstm": 64.0, "rnn": 82.0}


def run_info(cell: str, seed: int, **changes: Any) -> dict[str, Any]:
    """The content of a ``run.json``."""
    return {
        "schema": 1,
        "status": "finished",
        "error": None,
        "cell": cell,
        "task": "language",
        "seed": seed,
        "study": "made_up",
        "identity": "0123abcd",
        "command": f"cellwise train cell={cell} seed={seed}",
        "started": "2026-11-20T10:00:00Z",
        "ended": "2026-11-20T10:01:00Z",
        "versions": {"python": "3.11.9", "torch": "2.13.0", "cellwise": "0.1.0"},
        "git": {"commit": "f" * 40, "dirty": False},
        "code_sha256": "a" * 64,
        "cell_sha256": "b" * 64,
        "device": "cpu",
        "threads": 1,
        "engine": "native",
        "data": {"embedded": "c" * 64},
        "parameters": {"total": 123456, "recurrent": 45678},
        "flops_per_step": 91356,
        "times_seconds": {"setup": 0.5, "train": 41.0, "test": 1.5},
        "devices": 1,
        **changes,
    }


def summary(cell: str, seed: int, value: float | None, **changes: Any) -> dict[str, Any]:
    """The content of a ``summary.json``."""
    return {
        "schema": 1,
        "task": "language",
        "cell": cell,
        "seed": seed,
        "objective": "perplexity",
        "direction": "min",
        "unit": "perplexity",
        "value": value,
        "validation": 60.0,
        "floors": {"unigram": 310.2, "bigram": 95.7},
        "optimum": 52.1,
        "metrics": {"test_nll_nats": 4.11, "test_bits_per_word": 5.93},
        "parameters": {"total": 123456, "recurrent": 45678},
        "flops_per_step": 91356,
        "train_seconds": 41.0 + seed,
        "throughput": {"value": 21000.0 + 10 * seed, "unit": "tokens/s"},
        "peak_memory_bytes": 220 * 2**20,
        "selected_step": 900,
        **changes,
    }


def metrics(value: float, rows: int = 20) -> list[dict[str, Any]]:
    """Training and validation rows that end near ``value``."""
    found: list[dict[str, Any]] = []
    for number in range(1, rows + 1):
        step = 50 * number
        where = {"step": step, "epoch": 0, "examples": 700 * step, "seconds": 0.04 * step}
        found.append({**where, "train_nll_nats": math.log(value), "learning_rate": 0.002})
        found.append({**where, "validation_perplexity": value * (1 + 6 * math.exp(-number / 3))})
    return found


def six_views(cell: str, seed: int) -> list[View]:
    """One view of each kind."""
    rng = np.random.default_rng([seed, len(cell)])
    distance = np.array([2, 4, 8, 16, 32])
    right = 0.9 * np.exp(-distance / (8.0 if cell == "rnn" else 40.0)) + rng.normal(0, 0.01, 5)
    flat = np.full(5, 0.95)
    sizes = Axis("distance", "words", "log")
    share = Axis("probability of the right word")
    image = np.add.outer(np.arange(8), np.arange(12)).astype(float)
    frames = np.stack([np.stack([np.roll(image, t, axis=1) * (1 + r) for t in range(4)]) for r in range(2)])
    curves = (Series("measured", distance, right), Series("best possible", distance, flat, role="optimum"))
    field = rng.normal(0, 1, (4, 10))
    steps, units = np.arange(10) * 100.0, np.arange(4)
    rows = tuple(("cause", d, float(r)) for d, r in zip(distance.tolist(), right.tolist(), strict=True))
    columns = (Column("kind"), Column("distance", "words"), Column("probability"))
    words = ("I", "grew", "up", "in", "France", ".", "I", "speak", "fluent", "French")
    return [
        Curves("by_distance", "Memory", "How far back does the cell remember?", sizes, share, curves),
        Distribution("gate", "Forget gate", "Is the gate open or shut?", Axis("forget"), {"test": rng.beta(5, 2, 400)}),
        Heatmap(
            "units",
            "Units",
            "Which units move?",
            Axis("step"),
            Axis("unit"),
            Axis("change"),
            steps,
            units,
            field,
        ),
        Filmstrip(
            "film",
            "Rain",
            "Where does it go?",
            Axis("lead time", "min"),
            Axis("rain", "mm/h"),
            np.arange(4) * 5,
            ("observed", "forecast"),
            frames,
        ),
        Table("examples", "By distance", "How good is it at each distance?", columns, rows),
        Text(
            "tokens",
            "Attention",
            "Which words matter?",
            Axis("gradient"),
            words,
            rng.normal(0, 1, len(words)),
        ),
    ]


def write_run(folder: Path, info: Any, result: Any = None, rows: Sequence[Any] = (), tail: str = "") -> Path:
    """Write one run's files as they are given; ``tail`` follows the metrics without a line end."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("cell: {name: made_up}\nseed: 1\n")
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)
    if result is not None:
        (folder / "summary.json").write_text(json.dumps(result))
    return folder


def write_study(folder: Path, seeds: int = 5, cells: Sequence[str] = tuple(LEVELS), *, views: bool = False) -> Path:
    """Write a study of finished runs whose scores scatter by seed, the same seed alike for every cell."""
    for cell in cells:
        for seed in range(seeds):
            shared = np.random.default_rng(seed).normal(0, 0.8)
            own = np.random.default_rng([seed, *cell.encode()]).normal(0, 0.4)
            value = float(LEVELS.get(cell, 70.0) + shared + own)
            run = folder / f"{cell}-0123abcd" / f"seed-{seed}"
            write_run(run, run_info(cell, seed), summary(cell, seed, value), metrics(value))
            for view in six_views(cell, seed) if views else []:
                save_view(view, run / "views")
    return folder


def write_troubled_study(folder: Path) -> Path:
    """Write a study with runs that failed, were killed, diverged, are damaged, replaced or foreign."""
    write_study(folder, 3, ("lstm", "gru"), views=True)
    failed = run_info("gru", 3, status="failed", error="RuntimeError: out of memory", ended=None)
    write_run(folder / "gru-0123abcd" / "seed-3", failed, rows=metrics(70.0, 4))
    killed = run_info("lstm", 3, status="running", ended=None)
    write_run(
        folder / "lstm-0123abcd" / "seed-3",
        killed,
        rows=metrics(62.0, 6),
        tail='{"step": 350, "validation_per',
    )
    write_run(folder / "gru-0123abcd" / "seed-4", run_info("gru", 4), summary("gru", 4, None))
    damaged = write_run(folder / "lstm-0123abcd" / "seed-4", run_info("lstm", 4))
    (damaged / "summary.json").write_text('{"schema": 1, "task": "lang')
    write_run(folder / "lstm-0123abcd" / "seed-0.replaced-1", run_info("lstm", 0), summary("lstm", 0, 1.0))
    (folder / "lstm-0123abcd" / ".DS_Store").write_text("")
    (folder / "lstm-0123abcd" / "notes").mkdir()
    (folder / "old" / "seed-1").mkdir(parents=True)
    (folder / "report.html").write_text("<html>")
    return folder


@pytest.fixture
def made_up_run_info() -> Callable[..., dict[str, Any]]:
    """``run_info(cell, seed, **changes)``."""
    return run_info


@pytest.fixture
def made_up_summary() -> Callable[..., dict[str, Any]]:
    """``summary(cell, seed, value, **changes)``."""
    return summary


@pytest.fixture
def made_up_views() -> Callable[[str, int], list[View]]:
    """``six_views(cell, seed)``."""
    return six_views


@pytest.fixture
def add_run() -> Callable[..., Path]:
    """``write_run(folder, info, result, rows, tail)``."""
    return write_run


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    """Five cells with five seeds and all six kinds of views."""
    return write_study(tmp_path / "runs" / "made_up", views=True)


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Path]:
    """``write_study`` below a temporary folder: ``make_study(name, seeds, cells, views=False)``."""
    return lambda name, *args, **options: write_study(tmp_path / "runs" / name, *args, **options)


@pytest.fixture
def troubled_folder(tmp_path: Path) -> Path:
    """Two cells with three good seeds and everything that goes wrong."""
    return write_troubled_study(tmp_path / "runs" / "troubled")


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """``tiny(*overrides)``: the configuration of a very small run, in the temporary folder ``runs``."""
    return lambda *overrides: {**copy.deepcopy(planned((*TINY, *overrides))), "runs_dir": str(tmp_path / "runs")}


@functools.cache
def planned(words: tuple[str, ...]) -> dict[str, Any]:
    """The configuration of one run; once, because to plan one takes as long as to train it."""
    from cellwise.sweep.plan import plan

    [run] = plan(words)
    return run.config


@pytest.fixture
def tiny_words(tmp_path: Path) -> list[str]:
    """The overrides of ``tiny``, for the command line."""
    return [*TINY, f"runs_dir={tmp_path / 'runs'}"]


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's ``metrics.jsonl``."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def rows_of() -> Callable[[Path], list[dict[str, Any]]]:
    """``rows(folder)``."""
    return rows


@pytest.fixture
def write_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``write_cell(name, before_step)``: a file with a cell from outside, its step preceded by a line of ours."""
    from cellwise.cells import registry

    registry.cell_names()  # loads the built-in ones
    monkeypatch.setattr(registry, "_cells", dict(registry._cells))  # so that the cell is gone after the test
    return lambda name, before_step="": write_outside_cell(tmp_path / f"{name}.py", name, before_step)


def write_outside_cell(path: Path, name: str, before_step: str = "") -> Path:
    """Write a leaky unit, which the registry does not have, as a user would."""
    path.write_text(
        f'''"""A cell of a user."""

import os
import signal

from cellwise import Cell, register_cell
from cellwise.cells.activations import tanh


@register_cell("{name}", paper="none")
class Leaky(Cell):
    gates = ("candidate",)
    products = {{"hidden": (gates, 1)}}

    def __init__(self, *, leak: float = 0.5):
        self.leak = leak

    def step(self, x, U, s, p):
        {before_step or "pass"}
        z = tanh(U("hidden", s["h"])["candidate"])
        return {{"h": self.leak * s["h"] + (1 - self.leak) * z}}, {{"candidate": z}}
'''
    )
    return path
