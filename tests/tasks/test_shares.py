"""What the ranks of a run learn from their shares of a batch is what one process learns from all of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from cellwise.cells.registry import build_cell
from cellwise.sweep.compose import compose_config
from cellwise.tasks import TASKS, build_task
from cellwise.tasks.contract import Learned, Task
from cellwise.training.seeds import reseed
from cellwise.training.settings import read
from cellwise.training.state import detached

LANGUAGE = ("task=language", "task.batch_size=6", "task.steps=5", "data.train_tokens=163")
SMALL = {  # an epoch's last batch is smaller than the others, or has targets that do not exist
    "language": LANGUAGE,
    "language_step_sum": (*LANGUAGE, "task.loss=step_sum"),
    "memory": ("task=memory", "task.batch_size=12", "data.train_sequences=29", "data.length=4"),
    "nowcasting": (
        *("task=nowcasting", "task.batch_size=12", "data.train_sequences=29", "data.size=16"),
        *("data.in_steps=2", "data.lead_steps=2"),
    ),
    "vqa": (
        *("task=vqa", "task.batch_size=12", "data.train_questions=29", "data.valid_questions=1"),
        *("data.test_questions=1", "data.words_max=12", "network.image_channels=8"),
    ),
}


class Taught(NamedTuple):
    """What a batch teaches: all of it, its weight, and the gradients."""

    found: Learned
    weight: float
    gradients: tuple[Tensor, ...]


def learned(task: Task, network: nn.Module, batch: Any, state: Any) -> Taught:
    exact = [part.double() if part.is_floating_point() else part for part in batch]
    found = task.learn(network, batch._make(exact) if hasattr(batch, "_make") else exact, state)
    gradients = torch.autograd.grad(found.loss, list(network.parameters()))
    return Taught(found, found.examples if found.weight is None else found.weight, gradients)


def test_every_task_is_here() -> None:
    assert {compose_config(list(words))["task"]["name"] for words in SMALL.values()} == set(TASKS)


@pytest.mark.parametrize("of", [2, 3])
@pytest.mark.parametrize("name", SMALL)
def test_loss_gradient_and_sums_of_a_batch_follow_from_its_shares(name: str, of: int) -> None:
    config = compose_config([*SMALL[name], "network.hidden_size=4", "cell=gru"])
    task = build_task(config["task"]["name"], read(config).task)
    reseed(0, "initialisation")
    network = task.network(build_cell("gru"), "reference").double()
    loaders = [task.loader("train") for _ in range(of + 1)]
    for rank, loader in enumerate(loaders[1:]):
        loader.share(rank, of)
    states: list[Any] = [None] * (of + 1)
    seen = set()
    for batches in zip(*loaders, strict=True):
        whole, *parts = [learned(task, network, *each) for each in zip(batches, states, strict=True)]
        states = [detached(each.found.state) for each in (whole, *parts)]
        weight = sum(part.weight for part in parts)
        seen.add(tuple(part.weight for part in parts))
        loss = sum(part.weight * part.found.loss.item() for part in parts) / weight
        assert loss == pytest.approx(whole.found.loss.item(), rel=1e-12)
        for expected, *own in zip(whole.gradients, *(part.gradients for part in parts), strict=True):
            mean = sum(part.weight * gradient for part, gradient in zip(parts, own, strict=True)) / weight
            torch.testing.assert_close(mean, expected, rtol=1e-10, atol=1e-13)
        assert sum(part.found.examples for part in parts) == whole.found.examples
        for key, (total, count) in whole.found.sums.items():
            assert sum(part.found.sums[key][0].item() for part in parts) == pytest.approx(total.item(), rel=1e-12)
            assert sum(part.found.sums[key][1] for part in parts) == count
    assert len(seen) > 1 or name == "language_step_sum"  # not all batches are alike
