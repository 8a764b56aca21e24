"""Cells that use all of the contract (two products, a wide operand, a part, a reduction over units) keep it."""

from __future__ import annotations

import pytest
import torch

from cellwise.cells.contract import Cell
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.contract import CHECKS, Check
from cellwise.testing.layers import numbers
from tests.recurrent.throwaway import THROWAWAY, TwoProducts


@pytest.mark.parametrize("cell", THROWAWAY)
@pytest.mark.parametrize(("title", "check"), CHECKS, ids=[check.__name__ for _, check in CHECKS])
def test_a_throwaway_cell_keeps_the_contract(title: str, check: Check, cell: type[Cell]) -> None:
    check(cell)


@pytest.mark.parametrize("cell", THROWAWAY)
def test_a_throwaway_cell_learns_on_vectors_and_on_images(cell: type[Cell]) -> None:
    torch.manual_seed(0)
    for layer, shape in ((Recurrent(cell(), 2, 4), (5, 3, 2)), (ConvRecurrent(cell(), 2, 4, 3), (5, 3, 2, 4, 4))):
        x = numbers(*shape, dtype=torch.float32)
        wanted = 0.5 * numbers(*layer(x)[0].shape, seed=9, dtype=torch.float32).tanh()
        optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
        losses = []
        for _ in range(25):
            loss = (layer(x)[0] - wanted).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < 0.9 * losses[0]


def test_a_gate_fed_by_two_products_shows_both_side_by_side() -> None:
    layer = Recurrent(TwoProducts(), 2, 4)
    weights = layer.weights()[0].recurrent_weight
    gate = layer.gate_weights()["candidate"]
    assert gate.recurrent is not None and gate.recurrent_bias is not None
    assert gate.recurrent.shape == (4, 3 * 4)
    assert torch.equal(gate.recurrent, torch.cat([weights["both"][4:], weights["gated"]], dim=1))
    update = layer.gate_weights()["update"]
    assert update.recurrent is not None and torch.equal(update.recurrent, weights["both"][:4])
