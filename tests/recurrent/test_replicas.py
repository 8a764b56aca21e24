"""Layers that run at once give what each of them gives alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.engines.fused.compiled import compiling
from cellwise.recurrent.layer import Recurrent
from cellwise.recurrent.replicas import Replicas
from cellwise.testing.layers import assert_all_close, numbers

REPLICAS, TIME, BATCH, INPUT, HIDDEN = 3, 4, 2, 3, 4
LENGTHS = torch.tensor([[4, 2], [0, 4], [3, 1]])
RESETS = torch.zeros(TIME, REPLICAS, BATCH, dtype=torch.bool)
RESETS[2, 0, 1] = RESETS[1, 2, 0] = True


@pytest.fixture(autouse=True)
def uncompiled() -> Iterator[None]:
    with compiling(False):
        yield


def some(cell: str, **options: Any) -> list[Recurrent]:
    found = []
    for seed in range(REPLICAS):
        torch.manual_seed(seed)
        found.append(Recurrent(cell, INPUT, HIDDEN, engine="reference", **options).double())
    return found


def gradients(output: Tensor, state: dict[str, Tensor], leaves: list[Tensor]) -> dict[str, Tensor]:
    total = (output * numbers(*output.shape, seed=7)).sum()
    total = total + sum((value * numbers(*value.shape, seed=8)).sum() for value in state.values())
    found = torch.autograd.grad(total, leaves)
    return {str(number): gradient for number, gradient in enumerate(found)}


def alone(layers: list[Recurrent], x: Tensor, start: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """What each layer gives by itself, put together."""
    results = []
    for number, layer in enumerate(layers):
        own = {name: value[:, number] for name, value in start.items()}
        results.append(layer(x[:, number], own, LENGTHS[number], RESETS[:, number]))
    output = torch.stack([output for output, _ in results], dim=1)
    return output, {name: torch.stack([state[name] for _, state in results], dim=1) for name in layers[0].cell.states}


@pytest.mark.parametrize("cell", cell_names())
def test_every_replica_gives_what_its_layer_gives_alone(cell: str) -> None:
    layers = some(cell, num_layers=2, bidirectional=True)
    x = numbers(TIME, REPLICAS, BATCH, INPUT).requires_grad_()
    start = {
        name: torch.stack([value.detach()] * REPLICAS, dim=1) + 0.1 * numbers(4, REPLICAS, BATCH, HIDDEN)
        for name, value in layers[0].initial_state(BATCH).items()
    }
    leaves = [x, *(parameter for layer in layers for parameter in layer.parameters())]
    output, state = Replicas(layers)(x, start, LENGTHS, RESETS)
    expected, expected_state = alone(layers, x, start)
    assert_all_close("output", {"output": output, **state}, {"output": expected, **expected_state}, 1e-12)
    assert_all_close("gradients", gradients(output, state, leaves), gradients(expected, expected_state, leaves), 1e-12)


def test_the_same_input_lengths_and_resets_for_all_may_be_given_once() -> None:
    replicas = Replicas(some("gru"))
    x, lengths, resets = numbers(TIME, BATCH, INPUT), torch.tensor([3, 1]), RESETS[:, 0]
    once, _ = replicas(x, None, lengths, resets)
    each, _ = replicas(
        x.unsqueeze(1).expand(-1, REPLICAS, -1, -1),
        None,
        lengths.expand(REPLICAS, -1),
        resets.unsqueeze(1).expand(-1, REPLICAS, -1),
    )
    assert once.shape == (TIME, REPLICAS, BATCH, HIDDEN)
    torch.testing.assert_close(once, each, rtol=0, atol=0)


def test_dropouts_and_zoneout_are_drawn_for_every_row_of_every_replica() -> None:
    replicas = Replicas(some("lstm", zoneout=0.5, recurrent_dropout=0.5))
    output, _ = replicas(numbers(TIME, BATCH, INPUT))
    zeros = (output == 0).double().mean((0, 2))  # a unit that zoneout has kept since the start
    assert bool((zeros > 0).any()) and len({tuple(row.tolist()) for row in zeros}) == REPLICAS


def test_time_0_gives_no_steps_and_the_state_it_was_given() -> None:
    output, state = Replicas(some("rnn"))(torch.empty(0, REPLICAS, BATCH, INPUT, dtype=torch.float64))
    assert output.shape == (0, REPLICAS, BATCH, HIDDEN)
    assert state["h"].shape == (1, REPLICAS, BATCH, HIDDEN) and not state["h"].any()


def test_what_can_not_run_at_once_is_said() -> None:
    with pytest.raises(CellwiseError, match="at least one layer"):
        Replicas([])
    with pytest.raises(CellwiseError, match=r"replicas must be alike: .*'gru'.* differs from .*'lstm'"):
        Replicas([*some("lstm"), *some("gru")])
    with pytest.raises(CellwiseError, match="layers with weight_drop can't run as replicas"):
        Replicas(some("lstm", weight_drop=0.1))
    with pytest.raises(ValueError, match=r"\(time, replicas, batch, input\) with 3 replicas"):
        Replicas(some("lstm"))(numbers(TIME, 2, BATCH, INPUT))
    with pytest.raises(ValueError, match=r"for replicas and rows \(3, 2\), or for rows \(2,\), not \(5,\)"):
        Replicas(some("lstm"))(numbers(TIME, BATCH, INPUT), None, torch.ones(5, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"state 'h' must be \(layers \* directions, replicas, batch, hidden\)"):
        Replicas(some("rnn"))(numbers(TIME, BATCH, INPUT), {"h": numbers(1, HIDDEN)})
    with pytest.raises(CellwiseError, match="in its options, dtype or device"):
        Replicas([*some("rnn"), *(layer.float() for layer in some("rnn"))])
    with pytest.raises(CellwiseError, match="replicas are Recurrent layers, not Linear"):
        Replicas([torch.nn.Linear(1, 1)])  # type: ignore[list-item]
