"""ONNX's RNN, GRU and LSTM operators, run by onnxruntime: an implementation that shares nothing with torch.

Note: the outputs of a node are positional (Y, Y_h, Y_c); float32 only; length 0 is not usable as an oracle, because
onnxruntime returns zeros there although an initial state is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import parser

from cellwise.recurrent.layer import Recurrent

Array32 = NDArray[np.float32]

# ONNX's order of our gates; the candidate's block is called c or h there. Peepholes: input, output, forget.
ORDER = {
    "RNN": ("candidate",),
    "GRU": ("update", "reset", "candidate"),
    "LSTM": ("input", "output", "forget", "candidate"),
}


def run_operator(op: str, attributes: dict[str, Any], **feeds: NDArray[Any]) -> dict[str, Array32]:
    """Run one operator.

    Args:
        op: RNN, GRU or LSTM.
        attributes: of the node, as its text form writes them.
        **feeds: X (time, batch, input), W, R, B, sequence_lens (int32), initial_h, initial_c, P; what is absent
            becomes an empty input.

    Returns:
        Y (time, directions, batch, hidden), Y_h and, for an LSTM, Y_c (directions, batch, hidden).
    """
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"][: 8 if op == "LSTM" else 6]
    last = max(place for place, name in enumerate(order) if name in feeds)
    inputs = ", ".join(name if name in feeds else '""' for name in order[: last + 1])
    types = {"float32": "float", "int32": "int32"}
    given = ", ".join(f"{types[str(v.dtype)]}[{','.join(map(str, v.shape))}] {name}" for name, v in feeds.items())
    names = ["Y", "Y_h", "Y_c"][: 3 if op == "LSTM" else 2]
    results = ", ".join(f"float[{','.join('?' * (4 if name == 'Y' else 3))}] {name}" for name in names)
    hidden = feeds["R"].shape[-1]
    written = ", ".join(f"{key} = {value}" for key, value in {"hidden_size": hidden, **attributes}.items())
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 22]>\n'
        f"g ({given}) => ({results}) {{ {', '.join(names)} = {op} <{written}> ({inputs}) }}"
    )
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(None, feeds), strict=True))


def operator_weights(op: str, layer: Recurrent) -> dict[str, Array32]:
    """Return W, R, B and, with peepholes, P of a one-layer layer, its directions stacked."""
    directions = [_one_direction(op, layer, bool(backward)) for backward in range(layer.directions)]
    return {name: np.stack([weights[name] for weights in directions]) for name in directions[0]}


def _one_direction(op: str, layer: Recurrent, backward: bool) -> dict[str, Array32]:
    gates, hidden = layer.gate_weights(0, backward), layer.hidden_size
    zeros = np.zeros(hidden, np.float32)

    def block(gate: str, name: str) -> Array32:
        if gate not in gates:  # coupled: the forget gate's rows are there and ignored, so they may be anything
            return np.full((hidden, *getattr(gates["input"], name).shape[1:]), 9.0, np.float32)
        value = getattr(gates[gate], name)
        return zeros if value is None else value.detach().numpy()

    found = {
        "W": np.concatenate([block(gate, "input") for gate in ORDER[op]]),
        "R": np.concatenate([block(gate, "recurrent") for gate in ORDER[op]]),
        "B": np.concatenate(
            [block(gate, "bias") for gate in ORDER[op]]
            + [block(gate, "recurrent_bias") if gate in gates else zeros for gate in ORDER[op]]
        ),
    }
    extras = layer.extra_weights(0, backward)
    if extras:
        peepholes = [extras.get(f"peephole_{gate}") for gate in ("input", "output", "forget")]
        found["P"] = np.concatenate([zeros if p is None else p.detach().numpy() for p in peepholes])
    return found
