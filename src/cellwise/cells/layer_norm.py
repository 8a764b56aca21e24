"""LSTM and GRU with layer normalisation, in the variants that are in use.

Sources: Ba, Kiros and Hinton, 2016, arXiv 1607.06450 (layer normalisation, equations 3 and 4, and its supplement);
the variants are those of haste (LMNT; `LayerNormLSTM`, `LayerNormGRU`: the defaults here),
of PyTorch's benchmarks/fastrnns (`norm_cell="carried"`), and of TensorFlow's contrib `LayerNormBasicLSTMCell`
(`norm_scope="per_gate"`, `norm_parts="summed"`, `norm_cell="carried"`).

N(v) = (v - mean(v)) / sqrt(variance(v) + 1e-5), over the units of one gate (`per_gate`) or of all gates together
(`stacked`); k, l, m are gains and d a shift, one number a unit. The pre-activation of gate g is

    a_g = k_g * N(W_g x) + l_g * N(U_g h_{t-1}) + b_g          norm_parts="separate"
    a_g = m_g * N(W_g x + U_g h_{t-1}) + b_g                   norm_parts="summed"

    LSTM   i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)    z = tanh(a_z)
           c = f * c_{t-1} + i * z              h = o * tanh(c)                      norm_cell="none"
                                                h = o * tanh(k_c * N(c) + d_c)       norm_cell="readout"
           c = k_c * N(f * c_{t-1} + i * z) + d_c      h = o * tanh(c)               norm_cell="carried"

    GRU    r, z = sigmoid(a_r), sigmoid(a_z)    h = (1 - z) * n + z * h_{t-1}
           n = tanh(k_n * N(W_n x) + b_n + r * (l_n * N(U_n h_{t-1}) + d_n))

Differences: all biases are added after the norm, where they are its shift, and are drawn like any cell's (haste: 0).
On images N is over the channels of one pixel, so a layer takes images of any size; OpenSTL normalises over channels,
height and width together. The GRU has no `summed` form: its reset gate needs the recurrent part of the candidate alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from cellwise.cells.activations import join, sigmoid, tanh
from cellwise.cells.contract import Cell, Products
from cellwise.cells.registry import register_cell

if TYPE_CHECKING:
    from torch import Tensor

_EPS = 1e-5  # torch.nn.LayerNorm's, which haste uses

_LSTM_GATES = ("input", "forget", "candidate", "output")
_GRU_GATES = ("reset", "update", "candidate")
_ON_IMAGES = "on images the norm is over the channels of one pixel; OpenSTL's over channels, height and width"
_BIASES = "biases are drawn like any cell's; haste starts them at 0"


def _centre_and_scale(v: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and 1 / standard deviation over the last axis, (..., 1) each; of half precision in single, as torch.nn."""
    wide = v.float() if v.element_size() < 4 else v  # the derivative of 1 / sqrt(1e-5) is no half precision number
    mean = wide.mean(-1, keepdim=True)
    return mean, ((wide - mean).square().mean(-1, keepdim=True) + _EPS).rsqrt()


def _norm(v: Tensor) -> Tensor:
    """(v - mean) / standard deviation over the last axis."""
    mean, scale = _centre_and_scale(v)
    return ((v - mean) * scale).to(v.dtype)


def _norm_gates(values: Mapping[str, Tensor], scope: str) -> dict[str, Tensor]:
    """Normalise by gate, {gate: (..., hidden)}: over all gates' units together (`stacked`), or each gate's own."""
    if scope == "per_gate":
        return {gate: _norm(v) for gate, v in values.items()}
    mean, scale = _centre_and_scale(join(*values.values()))
    return {gate: ((v - mean) * scale).to(v.dtype) for gate, v in values.items()}


@register_cell(
    "layer_norm_lstm",
    paper="Ba, Kiros and Hinton 2016, arXiv 1607.06450; haste's form by default",
    equations=(
        "                 N(v) = (v - mean(v)) / sqrt(variance(v) + 1e-5)    over one gate's units or all gates'",
        "                 a_g = k_g * N(W_g x) + l_g * N(U_g h_{t-1}) + b_g   norm_parts=separate",
        "                 a_g = m_g * N(W_g x + U_g h_{t-1}) + b_g            norm_parts=summed",
        "(1) forget gate  f = sigmoid(a_f)",
        "(2) input gate   i = sigmoid(a_i)",
        "(3) candidate    z = tanh(a_z)",
        "(4) cell state   c = f * c_{t-1} + i * z",
        "                 c = k_c * N(f * c_{t-1} + i * z) + d_c              norm_cell=carried",
        "(5) output gate  o = sigmoid(a_o)",
        "(6) output       h = o * tanh(c)",
        "                 h = o * tanh(k_c * N(c) + d_c)                      norm_cell=readout",
    ),
    differences=(
        "the defaults are haste's; norm_cell=carried normalises what is carried on, as PyTorch's fastrnns does",
        "TensorFlow's contrib cell: norm_scope=per_gate norm_parts=summed norm_cell=carried",
        _BIASES,
        _ON_IMAGES,
    ),
)
class LayerNormLSTM(Cell):
    """The LSTM with layer normalisation; see the equations of this module.

    Args:
        norm_scope: over the units of all gates together (`stacked`), or of each gate (`per_gate`).
        norm_parts: the input's and the recurrent share each by itself (`separate`), or their sum (`summed`).
        norm_cell: the cell state is not normalised (`none`), where the output reads it (`readout`), or where it is
            carried on (`carried`).
        forget_bias: added to the forget gate's bias at initialisation.
    """

    gates = _LSTM_GATES
    states = ("h", "c")
    step_biases = gates
    retention = {"c": "forget"}
    chrono = {"forget": 1, "input": -1}

    def __init__(
        self,
        *,
        norm_scope: Literal["stacked", "per_gate"] = "stacked",
        norm_parts: Literal["separate", "summed"] = "separate",
        norm_cell: Literal["none", "readout", "carried"] = "readout",
        forget_bias: float = 1.0,
    ):
        self.norm_scope, self.norm_parts, self.norm_cell = norm_scope, norm_parts, norm_cell
        self.bias_offsets = {"forget": forget_bias}
        if norm_parts == "separate":
            self.parts = {f"{gate}_recurrent": gate for gate in self.gates}
            self.products: Products = {"hidden": (tuple(self.parts), 1)}
            gains = [f"{share}_gain_{gate}" for share in ("input", "recurrent") for gate in self.gates]
        else:
            self.products = {"hidden": (self.gates, 1)}
            gains = [f"gain_{gate}" for gate in self.gates]
        self.extras = dict.fromkeys(gains, 1.0)
        if norm_cell != "none":
            self.extras |= {"cell_gain": 1.0, "cell_shift": 0.0}

    def step(self, x, U, s, p):
        a = self.pre_activations(x, U("hidden", s["h"]), p)
        f = sigmoid(a["forget"])  # (1)
        i = sigmoid(a["input"])  # (2)
        z = tanh(a["candidate"])  # (3)
        c = f * s["c"] + i * z  # (4)
        if self.norm_cell == "carried":
            c = p["cell_gain"] * _norm(c) + p["cell_shift"]
        o = sigmoid(a["output"])  # (5)
        read = p["cell_gain"] * _norm(c) + p["cell_shift"] if self.norm_cell == "readout" else c
        h = o * tanh(read)  # (6)
        return {"h": h, "c": c}, {"input": i, "forget": f, "candidate": z, "output": o}

    def pre_activations(
        self, x: Mapping[str, Tensor], u: Mapping[str, Tensor], p: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return a_g by gate, (..., hidden); u is what the recurrent product gave."""
        if self.norm_parts == "summed":
            summed = _norm_gates(u, self.norm_scope)
            return {gate: p[f"gain_{gate}"] * summed[gate] + p[f"bias_{gate}"] for gate in self.gates}
        given, recurrent = _norm_gates(x, self.norm_scope), _norm_gates(u, self.norm_scope)
        return {
            gate: p[f"input_gain_{gate}"] * given[gate]
            + p[f"recurrent_gain_{gate}"] * recurrent[f"{gate}_recurrent"]
            + p[f"bias_{gate}"]
            for gate in self.gates
        }


@register_cell(
    "layer_norm_gru",
    paper="Ba, Kiros and Hinton 2016, arXiv 1607.06450; haste's form by default",
    equations=(
        "             N(v) = (v - mean(v)) / sqrt(variance(v) + 1e-5)    over one gate's units or all gates'",
        "reset gate   r = sigmoid(k_r * N(W_r x) + b_r + l_r * N(U_r h_{t-1}))",
        "update gate  z = sigmoid(k_z * N(W_z x) + b_z + l_z * N(U_z h_{t-1}))",
        "candidate    n = tanh(k_n * N(W_n x) + b_n + r * (l_n * N(U_n h_{t-1}) + d_n))",
        "output       h = (1 - z) * n + z * h_{t-1}",
    ),
    differences=(
        "the reset gate comes after the recurrent product, so the two shares are normalised separately, never summed",
        "one bias per gate besides d_n, where haste has two that are added",
        _BIASES,
        _ON_IMAGES,
    ),
)
class LayerNormGRU(Cell):
    """The GRU (reset after the product) with layer normalisation; see the equations of this module.

    Args:
        norm_scope: over the units of all gates together (`stacked`), or of each gate (`per_gate`).
    """

    gates = _GRU_GATES
    parts = {"reset_recurrent": "reset", "update_recurrent": "update", "candidate_recurrent": "candidate"}
    products = {"hidden": (tuple(parts), 1)}
    step_biases = gates
    extras = {
        "input_gain_reset": 1.0,
        "input_gain_update": 1.0,
        "input_gain_candidate": 1.0,
        "recurrent_gain_reset": 1.0,
        "recurrent_gain_update": 1.0,
        "recurrent_gain_candidate": 1.0,
        "recurrent_shift_candidate": 0.0,
    }
    retention = {"h": "update"}
    chrono = {"update": 1}

    def __init__(self, *, norm_scope: Literal["stacked", "per_gate"] = "stacked"):
        self.norm_scope = norm_scope

    def step(self, x, U, s, p):
        given, recurrent = _norm_gates(x, self.norm_scope), _norm_gates(U("hidden", s["h"]), self.norm_scope)
        a = {g: p[f"input_gain_{g}"] * given[g] + p[f"bias_{g}"] for g in self.gates}
        u = {g: p[f"recurrent_gain_{g}"] * recurrent[f"{g}_recurrent"] for g in self.gates}
        r = sigmoid(a["reset"] + u["reset"])
        z = sigmoid(a["update"] + u["update"])
        n = tanh(a["candidate"] + r * (u["candidate"] + p["recurrent_shift_candidate"]))
        h = (1 - z) * n + z * s["h"]
        return {"h": h}, {"reset": r, "update": z, "candidate": n}
