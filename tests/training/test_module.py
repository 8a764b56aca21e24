"""State goes from window to window of one split, cut from the graph, and from nowhere else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.tasks import build_task
from cellwise.tasks.contract import Learned, Task
from cellwise.tasks.language.task import LanguageTask
from cellwise.training.module import TrainingModule
from cellwise.training.seeds import reseed
from cellwise.training.selection import Selection
from cellwise.training.settings import OptimSettings, read
from cellwise.training.state import detached
from cellwise.training.train import train

Tiny = Callable[..., dict[str, Any]]
Rows = Callable[[Path], list[dict[str, Any]]]


def built(config: dict[str, Any]) -> tuple[Task, nn.Module]:
    """The task of a configuration and its network, as training makes them."""
    settings = read(config)
    task = build_task(config["task"]["name"], settings.task)
    reseed(settings.seed, "initialisation")
    return task, task.network(build_cell(settings.cell, settings.cell_options), "auto")


def fitted(
    task: Task, network: nn.Module, folder: Path, *, learning_rate: float = 0.002, **trainer: Any
) -> tuple[list[dict[str, Any]], TrainingModule]:
    """Train with Lightning's Trainer directly and return the rows it reported."""
    found: list[dict[str, Any]] = []
    module = TrainingModule(
        task,
        network,
        OptimSettings(learning_rate=learning_rate),
        seed=0,
        report=lambda row: found.append({k: v for k, v in row.items() if k != "seconds"}),
        selection=Selection(folder / "selected.pt", "min"),
        log_every_steps=1,
    )
    silent: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    lightning = pl.Trainer(**silent, accelerator="cpu", default_root_dir=folder, **trainer)
    lightning.fit(module, task.loader("train"), task.loader("valid"))
    return found, module


# Lightning 2.6 asks torch 2.13 for a class in a way that torch will drop; `train` filters the same.
quiet = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")


@quiet
def test_lightnings_sanity_check_leaves_no_trace(tiny: Tiny, tmp_path: Path) -> None:
    without, _ = fitted(*built(tiny()), tmp_path, max_steps=6, num_sanity_val_steps=0)
    with_check, module = fitted(*built(tiny()), tmp_path, max_steps=6, num_sanity_val_steps=2)
    assert with_check == without
    assert len([row for row in without if "train_nll_nats" in row]) == 6
    assert module.validated_step == -1  # the check is no validation: nothing was reported or selected


def test_a_validation_in_between_does_not_change_training(tiny: Tiny, rows_of: Rows) -> None:
    """With dropout, so that a random number drawn by validation would show as well as a leaked state."""
    same = ("network.dropout=0.3", "trainer.max_steps=6")
    losses = {}
    for every in (1, 2, 6):
        folder = train(tiny(*same, f"trainer.validate_every_steps={every}")).folder
        losses[every] = [row["train_nll_nats"] for row in rows_of(folder) if "train_nll_nats" in row]
        assert sum("validation_perplexity" in row for row in rows_of(folder)) == 6 // every
    assert losses[1] == losses[2] == losses[6]


class Remembering(nn.Module):
    """Remembers the state that it was given with each window."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.given: list[tuple[bool, dict[str, Tensor] | None]] = []

    def forward(self, tokens: Tensor, state: dict[str, Tensor] | None) -> Any:
        self.given.append((self.training, state))
        return self.network(tokens, state)


@quiet
@pytest.mark.parametrize("cell", ["lstm", "peephole_lstm"])
def test_a_window_is_given_the_detached_state_of_the_one_before(tiny: Tiny, tmp_path: Path, cell: str) -> None:
    config = tiny(f"cell={cell}", "data.train_tokens=200")
    task, network = built(config)
    remembering = Remembering(network)
    # Rate 0, so that the states can be computed once more, below.
    fitted(task, remembering, tmp_path, learning_rate=0.0, max_epochs=2, num_sanity_val_steps=0)

    windows = len(task.loader("train"))
    states = [state for training, state in remembering.given if training]
    assert len(states) == 2 * windows
    assert windows > 2
    for epoch in (states[:windows], states[windows:]):
        assert epoch[0] is None  # the text is begun anew
        expected = None
        for (inputs, _), state in zip(task.loader("train"), epoch, strict=True):
            if state is not None and expected is not None:
                for name, value in state.items():
                    assert value.grad_fn is None  # the graph is no longer than a window
                    assert not value.requires_grad
                    torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
            _, expected = network(inputs, expected)


def test_windows_with_carried_state_give_the_logits_of_one_long_pass(tiny: Tiny) -> None:
    task, network = built(tiny("network.num_layers=2", "data.train_tokens=400"))
    state, parts, inputs = None, [], []
    for window, _ in task.loader("train"):
        logits, state = network(window, state)
        parts.append(logits)
        inputs.append(window)
        state = detached(state)
    whole, last = network(torch.cat(inputs), None)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state, last, rtol=1e-5, atol=1e-6)


def test_any_nesting_of_states_is_detached() -> None:
    grown = torch.ones(2, requires_grad=True) * 2
    found = detached({"h": grown, "pair": (grown, [grown]), "nothing": None, "count": 3})
    assert found["count"] == 3
    assert found["nothing"] is None
    for value in (found["h"], found["pair"][0], found["pair"][1][0]):
        assert value.grad_fn is None
        assert value.tolist() == [2.0, 2.0]


def test_rows_between_are_means_over_all_tokens_since_the_last(tiny: Tiny, rows_of: Rows) -> None:
    """An epoch of 200 words in 4 columns ends in a short window, so a mean of means would differ."""
    same = ("data.train_tokens=200", "trainer.max_steps=null", "trainer.max_epochs=1")
    every, once = (
        [row for row in rows_of(train(tiny(*same, *how)).folder) if "train_nll_nats" in row]
        for how in (("study=often", "trainer.log_every_steps=1"), ("study=seldom", "trainer.log_every_steps=6"))
    )
    assert len(every) == 6
    assert len(once) == 1
    tokens = np.diff([0, *(row["examples"] for row in every)])
    assert len(set(tokens)) > 1
    mean = np.average([row["train_nll_nats"] for row in every], weights=tokens)
    assert once[0]["train_nll_nats"] == pytest.approx(mean, rel=1e-6)
    assert once[0]["examples"] == sum(tokens)


@quiet
def test_a_task_that_carries_nothing_is_trained_alike(tiny: Tiny, tmp_path: Path) -> None:
    """State None, as tasks whose examples are independent return it."""
    task, network = built(tiny())
    learn = task.learn

    def forgetful(network: nn.Module, batch: Any, state: Any) -> Learned:
        assert state is None
        return learn(network, batch, None)._replace(state=None)

    task.learn = forgetful  # type: ignore[method-assign]
    found, _ = fitted(task, network, tmp_path, max_steps=3, num_sanity_val_steps=0, limit_val_batches=0)
    assert len(found) == 3


@pytest.mark.parametrize("every", [2, 5])
def test_a_loss_that_is_lost_between_two_rows_ends_the_run_at_the_next(tiny: Tiny, every: int, rows_of: Rows) -> None:
    lost = ("optim=sgd", "optim.learning_rate=1e38", "optim.clip_norm=null", "trainer.max_steps=50")
    with pytest.raises(CellwiseError, match=f"train_nll_nats is (inf|nan) at step {every};"):
        train(tiny(*lost, f"trainer.log_every_steps={every}"))


def test_weights_from_before_the_loss_was_lost_are_tested(
    tiny: Tiny, rows_of: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = LanguageTask.learn
    seen: list[float] = []

    def lose(task: LanguageTask, network: Any, batch: Any, state: Any) -> Learned:
        learned = learn(task, network, batch, state)
        seen.append(float(learned.loss.detach()))
        return learned._replace(loss=learned.loss * (float("nan") if len(seen) == 3 else 1.0))

    monkeypatch.setattr(LanguageTask, "learn", lose)
    outcome = train(tiny("trainer.max_steps=6", "trainer.validate_every_steps=1", "trainer.non_finite=go_on"))
    values = [row["validation_perplexity"] for row in rows_of(outcome.folder) if "validation_perplexity" in row]
    assert None not in values[:2]
    assert values[2:] == [None] * 4
    result = json.loads((outcome.folder / "summary.json").read_text())
    assert result["selected_step"] == 2
    assert math.isfinite(result["value"])
    assert "diverged" not in outcome.note
