"""Checks of what a layer keeps: the names of its parameters, and copies of it."""

from __future__ import annotations

import copy
import io
import pickle

import torch

from cellwise.cells.contract import Cell
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import INPUT, Build, assert_all_close, assert_close, dense, numbers

TIME, BATCH = 4, 3


def check_state_dict(build: Build) -> None:
    """The names follow from the cell's data alone; there are no buffers; saving and loading changes no bit."""
    layer, other = (dense(build, num_layers=2, bidirectional=True, seed=seed) for seed in (1, 2))
    expected = [f"layers.{place}.{name}" for place in range(4) for name in _parameter_names(layer.cell)]
    saved = layer.state_dict()
    assert list(saved) == expected, f"the state_dict has {list(saved)}; the cell's data say {expected}"
    assert not list(layer.buffers()), "the layer has buffers; what is not learned belongs to the cell's data"
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    for name, value in other.state_dict().items():
        assert torch.equal(value, saved[name]), f"parameter {name!r} is not the same after saving and loading"
    _assert_same(other, layer)


def check_copies(build: Build) -> None:
    """A deep copy and an unpickled layer give the same bits, and share no weights with the original."""
    layer = dense(build, num_layers=2)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        _assert_same(copied, layer)
        with torch.no_grad():
            next(copied.parameters()).add_(1)
        assert not torch.equal(copied(numbers(TIME, BATCH, INPUT))[0], layer(numbers(TIME, BATCH, INPUT))[0]), (
            "a copy of the layer shares its weights"
        )


def _assert_same(layer: Recurrent, expected: Recurrent) -> None:
    x = numbers(TIME, BATCH, INPUT)
    (output, state), (wanted, wanted_state) = layer(x), expected(x)
    assert_close("the output of a copy", output, wanted, 0.0)
    assert_all_close("the state of a copy:", state, wanted_state, 0.0)


def _parameter_names(cell: Cell) -> list[str]:
    return [
        "input_weight",
        "bias",
        *(f"recurrent_weight.{name}" for name in cell.products),
        *(f"part_bias.{name}" for name in cell.part_biases),
        *(f"extra.{name}" for name in cell.extras),
    ]
