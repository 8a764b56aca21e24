"""Settings of nowcasting: what is chosen by itself, what contradicts itself, and what a budget finds."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from cellwise.budget import parse_budget
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.sweep.compose import compose_config
from cellwise.tasks import read_objective, recurrent_shapes
from cellwise.tasks.nowcasting.frames import RAIN_THRESHOLDS_MM_H, Field
from cellwise.tasks.nowcasting.metrics import Verification
from cellwise.tasks.nowcasting.metrics.verification import Scored
from cellwise.tasks.nowcasting.settings import CSI_MM_H, NowcastingKeys
from cellwise.training.settings import read


def config(*words: str) -> dict[str, Any]:
    return compose_config(["task=nowcasting", *words])


def refused(*words: str) -> str:
    with pytest.raises(CellwiseError) as caught:
        read(config(*words))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "loss", "objective"),
    [("moving_digits", "cross_entropy", "mse_pixel"), ("synthetic_rain", "balanced", "csi_0.5mm_h")],
)
def test_loss_and_objective_follow_the_data(data: str, loss: str, objective: str) -> None:
    given = config(f"data={data}")
    assert read(given).task.loss == loss
    assert read_objective(given).metric == objective


@pytest.mark.parametrize(("data", "unit"), [("moving_digits", "1"), ("synthetic_rain", "mm/h")])
@pytest.mark.parametrize("objective", get_args(get_type_hints(NowcastingKeys)["objective"]))
def test_every_objective_is_a_score(objective: str, data: str, unit: Any) -> None:
    words = f"data={data}", f"task.objective={objective}"
    if objective.startswith("balanced") and unit == "1":
        assert "weighs rain, and data=moving_digits shows none" in refused(*words)
        return
    found = read_objective(config(*words))
    scores = Verification(Scored(Field(unit, RAIN_THRESHOLDS_MM_H)))
    frame = np.random.default_rng(0).random((1, 1, 1, 12, 12))
    import torch

    scores.add(torch.from_numpy(frame), torch.from_numpy(frame), torch.zeros(1, dtype=torch.int64))
    perfect = scores.pooled()[found.metric]
    assert perfect == (1.0 if found.direction == "max" else 0.0)


def test_thresholds_that_can_be_chosen_are_those_that_are_scored() -> None:
    assert CSI_MM_H == RAIN_THRESHOLDS_MM_H
    assert read_objective(config("data=synthetic_rain", "task.csi_mm_h=5")).metric == "csi_5mm_h"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task.loss=balanced"], "task.loss=balanced weighs rain, and data=moving_digits shows none; allowed: cross_"),
        (["network.patch_size=5"], "network.patch_size=5 does not divide frames of 64 x 64 pixels; allowed: 1, 2, 4, "),
        (
            ["network.kernel_size=[3,3,3]"],
            "network.kernel_size=[3, 3, 3] has 3 numbers for network.num_layers=2; give ",
        ),
        (["network.kernel_size=0"], "network.kernel_size=0 is too small; it must be 1 or more"),
        (["network.kernel_size=[]"], "network.kernel_size=[] must hold a number"),
        (["network.kernel_size=[3,a]"], "network.kernel_size='a' must be a whole number"),
        (
            ["network.widths=[1]"],
            "network.widths=[1.0] has 1 numbers for network.num_layers=2; give one for each layer",
        ),
        (
            ["network.widths=[1,0.3]"],
            "network.widths=[1.0, 0.3] of network.hidden_size=16 are no whole numbers; give a",
        ),
        (["network.patch_size=null"], "network.patch_size is needed by network.kind=convolutional; give"),
        (
            ["network=fully_connected", "network.patch_size=4"],
            "network.patch_size has no effect on network.kind=fully_connected; type network.patch_size=null",
        ),
        (["network=frame_cnn", "network.widths=[1,1]"], "network.widths=[1.0, 1.0] has no effect on network.kind=cnn"),
        (["network=frame_cnn", "network.layer.zoneout=0.1"], "network.layer has no effect on network.kind=cnn"),
        (["network.layer.layer_norm=true"], "network.layer.layer_norm=true is not for the encoder and forecaster"),
        (["network.layer.connections=skip"], "network.layer.connections=skip is not for nowcasting; allowed: plain,"),
        (["task.csi_mm_h=1"], "task.csi_mm_h=1 is not allowed; allowed: 0.5, 2.0, 5.0, 10.0, 30.0"),
        (["data=sentences"], "unknown data 'sentences'; "),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(words: list[str], said: str) -> None:
    assert refused(*words).startswith(said)


@pytest.mark.parametrize("network", ["encoder_forecaster", "fully_connected", "frame_cnn"])
def test_a_budget_finds_every_networks_size(network: str) -> None:
    """So cells compare at equal cost on images, and so do networks: within a few per cent of 400,000 parameters."""
    for cell in ("rnn", "lstm", "gru"):
        found = config(f"network={network}", f"cell={cell}", "budget=params:400k", "data.size=32")
        size = found["network"]["hidden_size"]
        shapes = recurrent_shapes(found, size)
        cost = parse_budget("params:1").cost(build_cell(cell), shapes, size)
        assert cost == pytest.approx(400_000, rel=0.03)
        read(found)
    assert refused(
        "budget=params:30k", "network.hidden_size=null", "network.widths=[1,0.7]", "data.size=63"
    ).startswith("network.patch_size=4 does not divide")


def test_a_budget_minds_the_widths() -> None:
    found = config("budget=params:50k", "network.widths=[1,0.25]", "cell=gru")
    assert found["network"]["hidden_size"] % 4 == 0
    read(found)
