"""The table in the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cellwise.records.store import load_study
from cellwise.report.terminal.table import render_terminal


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


Made = Callable[..., dict[str, Any]]


@pytest.fixture
def errors_near_0(tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Made, made_up_summary: Made) -> Path:
    """Two cells with errors of different scatter, and two configurations that only an identity tells apart."""
    configurations = {
        "lstm-00000000": [0.0001, 0.0012, 0.0002],
        "full_gate_recurrence_lstm-00000000": [0.0123451, 0.0123456, 0.0123462],
        "rnn-11111111": [0.1, 0.2, 0.3],
        "rnn-22222222": [0.1, 0.2, 0.4],
    }
    for folder, values in configurations.items():
        cell, number = folder.rsplit("-", 1)
        for seed, value in enumerate(values):
            result = made_up_summary(
                cell, seed, value, objective="mse", unit="", floors={"second_number": 0.08}, optimum=0.0
            )
            path = add_run(tmp_path / "s" / folder / f"seed-{seed}", made_up_run_info(cell, seed), result)
            layer = f"{{layer: {{zoneout: 0.{number[0]}, chrono: {number[0]}0, layer_norm: {number[0] == '1'}}}}}"
            (path / "config.yaml").write_text(f"cell: {{name: {cell}}}\nseed: {seed}\nnetwork: {layer}\n")
    return tmp_path / "s"


def row_of(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.strip().startswith(name))


def test_each_row_has_two_significant_digits_of_its_own_sd(errors_near_0: Path) -> None:
    text = printed(errors_near_0, 200)
    assert row_of(text, "lstm ")[1:4] == ["3", "0.00050", "0.00061"]
    assert row_of(text, "full_gate")[1:4] == ["3", "0.01234563", "0.00000055"]
    assert row_of(text, "rnn-11111111")[1:4] == ["3", "0.20", "0.10"]


def test_an_interval_ends_where_no_score_can_be_and_the_column_says_so(errors_near_0: Path) -> None:
    text = printed(errors_near_0, 200)
    assert row_of(text, "lstm ")[4:7] == ["0.00000", "to", "0.00201"]
    assert "(cut at 0)" in text


def test_an_interval_that_is_not_cut_says_nothing(study_folder: Path) -> None:
    assert "cut at" not in printed(study_folder)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_names_break_at_spaces_only_and_no_column_is_lost(width: int, errors_near_0: Path) -> None:
    lines = printed(errors_near_0, width).splitlines()
    for name in ("lstm ", "full_gate_recurrence_lstm", "rnn-11111111", "rnn-22222222"):
        row = next(line for line in lines if line.strip().startswith(name))
        assert row.split()[-2:] == ["123,456", "21,010"]
    assert any("second_number" in line for line in lines)


@pytest.mark.parametrize("digits", [1.0, 0.001, 1e-5])
def test_a_usual_table_fits_80_columns_whatever_the_scatter(
    digits: float, tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Made, made_up_summary: Made
) -> None:
    rate = {"value": 123456.0, "unit": "sequences/s"}
    for cell in ("peephole_lstm", "antisymmetric_rnn"):
        for seed in range(3):
            result = made_up_summary(
                cell, seed, 0.2 + digits * (seed + 1), objective="mse", unit="", throughput=rate, optimum=0.0
            )
            add_run(tmp_path / "s" / f"{cell}-00000000" / f"seed-{seed}", made_up_run_info(cell, seed), result)
    table = [line for line in printed(tmp_path / "s").splitlines() if "123,456" in line or "interval" in line]
    assert len(table) >= 3
    assert max(len(line.rstrip()) for line in table) <= 80
    assert all(line.split()[-2:] == ["123,456", "123,456"] for line in table if "123,456" in line)


def test_a_row_named_by_its_identity_is_explained(errors_near_0: Path) -> None:
    lines = printed(errors_near_0).splitlines()
    assert "rnn-11111111: network.layer.chrono=10, network.layer.layer_norm=true, network.layer.zoneout=0.1" in lines
    assert "rnn-22222222: network.layer.chrono=20, network.layer.layer_norm=false, network.layer.zoneout=0.2" in lines
