"""Steps with one mistake each, of the kinds found in other libraries: the references tell them from the cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.activations import relu, sigmoid, tanh
from cellwise.cells.contract import Gates, State
from cellwise.cells.registry import build_cell
from cellwise.testing.layers import dense, numbers, reached_state
from tests.cells.mutants import Step
from tests.cells.reference.layer import REFERENCES, case_id, expected_steps

Mix = Callable[[Tensor, Tensor, Tensor], Tensor]


def _keeps(g: Tensor, n: Tensor, h: Tensor) -> Tensor:
    return g * h + (1 - g) * n


def _takes(g: Tensor, n: Tensor, h: Tensor) -> Tensor:
    return (1 - g) * h + g * n


def _one_product(gate: str, phi: Callable[[Tensor], Tensor], mix: Mix) -> Step:
    """JANET, UGRNN and Li-GRU, with a piece exchanged."""

    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        u, h = U("hidden", s["h"]), s["h"]
        g, n = sigmoid(u[gate]), phi(u["candidate"])
        return {"h": mix(g, n, h)}, {gate: g, "candidate": n, "input": 1 - sigmoid(u[gate] - 1)}

    return step


def _mgu(mix: Mix, operand: Callable[[Tensor, Tensor], Tensor]) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        f = sigmoid(U("hidden", s["h"])["forget"])
        n = tanh(U("forget_hidden", operand(f, s["h"]))["candidate"])
        return {"h": mix(f, n, s["h"])}, {"forget": f, "candidate": n, "keep": 1 - f}

    return step


def _star(mix: Mix, squash: Callable[[Tensor], Tensor]) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        k, z = sigmoid(U("hidden", s["h"])["update"]), tanh(x["candidate"])
        return {"h": squash(mix(k, z, s["h"]))}, {"update": k, "candidate": z, "keep": 1 - k}

    return step


def _mut1(inside: Callable[[Tensor, Tensor], Tensor]) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        z, r = sigmoid(x["update"]), sigmoid(U("hidden", s["h"])["reset"])
        recurrent = U("reset_hidden", r * s["h"])["candidate_recurrent"]
        n = tanh(recurrent + inside(x["candidate"], p["bias_candidate"]))
        return {"h": _takes(z, n, s["h"])}, {"update": z, "reset": r, "candidate": n, "keep": 1 - z}

    return step


def _mut3(update: Callable[[Tensor], Tensor], reset: Callable[[Tensor, Tensor], Tensor], mix: Mix) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        z = sigmoid(U("tanh_hidden", update(s["h"]))["update"])
        r = sigmoid(U("hidden", s["h"])["reset"])
        n = tanh(U("reset_hidden", reset(r, s["h"]))["candidate"])
        return {"h": mix(z, n, s["h"])}, {"update": z, "reset": r, "candidate": n, "keep": 1 - z}

    return step


def _indrnn(phi: Callable[[Tensor], Tensor], seen: Callable[[Any, Tensor], Tensor]) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        n = phi(x["candidate"] + seen(p["recurrent"], s["h"]))
        return {"h": n}, {"candidate": n}

    return step


def _scrn(operand: Callable[[Tensor, Tensor], Tensor], alpha: float = 0.95, phi: Any = sigmoid) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        context = (1 - alpha) * x["context_input"] + alpha * s["context"]
        seen = U("context", operand(s["context"], context))["candidate"]
        h = phi(seen + U("hidden", s["h"])["candidate_recurrent"])
        return {"h": h, "context": context}, {"context_input": x["context_input"], "candidate": h}

    return step


def _product(a: Tensor, b: Tensor) -> Tensor:
    return a * b


def _second(a: Tensor, b: Tensor) -> Tensor:
    return b


def _first(a: Tensor, b: Tensor) -> Tensor:
    return a


def _same(v: Tensor) -> Tensor:
    return v


_RELU, _TANH = {"nonlinearity": "relu"}, {"nonlinearity": "tanh"}
WRONG: list[tuple[str, dict[str, Any], str, Step]] = [
    ("mgu", {}, "the gate keeps", _mgu(_keeps, _product)),
    ("mgu", {}, "no reset", _mgu(_takes, _second)),
    ("janet", {}, "beta left out", _one_product("forget", tanh, _keeps)),
    (
        "janet",
        {},
        "beta added",
        _one_product("forget", tanh, lambda g, n, h: g * h + (1 - (g.logit() + 1).sigmoid()) * n),
    ),
    ("ugrnn", {}, "the gate takes", _one_product("update", tanh, _takes)),
    ("ugrnn", {}, "relu for tanh", _one_product("update", relu, _keeps)),
    ("ligru", {}, "the gate takes", _one_product("update", relu, _takes)),
    ("ligru", {}, "tanh for relu", _one_product("update", tanh, _keeps)),
    ("star", {}, "the gate keeps", _star(_keeps, tanh)),
    ("star", {}, "no tanh on the mixture", _star(_takes, _same)),
    ("mut1", {}, "x for tanh(x)", _mut1(lambda x, b: x + b)),
    ("mut1", {}, "the bias inside tanh(x)", _mut1(lambda x, b: tanh(x + b))),
    ("mut1", {}, "no bias", _mut1(lambda x, b: tanh(x))),
    ("mut3", {}, "h for tanh(h)", _mut3(_same, _product, _takes)),
    ("mut3", {}, "no reset", _mut3(tanh, _second, _takes)),
    ("mut3", {}, "the gate keeps", _mut3(tanh, _product, _keeps)),
    ("indrnn", _RELU, "tanh for relu", _indrnn(tanh, _product)),
    ("indrnn", _TANH, "relu for tanh", _indrnn(relu, _product)),
    ("indrnn", _RELU, "no recurrence", _indrnn(relu, lambda u, h: 0 * h)),
    ("scrn", {}, "the hidden layer sees the old context", _scrn(_first)),
    ("scrn", {}, "another alpha", _scrn(_second, alpha=0.5)),
    ("scrn", {}, "a tanh on the output", _scrn(_second, phi=lambda v: tanh(sigmoid(v)))),
]


@pytest.mark.parametrize(("name", "options", "wrong", "step"), WRONG, ids=case_id)
def test_a_wrong_equation_is_seen(name: str, options: dict[str, Any], wrong: str, step: Step) -> None:
    reference = next(found for cell, given, found in REFERENCES if (cell, given) == (name, options))
    cell = build_cell(name, options)
    vars(cell)["step"] = step
    layer = dense(lambda: cell, engine="reference")
    x, start = numbers(6, 3, layer.input_size), reached_state(dense(lambda: build_cell(name, options)), 3)
    with torch.no_grad():
        output = layer(x, start)[0]
    assert (output - expected_steps(reference, layer, x, start)["h"]).abs().max() > 1e-3, wrong
