"""Language modelling as a task: what is learned, what is scored, and against what it is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.tasks import build_task
from cellwise.tasks.language.columns import IGNORED
from cellwise.tasks.language.task import LanguageTask
from cellwise.training.settings import read

Tiny = Callable[..., dict[str, Any]]


def task_of(config: dict[str, Any]) -> LanguageTask:
    task = build_task("language", read(config).task)
    assert isinstance(task, LanguageTask)
    return task


class Bigram(nn.Module):
    """Logits that depend on the token before alone, so that every batching must give the same scores."""

    def __init__(self, types: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(types, types, generator=torch.Generator().manual_seed(0)))

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return self.table[tokens], {}


def scored(task: LanguageTask, network: nn.Module, split: Any = "test") -> dict[str, float]:
    scores, state = task.scores(), None
    with torch.no_grad():
        for batch in task.loader(split):
            state = scores.update(network, batch, state)
    return scores.compute()


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 20, 64])
@pytest.mark.parametrize("steps", [1, 13, 1000])
def test_every_token_of_a_split_but_its_first_is_scored_once(tiny: Tiny, batch: int, steps: int) -> None:
    task = task_of(tiny(f"task.eval_batch_size={batch}", f"task.eval_steps={steps}"))
    network = Bigram(len(task.corpus.vocabulary))
    for split in ("valid", "test"):
        tokens = torch.tensor(task.corpus.splits[split])
        nats = -torch.log_softmax(network.table.detach().double(), -1)[tokens[:-1], tokens[1:]]
        found = scored(task, network, split)
        assert found["perplexity"] == pytest.approx(math.exp(nats.mean()), rel=1e-12)
        assert found["nll_nats_per_word"] == pytest.approx(nats.mean().item(), rel=1e-12)


def test_the_training_text_is_seen_whole_too(tiny: Tiny) -> None:
    task = task_of(tiny())
    targets = torch.cat([targets for _, targets in task.loader("train")])
    kept = targets.T[targets.T != IGNORED]  # a column is a contiguous piece of the text
    assert torch.equal(kept, torch.tensor(task.corpus.splits["train"][1:]))


@pytest.mark.parametrize("loss", ["token_mean", "step_sum"])
def test_the_loss_is_a_mean_over_tokens_or_summed_over_steps(tiny: Tiny, loss: str) -> None:
    """Zaremba et al. 2014 sum over the steps of a window and average over its columns."""
    task = task_of(tiny(f"task.loss={loss}", "data.train_tokens=103"))
    network = Bigram(len(task.corpus.vocabulary))
    batches = list(task.loader("train"))
    assert any((targets == IGNORED).any() for _, targets in batches)
    for inputs, targets in batches:
        learned = task.learn(network, (inputs, targets), None)
        nats = [
            -torch.log_softmax(network.table[inputs[t, b]], -1)[targets[t, b]].item()
            for t in range(len(targets)) for b in range(4) if targets[t, b] != IGNORED
        ]  # fmt: skip
        expected = sum(nats) / (len(nats) if loss == "token_mean" else 4)
        assert learned.loss.item() == pytest.approx(expected, rel=1e-5)
        total, count = learned.sums["nll_nats"]
        assert (count, learned.examples) == (len(nats), len(nats))
        assert total.item() == pytest.approx(sum(nats), rel=1e-5)
        assert not total.requires_grad


def test_the_optimum_is_the_true_process_on_the_same_tokens(tiny: Tiny) -> None:
    task = task_of(tiny("data.test_tokens=5000"))
    assert task.story is not None
    expected = math.exp(-task.story.log_probability_nats[1:].mean())
    assert task.optimum() == pytest.approx(expected, rel=1e-12)
    assert (task.objective.metric, task.objective.direction) == ("perplexity", "min")
    floors = task.floors()
    assert expected < floors["bigram"] < floors["unigram"]
    counts = np.bincount(task.corpus.splits["train"], minlength=len(task.corpus.vocabulary))
    assert floors["unigram"] > 20
    assert counts.sum() == len(task.corpus.splits["train"])


def test_a_network_that_knows_the_process_reaches_the_optimum(tiny: Tiny) -> None:
    """The scores and the optimum are read on one scale: give the true probability of each word as its logit."""
    task = task_of(tiny("task.eval_batch_size=1", "trainer.precision=64-true"))
    assert task.story is not None
    truth = torch.tensor(task.story.log_probability_nats[1:])
    types = len(task.corpus.vocabulary)

    class Knowing(nn.Module):
        place = 0

        def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, dict[str, Tensor]]:
            here = range(self.place, self.place + len(tokens))
            self.place += len(tokens)
            logits = torch.empty(len(tokens), 1, types, dtype=torch.float64)
            for t, n in enumerate(here):
                p = truth[n].exp()
                logits[t] = torch.log((1 - p) / (types - 1) + 1e-300)
                logits[t, 0, task.corpus.splits["test"][n + 1]] = truth[n]
            return logits, {}

    assert scored(task, Knowing())["perplexity"] == pytest.approx(task.optimum(), rel=1e-9)


def test_characters_are_read_in_bits(tmp_path: Path, tiny: Tiny) -> None:
    (tmp_path / "text.txt").write_text("abc abd\n" * 200)
    config = {**tiny(), "data": {"name": "text", "path": str(tmp_path / "text.txt")}}
    config["task"] = {**config["task"], "level": "character"}
    task = task_of(config)
    assert (task.objective.metric, task.objective.unit) == ("bits_per_character", "bits")
    assert task.optimum() is None
    network = Bigram(len(task.corpus.vocabulary))
    tokens = torch.tensor(task.corpus.splits["test"])
    nats = -torch.log_softmax(network.table.double(), -1)[tokens[:-1], tokens[1:]].mean().item()
    found = scored(task, network)
    assert found["bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-12)
    assert found["nll_nats_per_character"] == pytest.approx(nats, rel=1e-12)
    assert task.floors()["bigram"] < task.floors()["unigram"] < math.log2(len(task.corpus.vocabulary))


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_the_views_see_each_token_in_the_order_of_the_text(tiny: Tiny, batch: int) -> None:
    task = task_of(tiny(f"task.eval_batch_size={batch}", "task.eval_steps=9"))
    network = Bigram(len(task.corpus.vocabulary))
    tokens = torch.tensor(task.corpus.splits["test"])
    expected = -torch.log_softmax(network.table.double(), -1)[tokens[:-1], tokens[1:]]
    with torch.no_grad():
        torch.testing.assert_close(task._token_nll_nats(network), expected, rtol=1e-12, atol=0)


def test_its_network_has_one_recurrent_stack_of_the_cell(tiny: Tiny) -> None:
    task = task_of(tiny("network.num_layers=2"))
    network = task.network(build_cell("gru"), "auto")
    [layer] = task.recurrent_layers(network)
    assert layer.cell.gates == ("reset", "update", "candidate")
    assert layer.num_layers == 2
    assert network.output.out_features == len(task.corpus.vocabulary)


def test_the_checksums_are_those_of_the_tokens(tiny: Tiny) -> None:
    one, same, other = (task_of(tiny(*how)).checksums for how in ((), ("seed=5",), ("data.seed=1",)))
    assert sorted(one) == ["sentences/test", "sentences/train", "sentences/valid"]
    assert one == same
    assert not set(one.values()) & set(other.values())


def test_a_text_shorter_than_a_window_is_refused_with_what_would_fit(tiny: Tiny) -> None:
    with pytest.raises(CellwiseError) as caught:
        task_of(tiny("data.train_tokens=10", "task.batch_size=4", "task.steps=20"))
    assert "less than one window of task.steps=20 for each of task.batch_size=4 columns; type task." in str(
        caught.value
    )


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_split_of_less_than_a_window_is_scored_all_the_same(tiny: Tiny, split: str) -> None:
    task = task_of(tiny(f"data.{split}_tokens=2", "task.eval_batch_size=64"))
    network = Bigram(len(task.corpus.vocabulary))
    assert scored(task, network, split)["perplexity"] > 1
