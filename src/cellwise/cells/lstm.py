"""Long short-term memory: the standard cell, with peepholes, and with coupled input and forget gates.

Sources: Hochreiter and Schmidhuber, Neural Computation 9 (1997), 1735 (cell and gates); Gers, Schmidhuber and Cummins,
Neural Computation 12 (2000), 2451 (forget gate); Gers, Schraudolph and Schmidhuber, JMLR 3 (2002), 115 (peepholes);
Greff et al., IEEE TNNLS 28 (2017), 2222, arXiv 1503.04069 (coupled gates, and the notation); Jozefowicz, Zaremba and
Sutskever, ICML 2015 (forget bias 1).

The equations, numbered as textbooks introduce them; x_g stands for W_g x_t + b_g, and the peephole terms in
brackets are those of `peephole_lstm`:

    (1) forget gate   f = sigmoid(x_f + U_f h_{t-1} [+ p_f * c_{t-1}])
    (2) input gate    i = sigmoid(x_i + U_i h_{t-1} [+ p_i * c_{t-1}])      coupled: f = 1 - i takes the place of (1)
    (3) candidate     z = tanh(x_z + U_z h_{t-1})
    (4) cell state    c = f * c_{t-1} + i * z
    (5) output gate   o = sigmoid(x_o + U_o h_{t-1} [+ p_o * c])            the output peephole sees the new cell state
    (6) output        h = o * tanh(c)

Differences: one bias vector per gate, where torch.nn.LSTM has two that are added; the forget gate's bias starts
`forget_bias` higher (torch.nn: 0). Peepholes start at 0, so at first a peephole LSTM is the LSTM of the same seed.
"""

from __future__ import annotations

from cellwise.cells.activations import sigmoid, tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell

_ONE_BIAS = "one bias vector per gate, where torch.nn.LSTM has two that are added"
_FORGET_BIAS = "the forget gate's bias starts forget_bias higher (Jozefowicz et al. 2015); torch.nn: 0"
_PEEPHOLE_START = "peepholes start at 0; the papers draw them at random"


@register_cell(
    "lstm",
    paper="Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000",
    equations=(
        "(1) forget gate  f = sigmoid(W_f x + b_f + U_f h_{t-1})",
        "(2) input gate   i = sigmoid(W_i x + b_i + U_i h_{t-1})",
        "(3) candidate    z = tanh(W_z x + b_z + U_z h_{t-1})",
        "(4) cell state   c = f * c_{t-1} + i * z",
        "(5) output gate  o = sigmoid(W_o x + b_o + U_o h_{t-1})",
        "(6) output       h = o * tanh(c)",
    ),
    differences=(_ONE_BIAS, _FORGET_BIAS),
)
class LSTM(Cell):
    """The standard LSTM, equations (1) to (6) of this module without peepholes.

    Args:
        forget_bias: added to the forget gate's bias at initialisation.
    """

    gates = ("input", "forget", "candidate", "output")
    products = {"hidden": (gates, 1)}
    states = ("h", "c")
    retention = {"c": "forget"}
    chrono = {"forget": 1, "input": -1}

    def __init__(self, *, forget_bias: float = 1.0):
        self.bias_offsets = {"forget": forget_bias}

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        f = sigmoid(u["forget"])  # (1)
        i = sigmoid(u["input"])  # (2)
        z = tanh(u["candidate"])  # (3)
        c = f * s["c"] + i * z  # (4)
        o = sigmoid(u["output"])  # (5)
        h = o * tanh(c)  # (6)
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": z, "output": o}


@register_cell(
    "peephole_lstm",
    paper="Gers, Schraudolph and Schmidhuber 2002; on images: Shi et al. 2015",
    equations=(
        "(1) forget gate  f = sigmoid(W_f x + b_f + U_f h_{t-1} + p_f * c_{t-1})",
        "(2) input gate   i = sigmoid(W_i x + b_i + U_i h_{t-1} + p_i * c_{t-1})",
        "(3) candidate    z = tanh(W_z x + b_z + U_z h_{t-1})",
        "(4) cell state   c = f * c_{t-1} + i * z",
        "(5) output gate  o = sigmoid(W_o x + b_o + U_o h_{t-1} + p_o * c)",
        "(6) output       h = o * tanh(c)",
    ),
    differences=(_ONE_BIAS, _FORGET_BIAS, _PEEPHOLE_START),
)
class PeepholeLSTM(Cell):
    """The LSTM whose gates also see the cell state through one weight per unit, equations (1) to (6).

    Args:
        forget_bias: added to the forget gate's bias at initialisation.
    """

    gates = ("input", "forget", "candidate", "output")
    products = {"hidden": (gates, 1)}
    states = ("h", "c")
    extras = {"peephole_input": 0.0, "peephole_forget": 0.0, "peephole_output": 0.0}
    retention = {"c": "forget"}
    chrono = {"forget": 1, "input": -1}

    def __init__(self, *, forget_bias: float = 1.0):
        self.bias_offsets = {"forget": forget_bias}

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        f = sigmoid(u["forget"] + p["peephole_forget"] * s["c"])  # (1)
        i = sigmoid(u["input"] + p["peephole_input"] * s["c"])  # (2)
        z = tanh(u["candidate"])  # (3)
        c = f * s["c"] + i * z  # (4)
        o = sigmoid(u["output"] + p["peephole_output"] * c)  # (5)
        h = o * tanh(c)  # (6)
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": z, "output": o}


@register_cell(
    "coupled_lstm",
    paper="Greff et al. 2017 (CIFG), arXiv 1503.04069",
    equations=(
        "(1) forget gate  f = 1 - i",
        "(2) input gate   i = sigmoid(W_i x + b_i + U_i h_{t-1} [+ p_i * c_{t-1}])",
        "(3) candidate    z = tanh(W_z x + b_z + U_z h_{t-1})",
        "(4) cell state   c = f * c_{t-1} + i * z",
        "(5) output gate  o = sigmoid(W_o x + b_o + U_o h_{t-1} [+ p_o * c])",
        "(6) output       h = o * tanh(c)",
    ),
    differences=(
        _ONE_BIAS,
        "the input gate carries the parameters (Greff, ONNX); TensorFlow's CIFG parametrises the forget gate",
        "no peepholes unless peepholes=true; Greff's CIFG has them",
        "forget_bias is stored as a lower input bias, because f = 1 - i",
    ),
)
class CoupledLSTM(Cell):
    """The LSTM that forgets exactly what it overwrites: f = 1 - i, equations (2) to (6).

    Args:
        forget_bias: subtracted from the input gate's bias at initialisation (f = 1 - i starts as open as an LSTM's).
        peepholes: Greff's form, in which input and output gate see the cell state; the terms in brackets.
    """

    gates = ("input", "candidate", "output")
    products = {"hidden": (gates, 1)}
    states = ("h", "c")
    retention = {"c": "forget"}
    chrono = {"input": -1}  # f = 1 - i

    def __init__(self, *, forget_bias: float = 1.0, peepholes: bool = False):
        self.bias_offsets = {"input": -forget_bias}
        self.extras = {"peephole_input": 0.0, "peephole_output": 0.0} if peepholes else {}

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        i = sigmoid(u["input"] + p["peephole_input"] * s["c"] if p else u["input"])  # (2)
        f = 1 - i  # (1)
        z = tanh(u["candidate"])  # (3)
        c = f * s["c"] + i * z  # (4)
        o = sigmoid(u["output"] + p["peephole_output"] * c if p else u["output"])  # (5)
        h = o * tanh(c)  # (6)
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": z, "output": o}
