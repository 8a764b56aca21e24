"""Each way to join is its formula, with the weights taken out; a side alone is its own map."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from cellwise.tasks.vqa.joins import JOINS, Join, joined_size
from cellwise.tasks.vqa.network_settings import JoinName

Floats = npt.NDArray[np.float64]

QUESTION, IMAGE, SIZE = 5, 7, 4


def joined(name: JoinName) -> tuple[Join, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    join = Join(name, {"question": QUESTION, "image": IMAGE}, SIZE).double()
    return join, torch.randn(3, QUESTION, dtype=torch.float64), torch.randn(3, IMAGE, dtype=torch.float64)


def mapped(module: nn.Module, x: torch.Tensor) -> Floats:
    weights = {key: value.detach().numpy() for key, value in module.state_dict().items()}
    if "weight" in weights:  # of film: no function follows
        return np.asarray(x.numpy() @ weights["weight"].T + weights["bias"])
    value = np.tanh(x.numpy() @ weights["value.weight"].T + weights["value.bias"])
    if "gate.weight" in weights:
        value = value / (1 + np.exp(-(x.numpy() @ weights["gate.weight"].T + weights["gate.bias"])))
    return np.asarray(value)


@pytest.mark.parametrize("name", get_args(JoinName))
def test_a_join_is_its_formula_in_float64(name: JoinName) -> None:
    join, q, v = joined(name)
    left, right = mapped(join.sides["question"], q), mapped(join.sides["image"], v)
    formulas: dict[JoinName, Callable[[], Floats]] = {
        "product": lambda: left * right,
        "gated": lambda: left * right,
        "sum": lambda: left + right,
        "concatenation": lambda: np.concatenate([left, right], axis=1),
        "film": lambda: np.maximum((1 + left[:, :SIZE]) * right + left[:, -SIZE:], 0),
    }
    expected = formulas[name]()
    found = join({"image": v, "question": q}).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)
    assert found.shape[1] == joined_size(name, SIZE, 2)
    gates = sum("gate" in key for key in join.state_dict())
    assert gates == (4 if name == "gated" else 0)


@pytest.mark.parametrize("name", get_args(JoinName))
def test_regions_are_joined_each_by_itself(name: JoinName) -> None:
    join, q, v = joined(name)
    found = join({"question": q, "image": torch.stack([v, v.flip(0)])})
    torch.testing.assert_close(found, torch.stack([join({"question": q, "image": each}) for each in (v, v.flip(0))]))


@pytest.mark.parametrize("name", get_args(JoinName))
def test_a_side_alone_is_its_own_map(name: JoinName) -> None:
    _, _, v = joined(name)
    join = Join(name, {"image": IMAGE}, SIZE).double()
    expected = mapped(join.sides["image"], v)
    if name == "film":
        weights = join.sides["image"].state_dict()
        expected = np.maximum((v @ weights["value.weight"].T + weights["value.bias"]).numpy(), 0)
    np.testing.assert_allclose(join({"image": v}).detach().numpy(), expected, rtol=1e-14)
    assert joined_size(name, SIZE, 1) == SIZE


def test_the_settings_name_every_way() -> None:
    assert set(JOINS) == set(get_args(JoinName))
