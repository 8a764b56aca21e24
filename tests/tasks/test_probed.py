"""What a task gives to probes: a fixed batch of validation, and the loss of its last prediction alone."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cellwise.cells.registry import build_cell
from cellwise.probes.insides import look
from cellwise.probes.memory import gradients
from cellwise.sweep.compose import compose_config
from cellwise.tasks import TASKS, build_task
from cellwise.tasks.contract import Probed, Task
from cellwise.tasks.language.columns import IGNORED
from cellwise.tasks.language.task import LanguageTask
from cellwise.training.settings import read

SMALL = {
    "language": ("task=language", "data.train_tokens=900", "data.valid_tokens=301", "network.hidden_size=4"),
    "memory": ("task=memory", "data.length=6", "data.valid_sequences=7", "network.hidden_size=4"),
    "nowcasting": (
        *("task=nowcasting", "data.size=16", "data.in_steps=3", "data.lead_steps=2", "data.valid_sequences=5"),
        *("network.hidden_size=4", "network.patch_size=4"),
    ),
    "vqa": (
        *("task=vqa", "data.train_questions=40", "data.valid_questions=30", "data.test_questions=3"),
        *("data.words_max=12", "network.hidden_size=4", "network.image_channels=8"),
    ),
}


def task_of(name: str, *words: str) -> Task:
    config = compose_config([*SMALL[name], *words])
    return build_task(config["task"]["name"], read(config).task)


def losses(name: str) -> tuple[Task, Any, Tensor]:
    task = task_of(name)
    network = task.network(build_cell("gru"), "auto").eval()
    return task, network, task.last_loss(network, task.probed().batch)


def test_every_task_is_here() -> None:
    assert set(SMALL) == set(TASKS)


@pytest.mark.parametrize("name", SMALL)
def test_the_batch_is_the_same_each_time_and_has_a_word_for_each_step(name: str) -> None:
    task = task_of(name)
    first, second = task.probed(), task.probed()
    assert all(torch.equal(a, b) for a, b in zip(first.batch, second.batch, strict=True))
    assert first.tokens == second.tokens
    assert len(first.tokens) == (0 if name == "nowcasting" else len(first.batch[0]))


@pytest.mark.parametrize("name", SMALL)
def test_it_does_not_depend_on_sizes_of_evaluation(name: str) -> None:
    words = ("task.eval_batch_size=1", "task.eval_steps=3") if name == "language" else ("task.eval_batch_size=2",)
    one, other = task_of(name).probed(), task_of(name, *words).probed()
    assert all(torch.equal(a, b) for a, b in zip(one.batch, other.batch, strict=True))


@pytest.mark.parametrize("name", SMALL)
def test_a_rows_loss_is_its_own_and_that_of_the_last_prediction(name: str) -> None:
    """A row's loss follows that row's states alone, and the last state on which any loss depends is the last."""
    task, network, loss = losses(name)
    batch = task.probed().batch
    assert loss.shape == (batch[0].shape[1],)
    if name == "vqa":
        first = type(batch)(batch[0][:, :1], *(part[:1] for part in batch[1:]))
    else:
        targets = {"language": batch[1][..., :1], "memory": batch[1][:1], "nowcasting": batch[1][:, :1]}[name]
        first = batch[0][:, :1], targets
    alone = task.last_loss(network, first)
    torch.testing.assert_close(alone, loss[:1])


def test_in_language_it_is_the_nll_of_the_last_token_of_each_column() -> None:
    task, network, loss = losses("language")
    inputs, targets = task.probed().batch
    assert not (targets[-1] == IGNORED).any()
    logits, _ = network(inputs)
    right = -torch.log_softmax(logits[-1], -1).gather(-1, targets[-1][:, None]).squeeze(-1)
    torch.testing.assert_close(loss, right)
    # The training loss has every step's, so that its gradient does not fall with the lag.
    value, (seen,) = look(task.recurrent_layers(network), lambda: task.learn(network, (inputs, targets), None).loss)
    blurred = gradients(value, [seen])["0.0/h/gradient"]
    value, (seen,) = look(task.recurrent_layers(network), lambda: task.last_loss(network, (inputs, targets)))
    clear = gradients(value, [seen])["0.0/h/gradient"]
    assert clear[40] < 1e-6 * clear[0]
    assert blurred[40] > 0.1 * blurred[0]


@pytest.mark.parametrize(
    ("tokens", "columns", "steps"),
    [(151, 2, 64), (130, 2, 64), (129, 2, 64), (128, 1, 64), (20, 1, 19), (2000, 16, 64), (1026, 15, 64)],
)
def test_as_many_columns_as_the_text_fills_are_looked_at(tokens: int, columns: int, steps: int) -> None:
    """Of 1,025 predictions in 16 columns of 65 the last has 50, so that it does not reach step 64."""
    given = task_of("language")
    assert isinstance(given, LanguageTask)
    text = np.arange(tokens) % len(given.corpus.vocabulary)
    corpus = dataclasses.replace(given.corpus, splits={**given.corpus.splits, "valid": text})
    inputs, targets = LanguageTask(given.settings, corpus, None).probed().batch
    assert inputs.shape == targets.shape == (steps, columns)
    assert not (targets[-1] == IGNORED).any()


def test_in_adding_it_is_the_squared_error_and_the_marked_numbers_are_the_words() -> None:
    task, network, loss = losses("memory")
    probed = task.probed()
    inputs, targets = probed.batch
    torch.testing.assert_close(loss, (network(inputs)[0] - targets).square()[:, 0])
    marked = [f"{number:.2f}" for number, mark in inputs[:, 0].tolist() if mark]
    assert [word for word in probed.tokens if word != "\N{MIDDLE DOT}"] == marked
    assert len(marked) == 2


def test_a_task_that_says_nothing_gives_validations_first_batch_and_the_training_loss() -> None:
    class Silent:
        probed, last_loss = Task.probed, Task.last_loss

        def loader(self, split: str) -> list[str]:
            return [f"{split} 0", f"{split} 1"]

        def learn(self, network: Any, batch: Any, state: Any) -> Any:
            return SimpleNamespace(loss=(network, batch, state))

    task: Any = Silent()
    assert task.probed() == Probed("valid 0", ())
    assert task.last_loss("network", "batch") == ("network", "batch", None)
