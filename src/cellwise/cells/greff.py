"""One LSTM, changed in one place: the variants of "LSTM: a search space odyssey".

Source: Greff, Srivastava, Koutnik, Steunebrink and Schmidhuber, IEEE TNNLS 28 (2017), 2222, arXiv 1503.04069, section
III. All are the LSTM with peepholes and one change; x_g stands for W_g x_t + b_g, and (1) to (6) are the equations of
`cellwise.cells.lstm`:

    (1) forget gate   f = sigmoid(x_f + U_f h_{t-1} + p_f * c_{t-1})     no_forget_gate_lstm (NFG): f = 1
    (2) input gate    i = sigmoid(x_i + U_i h_{t-1} + p_i * c_{t-1})     no_input_gate_lstm (NIG): i = 1
    (3) candidate     z = tanh(x_z + U_z h_{t-1})                        no_input_activation_lstm (NIAF): no tanh
    (4) cell state    c = f * c_{t-1} + i * z
    (5) output gate   o = sigmoid(x_o + U_o h_{t-1} + p_o * c)           no_output_gate_lstm (NOG): o = 1
    (6) output        h = o * tanh(c)                                    no_output_activation_lstm (NOAF): h = o * c

    full_gate_recurrence_lstm (FGR): each gate g of (1), (2), (5) also gets the three gates of the step before,
    R_gi i_{t-1} + R_gf f_{t-1} + R_go o_{t-1}; nine more matrices. The gates before step 0 are 0.

The paper's other two variants are options elsewhere: coupled gates (CIFG) is `coupled_lstm` with peepholes=true, no
peepholes (NP) is `lstm`, and its vanilla LSTM (V) is `peephole_lstm`.

Differences: the forget gate's bias starts `forget_bias` higher (the paper: 0, so forget_bias=0 is its network);
peepholes start at 0 (the paper draws all weights from N(0, 0.1)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cellwise.cells.activations import join, sigmoid, tanh
from cellwise.cells.contract import Cell, Products
from cellwise.cells.registry import register_cell

if TYPE_CHECKING:
    from torch import Tensor

Change = Literal[
    "no_input_gate",
    "no_forget_gate",
    "no_output_gate",
    "no_input_activation",
    "no_output_activation",
    "full_gate_recurrence",
]

_GATES = ("input", "forget", "candidate", "output")
_SIGMOID_GATES = ("input", "forget", "output")
_ABSENT = {"no_input_gate": "input", "no_forget_gate": "forget", "no_output_gate": "output"}


class GreffLSTM(Cell):
    """The LSTM with peepholes and one change; see the equations of this module.

    Args:
        change: what is changed; each registered name stands for one.
        forget_bias: added to the forget gate's bias at initialisation, where there is one.
    """

    states: tuple[str, ...] = ("h", "c")

    def __init__(self, *, change: Change = "full_gate_recurrence", forget_bias: float = 1.0):
        self.change = change
        self.gates = tuple(gate for gate in _GATES if gate != _ABSENT.get(change))
        self.products: Products = {"hidden": (self.gates, 1)}
        self.extras = {f"peephole_{gate}": 0.0 for gate in self.gates if gate != "candidate"}
        if "forget" in self.gates:
            self.bias_offsets = {"forget": forget_bias}
            self.retention = {"c": "forget"}
            self.chrono = {"forget": 1, "input": -1} if "input" in self.gates else {"forget": 1}
        if change == "full_gate_recurrence":
            self.parts = {f"{gate}_from_gates": gate for gate in _SIGMOID_GATES}
            self.products = {**self.products, "gates_before": (tuple(self.parts), 3)}
            self.states = ("h", "c", *(f"{gate}_gate" for gate in _SIGMOID_GATES))
            self.free_states = ("h", "c")  # the gates are no memory: they are replaced at every step

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        recurrent = self.change == "full_gate_recurrence"
        r = U("gates_before", join(s["input_gate"], s["forget_gate"], s["output_gate"])) if recurrent else {}

        def gate(name: str, c: Tensor) -> Tensor | float:
            if name not in self.gates:
                return 1.0
            pre = u[name] + p[f"peephole_{name}"] * c
            return sigmoid(pre + r[f"{name}_from_gates"] if recurrent else pre)

        f = gate("forget", s["c"])  # (1)
        i = gate("input", s["c"])  # (2)
        z = u["candidate"] if self.change == "no_input_activation" else tanh(u["candidate"])  # (3)
        c = f * s["c"] + i * z  # (4)
        o = gate("output", c)  # (5)
        h = o * c if self.change == "no_output_activation" else o * tanh(c)  # (6)
        gates = {"input": i, "forget": f, "candidate": z, "output": o}
        before = {"input_gate": i, "forget_gate": f, "output_gate": o} if recurrent else {}
        return {"h": h, "c": c} | before, {name: gates[name] for name in self.gates}


_FORGET = "(1) forget gate  f = sigmoid(W_f x + b_f + U_f h_{t-1} + p_f * c_{t-1})"
_INPUT = "(2) input gate   i = sigmoid(W_i x + b_i + U_i h_{t-1} + p_i * c_{t-1})"
_CANDIDATE = "(3) candidate    z = tanh(W_z x + b_z + U_z h_{t-1})"
_CELL_STATE = "(4) cell state   c = f * c_{t-1} + i * z"
_OUTPUT_GATE = "(5) output gate  o = sigmoid(W_o x + b_o + U_o h_{t-1} + p_o * c)"
_OUTPUT = "(6) output       h = o * tanh(c)"
_GATES_BEFORE = (
    "(1) forget gate  f = sigmoid(W_f x + b_f + U_f h_{t-1} + p_f * c_{t-1} + R_f [i, f, o]_{t-1})",
    "(2) input gate   i = sigmoid(W_i x + b_i + U_i h_{t-1} + p_i * c_{t-1} + R_i [i, f, o]_{t-1})",
    "(5) output gate  o = sigmoid(W_o x + b_o + U_o h_{t-1} + p_o * c + R_o [i, f, o]_{t-1})",
)
_FORGET_BIAS = "the forget gate's bias starts forget_bias higher; the paper: 0"
_PEEPHOLE_START = "peepholes start at 0; the paper draws all weights from N(0, 0.1)"
_NO_RETENTION = "no gate says what the cell state keeps: it keeps all, and adds"

# Name, the paper's abbreviation, the change, the equations, and differences of its own.
_VARIANTS: tuple[tuple[str, str, Change, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "no_input_gate_lstm",
        "NIG",
        "no_input_gate",
        (_FORGET, _CANDIDATE, "(4) cell state   c = f * c_{t-1} + z", _OUTPUT_GATE, _OUTPUT),
        (_FORGET_BIAS,),
    ),
    (
        "no_forget_gate_lstm",
        "NFG",
        "no_forget_gate",
        (_INPUT, _CANDIDATE, "(4) cell state   c = c_{t-1} + i * z", _OUTPUT_GATE, _OUTPUT),
        (_NO_RETENTION,),
    ),
    (
        "no_output_gate_lstm",
        "NOG",
        "no_output_gate",
        (_FORGET, _INPUT, _CANDIDATE, _CELL_STATE, "(6) output       h = tanh(c)"),
        (_FORGET_BIAS,),
    ),
    (
        "no_input_activation_lstm",
        "NIAF",
        "no_input_activation",
        (_FORGET, _INPUT, "(3) candidate    z = W_z x + b_z + U_z h_{t-1}", _CELL_STATE, _OUTPUT_GATE, _OUTPUT),
        (_FORGET_BIAS,),
    ),
    (
        "no_output_activation_lstm",
        "NOAF",
        "no_output_activation",
        (_FORGET, _INPUT, _CANDIDATE, _CELL_STATE, _OUTPUT_GATE, "(6) output       h = o * c"),
        (_FORGET_BIAS,),
    ),
    (
        "full_gate_recurrence_lstm",
        "FGR",
        "full_gate_recurrence",
        (*_GATES_BEFORE[:2], _CANDIDATE, _CELL_STATE, _GATES_BEFORE[2], _OUTPUT),
        (_FORGET_BIAS, "the gates before step 0 are 0; they are states, so they can be given and carried on"),
    ),
)

for _name, _abbreviation, _change, _equations, _own in _VARIANTS:
    register_cell(
        _name,
        GreffLSTM,
        paper=f"Greff et al. 2017 ({_abbreviation}), arXiv 1503.04069",
        equations=_equations,
        differences=(*_own, _PEEPHOLE_START),
        fixed={"change": _change} | ({"forget_bias": 0.0} if _change == "no_forget_gate" else {}),
    )
