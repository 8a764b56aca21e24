"""What minimal GRU and LSTM must be, whatever their weights."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, numbers

TIME, BATCH = 6, 3
CELLS = [(name, form) for name in ("minimal_gru", "minimal_lstm") for form in ("linear", "positive")]


def layer_of(name: str, candidate: str) -> Recurrent:
    return dense(lambda: build_cell(name, {"candidate": candidate}), engine="reference")


def no_products(product: str, operand: Tensor, /) -> Mapping[str, Tensor]:
    raise AssertionError(f"the step asks for product {product!r}")


@pytest.mark.parametrize(("name", "candidate"), CELLS)
def test_a_step_is_affine_in_the_state_and_contracts(name: str, candidate: str) -> None:
    cell = build_cell(name, {"candidate": candidate})
    x = {gate: numbers(BATCH, HIDDEN, seed=20 + n) for n, gate in enumerate(cell.gates)}
    h, d = numbers(BATCH, HIDDEN, seed=3), numbers(BATCH, HIDDEN, seed=4)
    at = [cell.step(x, no_products, {"h": h + n * d}, {})[0]["h"] for n in range(3)]
    torch.testing.assert_close(at[2] - at[1], at[1] - at[0], rtol=0, atol=1e-14)
    kept = (at[1] - at[0]) / d
    assert (kept > 0).all() and (kept < 1).all()


@pytest.mark.parametrize("name", ["minimal_gru", "minimal_lstm"])
def test_the_positive_form_stays_above_zero(name: str) -> None:
    x = 20 * numbers(TIME, BATCH, INPUT)
    positive, linear = (layer_of(name, form).trace(x) for form in ("positive", "linear"))
    assert linear.gates["candidate"].min() < -10 and linear.output.min() < 0
    assert positive.gates["candidate"].min() > 0 and positive.output.min() > 0


def test_the_positive_candidate_is_the_papers_with_no_jump() -> None:
    cell = build_cell("minimal_gru", {"candidate": "positive"})
    v = torch.tensor([-3.0, -1e-9, 0.0, 1e-9, 2.0], dtype=torch.float64)
    found = cell.step({"update": v, "candidate": v}, no_products, {"h": v}, {})[1]["candidate"]
    expected = torch.tensor([0.04742587317756678, 0.5, 0.5, 0.5, 2.5], dtype=torch.float64)  # sigmoid(-3); v + 0.5
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-9)


@pytest.mark.parametrize("candidate", ["linear", "positive"])
def test_a_minimal_lstm_whose_forget_weights_are_its_input_weights_negated_is_the_minimal_gru(candidate: str) -> None:
    lstm, gru = layer_of("minimal_lstm", candidate), layer_of("minimal_gru", candidate)
    pairs = (("input", "update", 1), ("forget", "update", -1), ("candidate", "candidate", 1))
    with torch.no_grad():
        for ours, theirs, sign in pairs:  # f + i = sigmoid(-v) + sigmoid(v) = 1
            for value, given in zip(lstm.gate_weights()[ours], gru.gate_weights()[theirs], strict=True):
                if value is not None and given is not None:
                    value.copy_(sign * given)
        x = numbers(TIME, BATCH, INPUT)
        torch.testing.assert_close(lstm(x)[0], gru(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_gates_of_a_minimal_lstm_sum_to_one_however_far_both_are_closed(dtype: torch.dtype) -> None:
    cell = build_cell("minimal_lstm")
    far = torch.tensor([-1e4, -500.0, -1.0, 0.0, 1.0, 500.0, 1e4], dtype=dtype)
    forget, given = (value.flatten() for value in torch.meshgrid(far, far, indexing="ij"))
    x = {"input": given, "forget": forget, "candidate": torch.ones_like(given)}
    _, gates = cell.step(x, no_products, {"h": torch.zeros_like(given)}, {})
    total = gates["input"].double() + gates["forget"].double()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=2 * torch.finfo(dtype).eps)
    assert gates["forget"][forget == given].eq(0.5).all()
