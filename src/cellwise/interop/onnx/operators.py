"""The cells that ONNX has an operator for: RNN, GRU and LSTM, the last with peepholes and coupled gates.

Differences of layout: ONNX stacks an LSTM's gates input, output, forget, candidate and its peepholes input, output,
forget; a GRU's gates update, reset, candidate. A coupled LSTM has rows for the forget gate all the same, which
`input_forget=1` makes unused; they are zeros here. For a row of length 0 onnxruntime returns a state of zeros
whatever it started from, so the model chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellwise.cells.contract import Cell
from cellwise.cells.gru import GRU
from cellwise.cells.lstm import LSTM, CoupledLSTM, PeepholeLSTM
from cellwise.cells.rnn import RNN
from cellwise.recurrent.weights import Weights

Array = NDArray[Any]


@dataclass(frozen=True)
class Operator:
    """One of ONNX's recurrent operators, set up as a cell.

    Attributes:
        name: RNN, GRU or LSTM.
        order: our gates in the order of ONNX's rows.
        states: the cell's states in the order of ONNX's initial values.
        attributes: that make it this cell.
        activations: of one direction, where they are not the operator's own.
    """

    name: str
    order: tuple[str, ...]
    states: tuple[str, ...] = ("h",)
    attributes: dict[str, int] = field(default_factory=dict)
    activations: tuple[str, ...] = ()

    def weights(self, directions: list[Weights]) -> dict[str, Array]:
        """Return W, R, B and, with peepholes, P; the directions stacked on axis 0."""
        each = [self._one(weights) for weights in directions]
        return {name: np.stack([found[name] for found in each]) for name in each[0]}

    def _one(self, weights: Weights) -> dict[str, Array]:
        gates, hidden = weights.gates(), weights.hidden_size

        def rows(attribute: str, shape: tuple[int, ...]) -> list[Array]:
            values = (getattr(gates[name], attribute) if name in gates else None for name in self.order)
            return [np.zeros(shape) if v is None else v.detach().double().cpu().numpy() for v in values]

        found = {
            "W": np.concatenate(rows("input", (hidden, weights.input_size))),
            "R": np.concatenate(rows("recurrent", (hidden, hidden))),
            "B": np.concatenate(rows("bias", (hidden,)) + rows("recurrent_bias", (hidden,))),
        }
        if weights.extra:
            peepholes = (weights.extra.get(f"peephole_{gate}") for gate in ("input", "output", "forget"))
            found["P"] = np.concatenate(
                [np.zeros(hidden) if p is None else p.detach().double().cpu().numpy() for p in peepholes]
            )
        return found


_LSTM = ("input", "output", "forget", "candidate")


def operator_of(cell: Cell) -> Operator | None:
    """Return the operator that computes exactly this cell; None where ONNX has none."""
    if isinstance(cell, RNN):
        return Operator("RNN", ("candidate",), activations=(cell.nonlinearity.capitalize(),))
    if isinstance(cell, GRU):
        return Operator(
            "GRU",
            ("update", "reset", "candidate"),
            attributes={"linear_before_reset": int(cell.reset == "after")},
        )
    if isinstance(cell, LSTM | PeepholeLSTM | CoupledLSTM):
        coupled = {"input_forget": 1} if isinstance(cell, CoupledLSTM) else {}
        return Operator("LSTM", _LSTM, states=("h", "c"), attributes=coupled)
    return None
