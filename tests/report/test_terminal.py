"""The table in the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from cellwise.records.store import load_study
from cellwise.report.terminal import render_terminal


def printed(folder: Path, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    render_terminal(load_study(folder), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_every_number_that_a_reader_needs(study_folder: Path) -> None:
    text = printed(study_folder)
    lines = text.splitlines()
    heading = next(line for line in lines if "interval" in line)
    for column in ("cell", "n", "mean", "sd", "95 % interval", "parameters", "tokens/s"):
        assert column in heading
    row = next(line for line in lines if line.strip().startswith("rnn")).split()
    assert row[:2] == ["rnn", "5"]
    assert row[-2:] == ["123,456", "21,020"]
    assert row[5] == "to"
    for beside in ("floor: unigram", "floor: bigram", "optimum"):
        assert any(line.strip().startswith(beside) for line in lines)
    assert "5 seeds can separate cells that differ by about" in text
    assert "none was tuned" in text
    assert f"Runs: {study_folder}" in text


@pytest.mark.parametrize("width", [80, 200])
def test_no_number_is_cut_off(width: int, study_folder: Path) -> None:
    text = printed(study_folder, width)
    assert "…" not in text
    for cell in ("peephole_lstm", "coupled_lstm"):
        assert cell in text


def test_failures_are_named_with_their_error(troubled_folder: Path) -> None:
    text = printed(troubled_folder)
    assert "failed: gru, seed 3: RuntimeError: out of memory" in text
    assert "failed: gru, seed 4: diverged" in text
    assert "running or cut off: lstm 1" in text
    assert "ignored: old: not named" in text


def test_one_seed_shows_no_interval(make_study: Callable[..., Path]) -> None:
    text = printed(make_study("single", 1))
    assert "One seed separates nothing" in text
    assert "nan" not in text


def test_brackets_in_a_name_are_no_markup(make_study: Callable[..., Path]) -> None:
    assert "[red]x" in printed(make_study("[bold]s", 2, ("lstm", "[red]x")))


def test_where_a_budget_matched_the_cells_the_count_is_of_the_recurrent_layers(make_study: Callable[..., Path]) -> None:
    folder = make_study("sized", 2, ("lstm", "gru"))
    for path in folder.rglob("config.yaml"):
        path.write_text("{cell: {name: made_up}, seed: 1, budget: 'params:45k'}")
    lines = printed(folder).splitlines()
    assert any("recurrent" in line for line in lines)
    row = next(line for line in lines if line.strip().startswith("gru")).split()
    assert row[-2] == "45,678"
