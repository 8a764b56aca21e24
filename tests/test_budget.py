"""Counts are those of the layers themselves and of torch's counter; a budget finds the hidden size nearest to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from cellwise.budget import (
    TOLERANCE,
    Budget,
    Shape,
    hidden_size_for,
    parse_budget,
    recurrent_flops,
    recurrent_parameters,
)
from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, cell_info, cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.recurrent.options import twice_biased
from cellwise.testing.contract import option_variants
from tests.cells.reference.layer import case_id

BUILT_IN = [name for name in cell_names() if cell_info(name).factory.__module__.startswith("cellwise.cells.")]
VARIANTS = [(name, options) for name in BUILT_IN for options in option_variants(name)]
Shapes = Callable[[int], Sequence[Shape]]


def parameters(cell: Cell, shape: Shape, hidden_size: int) -> int:
    return Budget("params", 1).cost(cell, [shape], hidden_size)


def layer_of(name: str, options: dict[str, Any], shape: Shape, hidden_size: int) -> Recurrent | ConvRecurrent:
    sizes: dict[str, Any] = {}
    if shape.places > 1:
        sizes = {"kernel_size": shape.kernel_size, "recurrent_kernel_size": shape.recurrent_kernel_size}
    kind: Any = ConvRecurrent if sizes else Recurrent
    layer: Recurrent | ConvRecurrent = kind(
        name,
        shape.input_size,
        shape.units(hidden_size),
        num_layers=shape.num_layers,
        bidirectional=shape.directions == 2,
        bias=shape.bias,
        recurrent_bias=shape.recurrent_bias,
        layer_norm=shape.layer_norm,
        learned_state=shape.learned_state,
        connections="skip" if shape.skip else "plain",
        **sizes,
        **options,
    )
    return layer


COUNTED = (
    Shape(5),
    Shape(5, bias=False),
    Shape(7),  # as many features as units: raw gates have no map
    Shape(7, 3, 2, bias=False),
    Shape(5, 2),
    Shape(5, 3, 2),
    Shape(5, 3, 2, bias=False, layer_norm=True, learned_state=True, skip=True),
    Shape(5, 2, recurrent_bias=True),
    Shape(0),  # without an input
    Shape(4, 2, share=0.5, multiple=2),  # of 8 units
    Shape(5, 2, 2, kernel_size=5, recurrent_kernel_size=3, places=12),
    Shape(0, learned_state=True, kernel_size=3, recurrent_kernel_size=3, places=12),
)
# A layer refuses second biases where they would change nothing.
CASES = [
    pytest.param(name, options, shape, id=f"{case_id(name)}-{case_id(options)}-{shape}")
    for name, options in VARIANTS
    for shape in COUNTED
    if not shape.recurrent_bias or twice_biased(build_cell(name, options))
]


@pytest.mark.parametrize(("name", "options", "shape"), CASES)
def test_parameters_are_those_of_the_layer(name: str, options: dict[str, Any], shape: Shape) -> None:
    with torch.device("meta"):
        layer = layer_of(name, options, shape, 7 + shape.multiple - 1)
    assert parameters(layer.cell, shape, 7 + shape.multiple - 1) == sum(
        parameter.numel() for parameter in layer.parameters()
    )


@pytest.mark.parametrize("bias", [True, False])
def test_the_public_count_is_the_same(bias: bool) -> None:
    cell = build_cell("gru")
    found = recurrent_parameters(cell, 5, 7, 2, directions=2, bias=bias)
    assert found == parameters(cell, Shape(5, 2, 2, bias), 7)


@pytest.mark.parametrize("options", [{}, {"num_layers": 3}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("input_size", [5, 7])
@pytest.mark.parametrize("name", BUILT_IN)
def test_flops_are_those_that_torch_counts(name: str, input_size: int, options: dict[str, Any]) -> None:
    time, batch = 4, 3
    layer = Recurrent(name, input_size, 7, engine="reference", **options)
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(time, batch, input_size))
    expected = recurrent_flops(layer.cell, input_size, 7, layer.num_layers, directions=layer.directions)
    assert expected == counter.get_total_flops() / time / batch


@pytest.mark.parametrize("shape", [Shape(5, 2, share=0.5), Shape(4, share=0.5), Shape(0)], ids=str)
@pytest.mark.parametrize("name", BUILT_IN)
def test_flops_on_images_are_those_that_torch_counts(name: str, shape: Shape) -> None:
    time, batch, height, width = 2, 3, 4, 5
    shape = shape._replace(kernel_size=5, recurrent_kernel_size=3, places=height * width)
    layer = layer_of(name, {}, shape, 8)
    with FlopCounterMode(display=False) as counter:
        layer(torch.zeros(time, batch, shape.input_size, height, width))
    assert Budget("flops", 1).cost(layer.cell, [shape], 8) == counter.get_total_flops() / time / batch


def test_a_gru_with_reset_before_costs_the_same() -> None:
    before, after = (recurrent_flops(build_cell("gru", {"reset": r}), 5, 7) for r in ("before", "after"))
    assert before == after == 2 * (3 * 7 * 5 + 3 * 7 * 7)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("params:100k", Budget("params", 100_000)),
        ("params:100K", Budget("params", 100_000)),
        ("flops:2.5M", Budget("flops", 2_500_000)),
        ("flops:1G", Budget("flops", 10**9)),
        ("params:1.0005k", Budget("params", 1000)),
        ("params:7", Budget("params", 7)),
    ],
)
def test_a_budget_is_read_and_written_as_it_is_typed(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget
    assert parse_budget(str(budget)) == budget
    assert str(budget) == f"{budget.kind}:{budget.amount}"


@pytest.mark.parametrize(
    "text", ["100k", "params", "params:", "params:-1", "params:0", "params:1T", "params:1e5", "hidden:4", "flops: 3", 5]
)
def test_what_is_no_budget_is_refused_in_one_line(text: object) -> None:
    with pytest.raises(CellwiseError) as caught:
        parse_budget(text)
    assert str(caught.value) == (
        f"budget={text} is no budget; type params:<number> or flops:<number>, with k, M or G for thousands, millions "
        "or billions, for example budget=params:100k or budget=flops:2.5M"
    )


SHAPES: dict[str, Shapes] = {
    "embedding follows": lambda hidden: [Shape(hidden)],
    "fixed input": lambda hidden: [Shape(6)],
    "two layers both ways": lambda hidden: [Shape(6, 2, 2)],
    "two stacks": lambda hidden: [Shape(6), Shape(4, 2)],
    "images, a narrower layer above": lambda hidden: [
        Shape(6, kernel_size=3, recurrent_kernel_size=3, places=9, multiple=2),
        Shape(hidden, share=0.5, kernel_size=3, recurrent_kernel_size=1, places=9),
        Shape(0, share=0.5, recurrent_kernel_size=3, places=9),
        Shape(6, share=0.5, recurrent_kernel_size=3, places=9),
    ],
}


class Raw(Cell):
    """Its candidate sees x itself where there are as many features as units, so it costs less there."""

    gates = ("update", "candidate")
    products = {"hidden": (("update",), 1)}  # noqa: RUF012
    raw = ("candidate",)


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", [*BUILT_IN, "raw"])
def test_no_other_hidden_size_is_nearer(name: str, shapes: Shapes) -> None:
    cell = Raw() if name == "raw" else build_cell(name)

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(st.sampled_from(["params", "flops"]), st.integers(1, 20_000))
    def nearest(kind: Any, amount: int) -> None:
        budget = Budget(kind, amount)
        unit = max(shape.multiple for shape in shapes(1))
        cost = {size: budget.cost(cell, shapes(size), size) for size in range(unit, 121, unit)}
        amount = max(amount, cost[unit])
        if amount > cost[120]:
            return
        budget = Budget(kind, amount)
        best = min(cost, key=lambda size: (abs(cost[size] - amount), size))
        assert hidden_size_for(budget, cell, shapes) == best

    nearest()


@pytest.mark.parametrize("name", ["lstm", "raw"])
def test_only_multiples_of_what_the_shapes_ask_for_are_looked_at(name: str) -> None:
    cell = Raw() if name == "raw" else build_cell(name)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.integers(1, 60_000), st.integers(1, 9), st.integers(1, 4), st.integers(2, 60))
    def nearest(amount: int, first: int, second: int, input_size: int) -> None:
        shapes = [Shape(input_size, multiple=first), Shape(4, multiple=second)]
        both = [size for size in range(1, 241) if size % first == 0 and size % second == 0]
        cost = {size: Budget("params", 1).cost(cell, shapes, size) for size in both}
        budget = Budget("params", max(amount, cost[both[0]]))
        best = min(cost, key=lambda size: (abs(cost[size] - budget.amount), size))
        assert hidden_size_for(budget, cell, lambda _: shapes) == best

    nearest()


def test_a_budget_below_the_smallest_multiple_is_refused() -> None:
    with pytest.raises(CellwiseError) as caught:
        hidden_size_for(Budget("params", 100), build_cell("lstm"), lambda _: [Shape(2, multiple=4)])
    assert str(caught.value) == (
        "budget=params:100 is too small for LSTM: 4 units (the hidden size must be a multiple of it) cost 112 already; "
        "the smallest budget here is params:112"
    )


def test_where_a_raw_gate_has_no_map_the_cost_falls_and_is_found() -> None:
    cost = [Budget("params", 1).cost(Raw(), [Shape(60)], size) for size in (58, 59, 60, 61)]
    assert cost[2] == 60 * 60 + 60 * 60 + 2 * 60 < cost[0] < cost[1] < cost[3]
    found = [hidden_size_for(Budget("params", amount), Raw(), lambda _: [Shape(60)]) for amount in cost]
    assert found == [58, 59, 60, 61]


def test_what_a_layer_costs_finds_its_size_again() -> None:
    for name in BUILT_IN:
        cell = build_cell(name)
        for kind in ("params", "flops"):
            amount = Budget(kind, 1).cost(cell, [Shape(100, 2)], 130)
            assert hidden_size_for(Budget(kind, amount), cell, lambda _: [Shape(100, 2)]) == 130


def test_one_unit_above_the_budget_is_refused_beyond_the_tolerance() -> None:
    lstm = build_cell("lstm")
    one = recurrent_parameters(lstm, 20, 1)
    assert one == 4 * (20 + 1 + 1)
    assert hidden_size_for(Budget("params", 84), lstm, lambda _: [Shape(20)]) == 1  # 88 is 4.8 % above
    assert one > 83 * (1 + TOLERANCE)
    with pytest.raises(CellwiseError) as caught:
        hidden_size_for(Budget("params", 83), lstm, lambda _: [Shape(20)])
    assert str(caught.value) == (
        "budget=params:83 is too small for LSTM: one unit costs 88 already; the smallest budget here is params:88"
    )


def test_a_budget_of_billions_is_found_at_once() -> None:
    asked: list[int] = []

    def shapes(hidden_size: int) -> list[Shape]:
        asked.append(hidden_size)
        return [Shape(hidden_size)]

    assert hidden_size_for(Budget("params", 8 * 10**9), build_cell("lstm"), shapes) == 31_623
    assert len(asked) < 50
