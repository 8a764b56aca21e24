"""Parameter counts of the families of one paper, from the formulas of the field."""

from __future__ import annotations

from typing import Any

import pytest

from cellwise.recurrent.layer import Recurrent
from tests.cells.reference.layer import case_id

M, N = 7, 5
PEEPHOLE_LSTM = 4 * N * (M + N) + 4 * N + 3 * N
ONE_GATE_LESS = 3 * N * (M + N) + 3 * N + 2 * N
LSTM, GRU = 4 * N * (M + N) + 4 * N, 3 * N * (M + N) + 3 * N

FORMULAS: list[tuple[str, dict[str, Any], int]] = [
    ("no_input_gate_lstm", {}, ONE_GATE_LESS),
    ("no_forget_gate_lstm", {}, ONE_GATE_LESS),
    ("no_output_gate_lstm", {}, ONE_GATE_LESS),
    ("no_input_activation_lstm", {}, PEEPHOLE_LSTM),
    ("no_output_activation_lstm", {}, PEEPHOLE_LSTM),
    ("full_gate_recurrence_lstm", {}, PEEPHOLE_LSTM + 9 * N**2),
    ("layer_norm_lstm", {"norm_parts": "separate", "norm_cell": "none"}, LSTM + 8 * N),  # a gain for each share
    ("layer_norm_lstm", {"norm_parts": "summed", "norm_cell": "none"}, LSTM + 4 * N),
    ("layer_norm_lstm", {"norm_parts": "summed", "norm_cell": "carried"}, LSTM + 4 * N + 2 * N),
    ("layer_norm_lstm", {}, LSTM + 8 * N + 2 * N),  # haste: gamma (2, 4N), gamma_h and beta_h
    ("layer_norm_lstm", {"norm_scope": "per_gate"}, LSTM + 8 * N + 2 * N),
    ("layer_norm_gru", {}, GRU + 6 * N + N),  # haste: gamma (2, 3N) and a second candidate bias
]


def count(name: str, options: dict[str, Any]) -> int:
    return sum(parameter.numel() for parameter in Recurrent(name, M, N, **options).parameters())


@pytest.mark.parametrize(("name", "options", "expected"), FORMULAS, ids=case_id)
def test_the_count_is_the_formulas(name: str, options: dict[str, Any], expected: int) -> None:
    assert count(name, options) == expected


def test_the_papers_vanilla_lstm_and_its_coupled_form_are_the_cells_that_are_named_for_them() -> None:
    assert count("peephole_lstm", {}) == 4 * N * M + 4 * N**2 + 3 * N + 4 * N
    assert count("coupled_lstm", {"peepholes": True}) == ONE_GATE_LESS
    assert count("lstm", {}) == PEEPHOLE_LSTM - 3 * N


@pytest.mark.parametrize(
    ("name", "absent"),
    [("no_input_gate_lstm", "input"), ("no_forget_gate_lstm", "forget"), ("no_output_gate_lstm", "output")],
)
def test_an_absent_gate_has_no_parameters_and_is_not_returned(name: str, absent: str) -> None:
    layer = Recurrent(name, M, N)
    assert absent not in layer.gate_weights()
    assert f"peephole_{absent}" not in layer.extra_weights()
    assert len(layer.gate_weights()) == 3
    assert len(layer.extra_weights()) == 2
