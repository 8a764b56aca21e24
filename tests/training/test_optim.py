"""The learning rate follows the published schedule, and the gradient is clipped before the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cellwise.cells.registry import build_cell
from cellwise.tasks import build_task
from cellwise.tasks.language.task import LanguageTask
from cellwise.training.optim import learning_rate, make_optimizer
from cellwise.training.seeds import reseed
from cellwise.training.settings import OptimSettings, read
from cellwise.training.train import train


@pytest.mark.parametrize(("rate", "decay", "max_epoch", "epochs"), [(1.0, 0.5, 4, 13), (1.0, 0.8, 6, 39)])
def test_the_rate_is_that_of_tensorflows_ptb_word_lm(rate: float, decay: float, max_epoch: int, epochs: int) -> None:
    """Small and medium of Zaremba et al. 2014; its line: lr * lr_decay ** max(i + 1 - max_epoch, 0.0)."""
    settings = OptimSettings("sgd", rate, decay_after_epochs=max_epoch, decay_factor=1 / decay)
    for i in range(epochs):
        assert learning_rate(settings, epoch=i) == pytest.approx(rate * decay ** max(i + 1 - max_epoch, 0.0), rel=1e-12)
    assert learning_rate(settings, epoch=max_epoch - 1) == rate
    assert learning_rate(settings, epoch=max_epoch) == pytest.approx(rate * decay)


def test_a_normalised_momentum_leaves_the_length_of_a_step_to_the_rate() -> None:
    """Of a constant gradient g the steps come to rate / (1 - momentum) * g; with it, to rate * g."""
    moved = []
    for momentum in (0.0, 0.9):
        settings = OptimSettings("sgd", 0.1, momentum=momentum, nesterov=momentum > 0, normalised_momentum=True)
        [parameter] = parameters = [nn.Parameter(torch.zeros(1))]
        optimizer = make_optimizer(settings, parameters)
        for _ in range(200):
            optimizer.param_groups[0]["lr"] = learning_rate(settings)
            parameter.grad = torch.ones(1)
            before = parameter.item()
            optimizer.step()
        moved.append(before - parameter.item())
    assert moved == pytest.approx([0.1, 0.1], rel=1e-4)
    assert learning_rate(OptimSettings("sgd", 0.1, momentum=0.9)) == 0.1


def test_without_a_decay_the_rate_stays() -> None:
    assert {learning_rate(OptimSettings(learning_rate=0.3), epoch=epoch) for epoch in range(50)} == {0.3}


def test_every_epoch_is_trained_at_its_rate(tiny: Callable[..., dict[str, Any]], rows_of: Any) -> None:
    config = tiny(
        *("optim=sgd", "optim.decay_after_epochs=2", "optim.decay_factor=10", "optim.learning_rate=0.5"),
        *("data.train_tokens=200", "trainer.max_steps=null", "trainer.max_epochs=4"),
    )
    rates = {row["epoch"]: row["learning_rate"] for row in rows_of(train(config).folder) if "learning_rate" in row}
    assert rates == pytest.approx({0: 0.5, 1: 0.5, 2: 0.05, 3: 0.005})


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_the_optimiser_is_the_one_named(name: str) -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = make_optimizer(OptimSettings(name, 0.1, weight_decay=0.01), [parameter])  # type: ignore[arg-type]
    assert type(optimizer).__name__.lower() == name
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.1, 0.01)


@pytest.mark.parametrize(("clip", "largest"), [("0.001", 0.001), ("null", None)])
def test_the_gradient_is_clipped_before_the_step(
    tiny: Callable[..., dict[str, Any]], clip: str, largest: float | None
) -> None:
    """One step of SGD at rate 1 with the loss summed over 10 steps: the update's norm is the gradient's."""
    config = tiny("optim=sgd", f"optim.clip_norm={clip}", "task.loss=step_sum", "trainer.max_steps=1")
    settings = read(config)
    task = build_task("language", settings.task)
    assert isinstance(task, LanguageTask)
    reseed(0, "initialisation")
    before = task.network(build_cell("lstm"), "auto").state_dict()
    after = torch.load(train(config).folder / "checkpoints" / "selected.pt", weights_only=True)
    update = torch.cat([(after[name] - before[name]).flatten().double() for name in before]).norm().item()
    if largest is None:
        assert update > 0.1  # unclipped, the same step is hundreds of times as long
    else:
        assert update == pytest.approx(largest, rel=1e-3)
