"""Steps with one mistake each, of the kinds found in other libraries; the references must tell them from the cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from cellwise.cells.activations import relu, sigmoid, tanh
from cellwise.cells.contract import Gates, State

Step = Callable[..., tuple[State, Gates]]


def _lstm(
    *,
    peepholes: bool = False,
    input_gate: Callable[[Any, Any, Any], Tensor] | None = None,
    forget: Callable[[Any, Any, Any], Tensor] | None = None,
    candidate: Callable[[Tensor], Tensor] = tanh,
    cell_state: Callable[..., Tensor] = lambda f, i, z, c: f * c + i * z,
    output_sees: Callable[[Tensor, Tensor], Tensor] = lambda old, new: new,
    output: Callable[[Tensor, Tensor], Tensor] = lambda o, c: o * tanh(c),
) -> Step:
    """The right LSTM step, but for the piece that is given."""

    def peep(p: Any, gate: str, c: Tensor) -> Tensor | float:
        return p[f"peephole_{gate}"] * c if peepholes else 0.0

    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        u, c = U("hidden", s["h"]), s["c"]
        i = input_gate(u, p, c) if input_gate else sigmoid(u["input"] + peep(p, "input", c))
        f = forget(u, p, c) if forget else sigmoid(u["forget"] + peep(p, "forget", c))
        z = candidate(u["candidate"])
        new = cell_state(f, i, z, c)
        o = sigmoid(u["output"] + peep(p, "output", output_sees(c, new)))
        return {"h": output(o, new), "c": new}, {"input": i, "forget": f, "candidate": z, "output": o}

    return step


def _coupled(*, f: Callable[[Tensor], Tensor], swap: bool = False, old: bool = False) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        u, c = U("hidden", s["h"]), s["c"]
        i = sigmoid(u["input"] + p["peephole_input"] * c)
        z = tanh(u["candidate"])
        kept, taken = (i, f(i)) if swap else (f(i), i)
        new = kept * c + taken * z
        o = sigmoid(u["output"] + p["peephole_output"] * (c if old else new))
        return {"h": o * tanh(new), "c": new}, {"input": i, "forget": f(i), "candidate": z, "output": o}

    return step


def _gru(candidate: Callable[..., Tensor], mix: Callable[..., Tensor] = lambda z, n, h: (1 - z) * n + z * h) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        u, h = U("hidden", s["h"]), s["h"]
        r, z = sigmoid(u["reset"]), sigmoid(u["update"])
        n = tanh(candidate(x, U, u, r, z, h))
        return {"h": mix(z, n, h)}, {"reset": r, "update": z, "candidate": n}

    return step


def _after(x: Any, U: Any, u: Any, r: Tensor, z: Tensor, h: Tensor) -> Tensor:
    pre: Tensor = x["candidate"] + r * u["candidate_recurrent"]
    return pre


def _before(x: Any, U: Any, u: Any, r: Tensor, z: Tensor, h: Tensor) -> Tensor:
    pre: Tensor = U("reset_hidden", r * h)["candidate"]
    return pre


def _rnn(phi: Callable[[Tensor], Tensor], pre: Callable[[Any, Any], Tensor]) -> Step:
    def step(x: Any, U: Any, s: Any, p: Any) -> tuple[State, Gates]:
        n = phi(pre(x["candidate"], U("hidden", s["h"])["candidate"]))
        return {"h": n}, {"candidate": n}

    return step


_TANH, _RELU = {"nonlinearity": "tanh"}, {"nonlinearity": "relu"}
_AFTER, _BEFORE = {"reset": "after"}, {"reset": "before"}
_PEEPHOLES = {"peepholes": True}
_REVERSED = lambda z, n, h: z * n + (1 - z) * h  # noqa: E731 - one line of a table

MUTANTS: list[tuple[str, dict[str, Any], str, Step]] = [
    ("rnn", _TANH, "relu for tanh", _rnn(relu, lambda x, u: u)),
    ("rnn", _RELU, "tanh for relu", _rnn(tanh, lambda x, u: u)),
    ("rnn", _TANH, "the input twice", _rnn(tanh, lambda x, u: u + x)),
    ("rnn", _TANH, "no recurrence", _rnn(tanh, lambda x, u: x)),
    ("lstm", {}, "input and forget gate swapped", _lstm(cell_state=lambda f, i, z, c: i * c + f * z)),
    ("lstm", {}, "input gate added to the candidate", _lstm(cell_state=lambda f, i, z, c: f * c + i + z)),
    ("lstm", {}, "forget gate left out", _lstm(cell_state=lambda f, i, z, c: c + i * z)),
    ("lstm", {}, "sigmoid candidate", _lstm(candidate=sigmoid)),
    ("lstm", {}, "no tanh on the cell state", _lstm(output=lambda o, c: o * c)),
    ("lstm", {}, "forget bias added in the step", _lstm(forget=lambda u, p, c: sigmoid(u["forget"] + 1))),
    ("lstm", {}, "forget bias on the input gate", _lstm(input_gate=lambda u, p, c: sigmoid(u["input"] + 1))),
    ("lstm", {}, "coupled", _lstm(forget=lambda u, p, c: 1 - sigmoid(u["input"]))),
    ("peephole_lstm", {}, "no peepholes", _lstm()),
    (
        "peephole_lstm",
        {},
        "output peephole sees the old cell state",
        _lstm(peepholes=True, output_sees=lambda old, new: old),
    ),
    (
        "peephole_lstm",
        {},
        "peephole after the sigmoid",
        _lstm(peepholes=True, forget=lambda u, p, c: sigmoid(u["forget"]) + p["peephole_forget"] * c),
    ),
    (
        "peephole_lstm",
        {},
        "forget gate with the input gate's peephole",
        _lstm(peepholes=True, forget=lambda u, p, c: sigmoid(u["forget"] + p["peephole_input"] * c)),
    ),
    ("coupled_lstm", _PEEPHOLES, "input and forget gate swapped", _coupled(f=lambda i: 1 - i, swap=True)),
    ("coupled_lstm", _PEEPHOLES, "not coupled", _coupled(f=lambda i: i)),
    ("coupled_lstm", _PEEPHOLES, "output peephole sees the old cell state", _coupled(f=lambda i: 1 - i, old=True)),
    ("gru", _AFTER, "update convention reversed", _gru(_after, _REVERSED)),
    ("gru", _BEFORE, "update convention reversed", _gru(_before, _REVERSED)),
    ("gru", _AFTER, "update gate for reset gate", _gru(lambda x, U, u, r, z, h: _after(x, U, u, z, r, h))),
    (
        "gru",
        _AFTER,
        "reset gate on the input's share too",
        _gru(lambda x, U, u, r, z, h: r * (x["candidate"] + u["candidate_recurrent"])),
    ),
    (
        "gru",
        _BEFORE,
        "reset gate after the product",
        _gru(lambda x, U, u, r, z, h: x["candidate"] + r * (U("reset_hidden", h)["candidate"] - x["candidate"])),
    ),
    ("gru", _BEFORE, "no reset gate", _gru(lambda x, U, u, r, z, h: U("reset_hidden", h)["candidate"])),
]
