"""What the sLSTM's stabiliser must do: change no output, and keep every number finite."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from cellwise.cells.contract import Cell, Gates, State
from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, numbers, reached_state

TIME, BATCH = 6, 3
FORMS = ["sigmoid", "exponential"]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def cell_of(forget: str) -> Cell:
    return build_cell("slstm", {"forget": forget})


def layer_of(forget: str) -> Recurrent:
    return dense(lambda: cell_of(forget))


def step(cell: Cell, u: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> tuple[State, Gates]:
    """One step from the pre-activations u."""
    return cell.step(u, lambda product, operand, /: u, state, {})


def empty(cell: Cell, like: Tensor) -> dict[str, Tensor]:
    return {name: torch.full_like(like, cell.initial.get(name, 0.0)) for name in cell.states}


def every_combination(values: list[float], dtype: torch.dtype) -> dict[str, Tensor]:
    """Input and forget pre-activations in every combination; by gate."""
    given, forget = (v.flatten() for v in torch.meshgrid(*[torch.tensor(values, dtype=dtype)] * 2, indexing="ij"))
    return {"input": given, "forget": forget, "candidate": torch.ones_like(given), "output": given}


@pytest.mark.parametrize("shift", [-7.0, 0.5, 30.0])
@pytest.mark.parametrize("forget", FORMS)
def test_a_state_scaled_by_exp_of_what_is_added_to_m_gives_the_same_outputs(forget: str, shift: float) -> None:
    layer = layer_of(forget)
    x, start = numbers(TIME, BATCH, INPUT), reached_state(layer, BATCH)
    scale = torch.tensor(-shift, dtype=torch.float64).exp()
    other = start | {"m": start["m"] + shift, "c": start["c"] * scale, "n": start["n"] * scale}
    torch.testing.assert_close(layer(x, other)[0], layer(x, start)[0], rtol=0, atol=1e-12)
    only_m = start | {"m": start["m"] + shift}
    assert (layer(x, only_m)[0] - layer(x, start)[0]).abs().max() > 1e-3


@pytest.mark.parametrize("forget", FORMS)
def test_from_an_empty_memory_the_input_gates_bias_decides_m_and_no_output(forget: str) -> None:
    layer = layer_of(forget)
    x = numbers(TIME, BATCH, INPUT)
    bias = layer.gate_weights()["input"].bias
    assert bias is not None
    with torch.no_grad():
        output, state = layer(x)
        bias.add_(3.0)
        shifted, moved = layer(x)
    torch.testing.assert_close(shifted, output, rtol=0, atol=1e-12)
    torch.testing.assert_close(moved["m"], state["m"] + 3, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("forget", FORMS)
def test_the_first_step_is_the_authors_special_case(forget: str, dtype: torch.dtype) -> None:
    cell = cell_of(forget)
    u = every_combination([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], dtype)
    new, gates = step(cell, u, empty(cell, u["input"]))
    one = torch.ones_like(u["input"])
    assert torch.equal(new["m"], u["input"])
    assert torch.equal(gates["input"], one) and not gates["forget"].any()
    assert torch.equal(new["n"], one) and torch.equal(new["c"], u["candidate"].tanh())
    assert torch.equal(new["h"], u["output"].sigmoid() * u["candidate"].tanh())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("forget", FORMS)
def test_huge_pre_activations_keep_states_and_gradients_finite_and_n_at_1_or_more(
    forget: str, dtype: torch.dtype
) -> None:
    cell = cell_of(forget)
    values = [-1e4, -30.0, 0.0, 30.0, 1e4]
    leaves = {name: value.requires_grad_() for name, value in every_combination(values, dtype).items()}
    state: Mapping[str, Tensor] = empty(cell, leaves["input"])
    for turn in range(3):  # each time with other pairs of input and forget gate
        u = {name: value.roll(7 * turn) if name == "input" else value for name, value in leaves.items()}
        state, _ = step(cell, u, state)
        assert state["n"].min() >= 1
        assert all(value.isfinite().all() for value in state.values())
    total = torch.stack([value.sum() for value in state.values()]).sum()
    for name, gradient in zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True):
        assert gradient.isfinite().all(), name


def test_an_exponential_forget_gate_of_log_sigmoid_is_the_sigmoid_one() -> None:
    u = {gate: numbers(BATCH, HIDDEN, seed=30 + n) for n, gate in enumerate(cell_of("sigmoid").gates)}
    state = {name: numbers(BATCH, HIDDEN, seed=50 + n).abs() for n, name in enumerate(cell_of("sigmoid").states)}
    expected, _ = step(cell_of("sigmoid"), u, state)
    found, _ = step(cell_of("exponential"), u | {"forget": torch.nn.functional.logsigmoid(u["forget"])}, state)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
