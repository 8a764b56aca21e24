"""Which cell reaches a target first, from runs on disk."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cellwise.compare.groups import group_runs
from cellwise.compare.target import Race, race
from cellwise.errors import CellwiseError
from cellwise.records.store import load_study
from cellwise.report.terminal.target import render_target, sentences

AddRun = Callable[..., Path]
Made = Callable[..., dict[str, Any]]
Raced = Callable[..., Race]


def rows(values: list[float | None]) -> list[dict[str, Any]]:
    """Validation at steps 10, 20, ...; a second each."""
    steps = enumerate(values, start=1)
    return [{"step": 10 * n, "seconds": float(n), "validation_perplexity": value} for n, value in steps]


@pytest.fixture
def add(tmp_path: Path, add_run: AddRun, made_up_run_info: Made, made_up_summary: Made) -> Callable[..., None]:
    """Add one run: its validation values and its status."""

    def write(cell: str, seed: int, values: list[float | None], status: str = "finished") -> None:
        result = made_up_summary(cell, seed, 60.0) if status == "finished" else None
        info = made_up_run_info(cell, seed, status=status, error="x" if status == "failed" else None)
        add_run(tmp_path / "study" / f"{cell}-0123abcd" / f"seed-{seed}", info, result, rows(values))

    return write


@pytest.fixture
def raced(tmp_path: Path) -> Raced:
    def run(target: float, direction: Any = "min", **options: Any) -> Race:
        (group,) = group_runs(load_study(tmp_path / "study"))
        return race(group, target, direction, **options)

    return run


def test_the_time_is_that_of_the_first_validation_at_the_target(add: Callable[..., None], raced: Raced) -> None:
    add("gru", 0, [9.0, 5.0, 6.0, 4.0])
    (row,) = raced(5.0).rows
    assert (row.label, row.n, row.reached, row.median.value) == ("gru", 1, 1, 20)
    assert raced(4.5).rows[0].median.value == 40
    assert raced(5.0, against="seconds").rows[0].median.value == 2.0
    assert raced(6.0, "max").rows[0].median.value == 10


def test_who_never_gets_there_counts_with_the_longest_time_however_it_ended(
    add: Callable[..., None], raced: Raced
) -> None:
    add("gru", 0, [9.0, 4.0, 4.0, 4.0])
    add("gru", 1, [9.0, None, math.nan], "failed")
    add("gru", 2, [9.0, 8.0])
    (row,) = raced(5.0).rows
    assert sorted(row.runs.times.tolist()) == [20, 40, 40]
    assert (row.reached, row.median.value) == (1, math.inf)


def test_who_still_runs_counts_with_its_own_time(add: Callable[..., None], raced: Raced) -> None:
    add("gru", 0, [9.0, 8.0, 7.0, 4.0])
    add("gru", 1, [9.0, 8.0], "running")
    (row,) = raced(5.0).rows
    assert sorted(row.runs.times.tolist()) == [20, 40]
    assert row.runs.censored.sum() == 1
    # one of one that could have been there at 40 was
    assert row.median.value == 40


def test_cells_are_sorted_by_who_is_there_first_and_told_apart_by_log_rank(
    add: Callable[..., None], raced: Raced
) -> None:
    for seed in range(5):
        add("rnn", seed, [9.0] * (10 + seed) + [1.0])
        add("gru", seed, [9.0] * (1 + seed) + [1.0])
        add("lstm", seed, [9.0] * 16)
    found = raced(5.0)
    assert [row.label for row in found.rows] == ["gru", "rnn", "lstm"]
    assert [row.median.value for row in found.rows] == [40, 130, math.inf]
    # 2 of 252 labellings, three pairs
    assert list(found.p.values()) == pytest.approx([3 * 2 / 252] * 3)
    assert sentences(found)[0] == "- gru is there sooner than rnn: 40 against 130 (log-rank, exact, Holm: p = 0.024)."
    assert "never" in sentences(found)[1]


def test_a_run_without_any_validation_never_got_there(add: Callable[..., None], raced: Raced) -> None:
    add("gru", 0, [9.0, 4.0])
    add("rnn", 0, [], "failed")
    rnn = raced(5.0).rows[1]
    assert (rnn.label, rnn.reached, rnn.runs.times.tolist()) == ("rnn", 0, [20])


def test_a_target_that_is_no_number_is_refused(add: Callable[..., None], raced: Raced) -> None:
    add("gru", 0, [9.0])
    with pytest.raises(CellwiseError, match="target 1 of 1 is nan"):
        raced(math.nan)


def test_the_terminal_shows_who_was_there_when(add: Callable[..., None], tmp_path: Path) -> None:
    for seed in range(6):
        add("gru", seed, [9.0] * (1 + seed) + [1.0])
        add("rnn", seed, [9.0] * 12)
    add("lstm", 0, [9.0, 4.0])
    console = Console(file=io.StringIO(), width=80)
    render_target(load_study(tmp_path / "study"), 5.0, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "language, perplexity: training steps until validation was at most 5.000" in text
    told = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith(("gru", "rnn", "lstm"))}
    assert told["gru"] == ["6", "6", "40", "20", "to", "70"]
    assert told["rnn"] == ["6", "0", "never", "120", "to", "never"]
    assert told["lstm"] == ["1", "1", "20", "–"]
    assert "gru is there sooner than rnn: 40 against never" in text


def test_of_one_cell_nothing_is_said(add: Callable[..., None], raced: Raced) -> None:
    add("gru", 0, [1.0])
    assert sentences(raced(5.0)) == []
    add("rnn", 0, [1.0])
    assert sentences(raced(5.0)) == ["No pair of cells is told apart by how soon it is there (log-rank, exact, Holm)."]
