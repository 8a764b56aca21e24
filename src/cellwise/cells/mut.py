"""MUT1, MUT2 and MUT3: the three cells that a search over ten thousand architectures found.

Source: Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network architectures", ICML 2015,
PMLR 37, 2342, section 3.4. x is the input itself, not a share of it:

    update gate  z = sigmoid(W_z x + b_z)                           MUT1
                 z = sigmoid(W_z x + U_z h_{t-1} + b_z)             MUT2
                 z = sigmoid(W_z x + U_z tanh(h_{t-1}) + b_z)       MUT3
    reset gate   r = sigmoid(W_r x + U_r h_{t-1} + b_r)             MUT1, MUT3
                 r = sigmoid(x + U_r h_{t-1} + b_r)                 MUT2
    candidate    n = tanh(U_n (r * h_{t-1}) + tanh(x) + b_n)        MUT1
                 n = tanh(U_n (r * h_{t-1}) + W_n x + b_n)          MUT2, MUT3
    output       h = n * z + h_{t-1} * (1 - z)

Differences: where the input has not as many features as the layer has units, W x takes the place of the bare x of MUT1
and MUT2. The update gate takes the new value, as in the paper; the step also returns
`keep`, the share of the old state, for probes.
"""

from __future__ import annotations

from cellwise.cells.activations import sigmoid, tanh
from cellwise.cells.contract import Cell
from cellwise.cells.registry import register_cell

_PAPER = "Jozefowicz et al. 2015, ICML (PMLR 37:2342)"
_GATES = ("update", "reset", "candidate")
_OUTPUT = "output       h = n * z + h_{t-1} * (1 - z)"
_TAKES = "as in the paper, the update gate takes the new value; gru's keeps the old one"
_MAPPED = "where input size and hidden size differ, an ordinary map W x takes the place of the bare x"


@register_cell(
    "mut1",
    paper=_PAPER,
    equations=(
        "update gate  z = sigmoid(W_z x + b_z)",
        "reset gate   r = sigmoid(W_r x + U_r h_{t-1} + b_r)",
        "candidate    n = tanh(U_n (r * h_{t-1}) + tanh(x) + b_n)",
        _OUTPUT,
    ),
    differences=(_TAKES, _MAPPED),
)
class MUT1(Cell):
    """The update gate sees the input alone, the candidate tanh of the bare input."""

    gates = _GATES
    products = {"hidden": (("reset",), 1), "reset_hidden": (("candidate_recurrent",), 1)}
    parts = {"candidate_recurrent": "candidate"}
    step_biases = ("candidate",)  # outside tanh(x)
    raw = ("candidate",)
    retention = {"h": "keep"}
    chrono = {"update": -1}

    def step(self, x, U, s, p):
        z = sigmoid(x["update"])
        r = sigmoid(U("hidden", s["h"])["reset"])
        recurrent = U("reset_hidden", r * s["h"])["candidate_recurrent"]
        n = tanh(recurrent + tanh(x["candidate"]) + p["bias_candidate"])
        return {"h": n * z + s["h"] * (1 - z)}, {"update": z, "reset": r, "candidate": n, "keep": 1 - z}


@register_cell(
    "mut2",
    paper=_PAPER,
    equations=(
        "update gate  z = sigmoid(W_z x + U_z h_{t-1} + b_z)",
        "reset gate   r = sigmoid(x + U_r h_{t-1} + b_r)",
        "candidate    n = tanh(U_n (r * h_{t-1}) + W_n x + b_n)",
        _OUTPUT,
    ),
    differences=(_TAKES, f"{_MAPPED}: then it is a gru with reset=before"),
)
class MUT2(Cell):
    """The reset gate sees the bare input."""

    gates = _GATES
    products = {"hidden": (("update", "reset"), 1), "reset_hidden": (("candidate",), 1)}
    raw = ("reset",)
    retention = {"h": "keep"}
    chrono = {"update": -1}

    def step(self, x, U, s, p):
        u = U("hidden", s["h"])
        z = sigmoid(u["update"])
        r = sigmoid(u["reset"])
        n = tanh(U("reset_hidden", r * s["h"])["candidate"])
        return {"h": n * z + s["h"] * (1 - z)}, {"update": z, "reset": r, "candidate": n, "keep": 1 - z}


@register_cell(
    "mut3",
    paper=_PAPER,
    equations=(
        "update gate  z = sigmoid(W_z x + U_z tanh(h_{t-1}) + b_z)",
        "reset gate   r = sigmoid(W_r x + U_r h_{t-1} + b_r)",
        "candidate    n = tanh(U_n (r * h_{t-1}) + W_n x + b_n)",
        _OUTPUT,
    ),
    differences=(_TAKES,),
)
class MUT3(Cell):
    """The update gate sees tanh of the state."""

    gates = _GATES
    products = {"tanh_hidden": (("update",), 1), "hidden": (("reset",), 1), "reset_hidden": (("candidate",), 1)}
    retention = {"h": "keep"}
    chrono = {"update": -1}

    def step(self, x, U, s, p):
        z = sigmoid(U("tanh_hidden", tanh(s["h"]))["update"])
        r = sigmoid(U("hidden", s["h"])["reset"])
        n = tanh(U("reset_hidden", r * s["h"])["candidate"])
        return {"h": n * z + s["h"] * (1 - z)}, {"update": z, "reset": r, "candidate": n, "keep": 1 - z}
