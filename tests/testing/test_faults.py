"""Each check of a cell in a layer catches the mistake it is for, and says what to mend."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from cellwise.cells.activations import tanh
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.recurrent import stack
from cellwise.recurrent.engines import ENGINES, reference
from cellwise.testing import (
    conditions,
    copies,
    dependence,
    engines,
    gradients,
    lengths,
    shapes,
    views,
)
from cellwise.testing.contract import Check
from tests.testing.faulty import Faulty, candidate, counter, right


def mean_over_rows(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"])
    return {"h": h - h.mean(0)}, {"candidate": h}


def squeezes_the_batch(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"])
    other = h.mean(-1).squeeze()  # (batch,) beside (batch, hidden): right only for one row, silent for batch == hidden
    return {"h": h * other}, {"candidate": h}


def nan_in_bfloat16(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"]) + (float("nan") if s["h"].dtype == torch.bfloat16 else 0)
    return {"h": h}, {"candidate": h}


def ignores_the_input(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = tanh(U("hidden", s["h"])["candidate"] - x["candidate"])
    return {"h": h}, {"candidate": h}


def ignores_the_state(x: Any, U: Any, s: Any, p: Any) -> Any:
    U("hidden", s["h"])
    h = tanh(x["candidate"])
    return {"h": h}, {"candidate": h}


def ignores_its_extra(x: Any, U: Any, s: Any, p: Any) -> Any:
    return right(x, U, s, p)


def detaches(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"] * 1.0).detach()
    return {"h": h}, {"candidate": h}


def detaches_half(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"])
    return {"h": h + h.detach()}, {"candidate": h}


class _Roughly(torch.autograd.Function):
    """The identity, whose derivative forgets that its incoming gradient depends on anything."""

    @staticmethod
    def forward(ctx: Any, v: torch.Tensor) -> torch.Tensor:
        return v.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.detach() + 0 * gradient


def wrong_second_derivative(x: Any, U: Any, s: Any, p: Any) -> Any:
    h: Any = _Roughly.apply(candidate(U, s["h"]))  # type: ignore[no-untyped-call]
    return {"h": h}, {"candidate": h}


def random_in_evaluation(x: Any, U: Any, s: Any, p: Any) -> Any:
    h = candidate(U, s["h"])
    return {"h": h * torch.rand_like(h)}, {"candidate": h}


FAULTS: list[tuple[Any, dict[str, Any], Check, str]] = [
    (nan_in_bfloat16, {}, shapes.check_shapes, "output is not finite in torch.bfloat16"),
    (mean_over_rows, {}, dependence.check_batch_independence, "row 3 of a batch of 4 differs"),
    (squeezes_the_batch, {}, dependence.check_batch_independence, "row 3 of a batch of 4 differs"),
    (ignores_the_input, {}, dependence.check_causality, "the outputs do not depend on the input"),
    (ignores_the_state, {}, dependence.check_causality, "the last output does not depend on an input two steps before"),
    (counter(), {}, dependence.check_halves, "the output of two pieces, cut at 1, differs"),
    (counter(), {}, dependence.check_step_by_step, "the output of step 0 alone differs"),
    (mean_over_rows, {}, lengths.check_padded_row, "engine reference: a row of length 5, padded, differs"),
    (counter(), {}, lengths.check_backward, "the forward half of the output differs"),
    (
        ignores_its_extra,
        {"extras": {"gain": 1.0}},
        gradients.check_every_gradient,
        "'layers.0.extra.gain' gets no grad",
    ),
    (ignores_the_state, {}, gradients.check_every_gradient, "recurrent_weight.hidden' gets no gradient"),
    (detaches_half, {}, gradients.check_gradients, "the derivative by the input differs from the finite difference"),
    (wrong_second_derivative, {}, gradients.check_second_gradients, "differs from the finite difference"),
    (detaches, {}, views.check_trace_gradient, "'candidate' in the trace has no gradient"),
    (counter(), {}, views.check_trace, "a trace's output differs"),
    (ignores_its_extra, {"extras": {"gain": 1.0}}, views.check_gate_weights, "extra 'gain': writing into it does not"),
    (random_in_evaluation, {}, conditions.check_evaluation, "second pass in evaluation differs"),
    (counter(), {}, copies.check_state_dict, "the output of a copy differs"),
]


@pytest.mark.parametrize(("step", "data", "check", "told"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_faulty_cell_is_caught_and_told_what_to_mend(
    step: Any, data: dict[str, Any], check: Check, told: str
) -> None:
    with pytest.raises((AssertionError, CellwiseError)) as error:
        check(lambda: Faulty(step, **data))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_cell_that_can_not_be_pickled_is_caught() -> None:
    with pytest.raises(Exception, match="pickle"):
        copies.check_copies(lambda: Faulty(lambda x, U, s, p: right(x, U, s, p)))


def state_off_by_a_little(weights: Any, x: Any, state: Any, conditions: Any) -> Any:
    output, last = reference.run(weights, x, state, conditions)
    return output, {name: value * (1 + 1e-4) for name, value in last.items()}


def gradient_off_by_a_little(weights: Any, x: Any, state: Any, conditions: Any) -> Any:
    output, last = reference.run(weights, x, state, conditions)
    return output + 1e-4 * (output - output.detach()), last


def lengths_ignored(weights: Any, x: Any, state: Any, conditions: Any) -> Any:
    return reference.run(weights, x, state, dataclasses.replace(conditions, lengths=None))


def padding_seen(weights: Any, x: Any, state: Any, conditions: Any) -> Any:
    output, last = reference.run(weights, x, state, conditions)
    return output, {name: value + len(x) for name, value in last.items()}


def initial_state_at_length_0(weights: Any, x: Any, state: Any, conditions: Any) -> Any:
    output, last = reference.run(weights, x, state, conditions)
    empty = torch.zeros(x.shape[1], 1, dtype=torch.bool)
    if conditions.lengths is not None:
        empty = conditions.lengths.steps[:, None] == 0
    return output, {name: value.masked_fill(empty, 0.0) for name, value in last.items()}  # onnxruntime's rule


ENGINE_FAULTS: list[tuple[Any, Check, str]] = [
    (
        state_off_by_a_little,
        engines.check_engines,
        "engine native, torch.float32, without lengths, with biases: 'state",
    ),
    (gradient_off_by_a_little, engines.check_engines, "without lengths, with biases: 'gradient of input' differs"),
    (lengths_ignored, engines.check_engines, "engine native, torch.float32, with lengths"),
    (lengths_ignored, lengths.check_padded_row, "engine native: a row of length 2, padded, state 'h' differs"),
    (padding_seen, lengths.check_padding, "engine native: with 2 more steps of padding: 'h' differs"),
    (initial_state_at_length_0, lengths.check_nothing, "engine native, length 0: state 'h' differs"),
]


@pytest.mark.parametrize(("run", "check", "told"), ENGINE_FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_faulty_engine_is_caught(monkeypatch: pytest.MonkeyPatch, run: Any, check: Check, told: str) -> None:
    monkeypatch.setitem(ENGINES, "native", run)
    with pytest.raises(AssertionError) as error:
        check(lambda: build_cell("lstm"))
    assert told in str(error.value)


def test_flipping_over_the_padding_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "reverse", lambda x, lengths: x.flip(0))
    with pytest.raises(AssertionError, match="the backward half of the output differs"):
        lengths.check_backward(lambda: build_cell("lstm"))
