"""Gates that see the input itself, where it has as many features as the layer has units: MUT1 and MUT2."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import dense, numbers
from tests.cells.reference import mut
from tests.cells.reference.maps import Map, convolution
from tests.cells.reference.maps import dense as product
from tests.cells.reference.weights import numpy_weights

SIZE, OTHER, TIME, BATCH = 4, 3, 5, 2
RAW = [("mut1", 1, "candidate"), ("mut2", 2, "reset")]


def layer_of(name: str, input_size: int, engine: str = "auto", num_layers: int = 1) -> Recurrent:
    return dense(lambda: build_cell(name), input_size=input_size, engine=engine, num_layers=num_layers)


def expected(number: int, layer: Recurrent | ConvRecurrent, x: Tensor, multiply: Map = product) -> Tensor:
    """The output from a state of zeros by the reference, row by row, through every layer."""
    rows = []
    for row in x.unbind(1):
        values = row.numpy()
        for place in range(layer.num_layers):
            start = {"h": np.zeros((layer.hidden_size, *values.shape[2:]))}
            steps = mut.mut(values, start, numpy_weights(layer, place), multiply, number=number)
            values = np.stack([step["h"] for step in steps])
        rows.append(torch.from_numpy(values))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize(("name", "number", "raw"), RAW)
def test_the_bare_input_has_no_map(name: str, number: int, raw: str) -> None:
    weights = layer_of(name, SIZE).gate_weights()
    assert [gate for gate in weights if weights[gate].input is None] == [raw]
    assert weights[raw].bias is not None


@pytest.mark.parametrize(("name", "number", "raw"), RAW)
def test_an_input_of_another_size_is_mapped(name: str, number: int, raw: str) -> None:
    weights = layer_of(name, OTHER).gate_weights()[raw].input
    assert weights is not None and weights.shape == (SIZE, OTHER)


@pytest.mark.parametrize(("name", "number", "raw"), RAW)
def test_of_stacked_layers_the_first_is_mapped_and_the_second_is_not(name: str, number: int, raw: str) -> None:
    layer = layer_of(name, OTHER, num_layers=2)
    assert [layer.gate_weights(place)[raw].input is None for place in (0, 1)] == [False, True]


@pytest.mark.parametrize(("name", "number", "raw"), RAW)
def test_a_layer_above_two_directions_is_mapped(name: str, number: int, raw: str) -> None:
    layer = dense(lambda: build_cell(name), input_size=SIZE, num_layers=2, bidirectional=True)
    assert [layer.gate_weights(place)[raw].input is None for place in (0, 1)] == [True, False]


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize(("input_size", "num_layers"), [(SIZE, 1), (SIZE, 2), (OTHER, 2)])
@pytest.mark.parametrize(("name", "number", "raw"), RAW)
def test_with_the_bare_input_a_cell_computes_its_papers_equations(
    name: str, number: int, raw: str, input_size: int, num_layers: int, engine: str
) -> None:
    layer, x = layer_of(name, input_size, engine, num_layers), numbers(TIME, BATCH, input_size)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], expected(number, layer, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("input_size", [SIZE, OTHER])
@pytest.mark.parametrize(("name", "number", "raw"), RAW)
def test_so_it_does_on_images(name: str, number: int, raw: str, input_size: int) -> None:
    layer = ConvRecurrent(build_cell(name), input_size, SIZE, 3).double()
    assert (layer.gate_weights()[raw].input is None) == (input_size == SIZE)
    x = numbers(TIME, BATCH, input_size, 3, 2)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], expected(number, layer, x, convolution), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "number", "raw"), RAW)
def test_a_map_that_is_the_identity_changes_nothing(name: str, number: int, raw: str) -> None:
    layer, x = layer_of(name, SIZE), numbers(TIME, BATCH, SIZE)
    cell = build_cell(name)
    cell.raw = ()
    mapped = dense(lambda: cell, input_size=SIZE)
    ours, theirs = layer.gate_weights(), mapped.gate_weights()
    with torch.no_grad():
        for gate in cell.gates:
            for part in ("input", "recurrent", "bias"):
                value, source = getattr(theirs[gate], part), getattr(ours[gate], part)
                if value is not None:
                    value.copy_(torch.eye(SIZE) if source is None else source)
        torch.testing.assert_close(mapped(x)[0], layer(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "number", "raw"), RAW)
def test_the_bare_input_gets_its_gradient(name: str, number: int, raw: str) -> None:
    layer = layer_of(name, SIZE)
    x = numbers(3, 1, SIZE).requires_grad_()
    torch.autograd.gradcheck(lambda value: layer(value)[0], x)
