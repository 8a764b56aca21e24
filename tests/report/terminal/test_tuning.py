"""The table of tuning shows the best settings on validation, what was lost, and what matters most."""

from __future__ import annotations

import dataclasses
import io

from rich.console import Console

from cellwise.records.tuning import Best, Choice, How, Importance, Tuned, TuningRecord
from cellwise.report.terminal.tuning import importance_lines, render_tuning

HOW = How(
    "random",
    0,
    (0,),
    8,
    None,
    (),
    {"optim.learning_rate": Choice(1e-4, 1e-1), "optim.clip_norm": Choice(values=(1, 2))},
)


def tuned(cell: str, rate: float, **changes: object) -> Tuned:
    best = Best(1, {"optim.learning_rate": rate, "optim.clip_norm": None}, 0.123456, "0123abcd")
    shares = Importance({"optim.learning_rate": 0.8, "optim.clip_norm": 0.05}, 0.15, 8)
    given = Tuned(cell, cell, {"cell": cell}, HOW, {"finished": 8}, best, shares, None, None)
    return dataclasses.replace(given, **changes)  # type: ignore[arg-type]


def shown(*each: Tuned, direction: str = "min") -> str:
    out = io.StringIO()
    record = TuningRecord("mse", "min" if direction == "min" else "max", "", each)
    render_tuning(record, Console(file=out, width=100))
    return out.getvalue()


def test_each_cell_has_a_row_with_its_best_settings() -> None:
    lines = shown(tuned("lstm", 0.012345), tuned("gru", 1e-5)).splitlines()
    assert lines[0] == "Tuned: best validation mse of each cell, lower is better"
    assert [line.split() for line in lines if line.startswith(("lstm", "gru"))] == [
        ["lstm", "8", "0.1235", "0.0123", "null"],
        ["gru", "8", "0.1235", "1e-05", "null"],
    ]
    assert "higher is better" in shown(tuned("lstm", 0.1), direction="max")


def test_what_was_lost_is_counted_and_a_cell_without_a_result_has_none() -> None:
    none = tuned("gru", 0.1, best=None, counts={"failed": 7, "pruned": 1}, importance=None, importance_missing="few")
    lines = shown(tuned("lstm", 0.1), none).splitlines()
    assert next(line for line in lines if "finished" in line).split()[:4] == ["cell", "finished", "pruned", "failed"]
    assert next(line for line in lines if line.startswith("gru")).split() == ["gru", "0", "1", "7", "–", "–", "–"]
    assert next(line for line in lines if line.startswith("lstm")).split()[1:4] == ["8", "0", "0"]


def test_no_name_is_cut_off_however_narrow_the_terminal() -> None:
    out = io.StringIO()
    record = TuningRecord("mse", "min", "", (tuned("full_gate_recurrence_lstm", 0.012345),))
    render_tuning(record, Console(file=out, width=40))
    [row] = [line for line in out.getvalue().splitlines() if line.startswith("full")]
    assert row.split() == ["full_gate_recurrence_lstm", "8", "0.1235", "0.0123", "null"]


def test_what_matters_most_is_the_mean_over_cells() -> None:
    other = tuned("gru", 0.1, importance=Importance({"optim.learning_rate": 0.6, "optim.clip_norm": 0.25}, 0.15, 9))
    assert importance_lines([tuned("lstm", 0.1), other]) == [
        "optim.learning_rate matters most: 70 % of the variance of validation, optim.clip_norm 15 %, settings together "
        "15 % (fANOVA, 8 finished trials or more, mean over 2 tuned)."
    ]


def test_where_nothing_is_known_of_importance_the_reason_is_given() -> None:
    missing = tuned("gru", 0.1, importance=None, importance_missing="3 trials finished")
    assert importance_lines([missing]) == ["Which setting matters is not known: 3 trials finished."]
    assert importance_lines([]) == []
