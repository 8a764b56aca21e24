"""FLOPs are those that torch counts while the reference engine runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cellwise.budget import recurrent_flops
from cellwise.cells.registry import build_cell, cell_info, cell_names
from cellwise.recurrent.layer import Recurrent

BUILT_IN = [name for name in cell_names() if cell_info(name).factory.__module__.startswith("cellwise.cells.")]


@pytest.mark.parametrize("options", [{}, {"num_layers": 3}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("name", BUILT_IN)
def test_flops_are_those_that_torch_counts(name: str, options: dict[str, Any]) -> None:
    time, batch = 4, 3
    layer = Recurrent(name, 5, 7, engine="reference", **options)
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(time, batch, 5))
    expected = recurrent_flops(layer.cell, 5, 7, layer.num_layers, directions=layer.directions)
    assert expected == counter.get_total_flops() / time / batch


def test_a_gru_with_reset_before_costs_the_same() -> None:
    before, after = (recurrent_flops(build_cell("gru", {"reset": r}), 5, 7) for r in ("before", "after"))
    assert before == after == 2 * (3 * 7 * 5 + 3 * 7 * 7)
