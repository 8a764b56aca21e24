"""Cells against numbers that the authors' or another library's code computed, where that code is not installed here.

Weights, biases and inputs are `wave(shape, start)`: sin(start), sin(start + 1), ... filled row by row, in float64.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.recurrent.layer import Recurrent

TIME, SIZE = 4, 2


def wave(*shape: int, start: int) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.sin(torch.arange(start, start + count, dtype=torch.float64)).reshape(shape)


def waves(name: str, gates: tuple[str, ...], *, bias: bool, **options: Any) -> Recurrent:
    """A layer whose gates, in the given order, have W, b and U from waves that start at 0, 100 and 200."""
    layer = Recurrent(name, SIZE, SIZE, bias=bias, **options).double()
    rows = len(gates) * SIZE
    with torch.no_grad():
        for kind, stacked in (
            ("input", wave(rows, SIZE, start=0)),
            ("bias", wave(rows, start=100)),
            ("recurrent", wave(rows, SIZE, start=200)),
        ):
            for gate, block in zip(gates, stacked.chunk(len(gates)), strict=True):
                weight = getattr(layer.gate_weights()[gate], kind)
                if weight is not None:
                    weight.copy_(block)
    return layer


X = 2 * wave(TIME, 1, SIZE, start=300)

# xlstm 2.0.6, blocks/slstm/src/vanilla: slstm_forward(X W^T, zeros(4, 1, 2), U[None], b, "slstm" pointwise function).
SLSTM: dict[str, list[list[float]]] = {
    "h": [
        [-0.465347548329555, 0.0626927307858676],
        [0.404703667153519, -0.796642671212053],
        [0.122376410194587, -0.406568943804053],
        [0.293741963227685, -0.0244661118837988],
    ],
    "c": [
        [-0.992026780515585, 0.843954036036675],
        [0.775374922898465, -0.945685338110539],
        [0.794203190672516, -0.934997819252719],
        [0.751259312851252, -0.843735119342485],
    ],
    "n": [
        [1.0, 1.0],
        [1.00809176862702, 1.06266896407016],
        [1.08775333834689, 1.45161135594051],
        [1.13084821174317, 1.54740225043256],
    ],
    "m": [
        [-1.44673311127572, -1.52383061253693],
        [1.556586297274, 1.13381764728233],
        [1.27786954427254, 1.17964569254436],
        [1.26338172314205, 0.565512378108876],
    ],
}
# minGRU-pytorch 0.2.1: minGRU(2) and minLSTM(2) of X, all steps at once in logarithms, without a state.
POSITIVE: dict[str, list[list[float]]] = {
    "minimal_gru": [
        [0.261134827410576, 0.0555518218678729],
        [0.406345170129346, 1.13140822888716],
        [0.400725939629993, 1.29955691774041],
        [0.224876055838906, 0.849368007200882],
    ],
    "minimal_lstm": [
        [0.0223134439802354, 0.080822790879238],
        [1.98041512531142, 0.222629313451527],
        [0.919976799118136, 1.04497723885367],
        [0.868711763149475, 0.393149266008167],
    ],
}


def test_slstm_is_that_of_its_authors_from_their_special_first_step_on() -> None:
    layer = waves("slstm", ("input", "forget", "candidate", "output"), bias=True, forget="sigmoid")
    trace = layer.trace(X)
    for name, expected in SLSTM.items():
        torch.testing.assert_close(
            trace.states[name][0, :, 0], torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize(
    ("name", "gates"), [("minimal_gru", ("candidate", "update")), ("minimal_lstm", ("candidate", "forget", "input"))]
)
def test_minimal_cells_are_the_parallel_form_in_logarithms(name: str, gates: tuple[str, ...]) -> None:
    output = waves(name, gates, bias=False, candidate="positive")(X)[0]
    expected = torch.tensor(POSITIVE[name], dtype=torch.float64)
    torch.testing.assert_close(output[:, 0], expected, rtol=0, atol=1e-12)
