"""The learning rate follows its schedule, updates are the published ones, the gradient is clipped before the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    ReduceLROnPlateau,
    SequentialLR,
)

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


def torchs(schedule: str, optimizer: torch.optim.Optimizer, steps: int, warmup: int, final: float) -> LRScheduler:
    """The same schedule of torch.optim.lr_scheduler."""
    after = steps - 1 - warmup
    falling: LRScheduler = ConstantLR(optimizer, factor=1.0)
    if schedule == "cosine":
        falling = CosineAnnealingLR(optimizer, T_max=after, eta_min=final * optimizer.param_groups[0]["lr"])
    if schedule == "linear":
        falling = LinearLR(optimizer, start_factor=1.0, end_factor=final, total_iters=after)
    rising = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=max(warmup, 1))
    return SequentialLR(optimizer, [rising, falling], milestones=[warmup])


@pytest.mark.parametrize(("warmup", "final"), [(0, 0.0), (1, 0.1), (7, 0.25), (39, 0.0)])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
@pytest.mark.filterwarnings("ignore:.*scheduler.step.*:UserWarning")  # SequentialLR passes its own epochs on
def test_a_schedule_is_torchs(schedule: Any, warmup: int, final: float) -> None:
    steps = 41
    final = 0.0 if schedule == "constant" else final
    settings = OptimSettings(learning_rate=0.3, schedule=schedule, warmup_steps=warmup, final_fraction=final)
    ours = [learning_rate(settings, step=step, steps_in_all=steps) for step in range(steps)]
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.3)
    scheduler = torchs(schedule, optimizer, steps, warmup, final)
    theirs = []
    for _ in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    assert ours[warmup] == 0.3
    assert ours[-1] == pytest.approx(0.3 * (final if schedule != "constant" else 1.0), abs=1e-15)


def test_a_run_of_one_step_has_it_at_the_full_rate() -> None:
    for schedule in ("cosine", "linear"):
        settings = OptimSettings(learning_rate=0.3, schedule=schedule)
        assert learning_rate(settings, step=0, steps_in_all=1) == 0.3


def test_warm_up_and_the_decay_of_epochs_multiply() -> None:
    settings = OptimSettings(learning_rate=1.0, decay_after_epochs=1, decay_factor=4.0, warmup_steps=3)
    found = [learning_rate(settings, epoch=step // 2, step=step) for step in range(6)]
    assert found == [0.25, 0.5, 0.75 / 4, 1 / 4, 1 / 16, 1 / 16]


def test_a_schedule_ends_with_the_run(tiny: Callable[..., dict[str, Any]], rows_of: Any) -> None:
    """By steps, and by epochs whose number of steps only the data tell."""
    same = ("optim.schedule=linear", "optim.learning_rate=0.4", "optim.final_fraction=0.5", "data.train_tokens=200")
    by_steps = rows_of(train(tiny(*same, "trainer.max_steps=3")).folder)
    assert [row["learning_rate"] for row in by_steps if "learning_rate" in row] == pytest.approx([0.4, 0.3, 0.2])
    by_epochs = rows_of(train(tiny(*same, "trainer.max_steps=null", "trainer.max_epochs=2")).folder)
    rates = [row["learning_rate"] for row in by_epochs if "learning_rate" in row]
    assert rates == pytest.approx(np.linspace(0.4, 0.2, len(rates)))


def test_a_plateau_lowers_the_rate_as_torchs_does(tiny: Callable[..., dict[str, Any]], rows_of: Any) -> None:
    words = ("optim.schedule=plateau", "optim.plateau_patience=2", "optim.decay_factor=2", "optim.learning_rate=2")
    more = ("trainer.max_steps=30", "trainer.validate_every_steps=1", "trainer.max_epochs=null")
    rows = rows_of(train(tiny(*words, *more)).folder)
    rates = [row["learning_rate"] for row in rows if "learning_rate" in row]
    values = [row["validation_perplexity"] for row in rows if "validation_perplexity" in row]
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=2.0)
    # Its patience is the number of bad validations that it still bears.
    scheduler = ReduceLROnPlateau(optimizer, factor=1 / 2, patience=1, threshold=0.0)
    expected = []
    for value in values:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    assert rates == pytest.approx(expected, rel=1e-12)
    assert len(set(rates)) > 2


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_the_optimiser_is_the_one_named(name: str) -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = make_optimizer(OptimSettings(name, 0.1, weight_decay=0.01), [parameter])  # type: ignore[arg-type]
    assert type(optimizer).__name__.lower() == name
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.1, 0.01)


def by_hand(name: str, gradients: Sequence[float], *, rate: float, decay: float) -> list[float]:
    """A weight that begins at 1, under the published updates: usual betas, momentum 0.9, Nesterov's in torch's form."""
    weight, first, second, found = 1.0, 0.0, 0.0, []
    for t, slope in enumerate(gradients, start=1):
        gradient = slope if name == "adamw" else slope + decay * weight
        if name.startswith("adam"):
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            step = first / (1 - 0.9**t) / (math.sqrt(second / (1 - 0.999**t)) + 1e-8)
            weight -= rate * (step + (decay * weight if name == "adamw" else 0.0))
        else:
            first = gradient if t == 1 else 0.9 * first + gradient
            weight -= rate * (gradient + 0.9 * first if name == "nesterov" else first)
        found.append(weight)
    return found


@pytest.mark.parametrize("name", ["adam", "adamw", "momentum", "nesterov"])
def test_an_update_is_the_published_one(name: str) -> None:
    named: dict[str, Any] = {"name": name}
    if name in ("momentum", "nesterov"):
        named = {"name": "sgd", "momentum": 0.9, "nesterov": name == "nesterov"}
    weight = nn.Parameter(torch.ones((), dtype=torch.float64))
    optimizer = make_optimizer(OptimSettings(**named, learning_rate=0.1, weight_decay=0.05), [weight])
    gradients, found = [0.5, -1.0, 0.25, 2.0, 0.0], []
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        found.append(weight.item())
    assert found == pytest.approx(by_hand(name, gradients, rate=0.1, decay=0.05), rel=1e-12)


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
