"""The adding problem: what is drawn, what trivial answers cost, and what a network is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from cellwise.tasks import build_task
from cellwise.tasks.contract import Split
from cellwise.tasks.memory.adding import MEAN_ANSWER_MSE, ONE_NUMBER_MSE, Adding, draw, floors
from cellwise.tasks.memory.settings import SequenceData
from cellwise.training.settings import read

Memory = Callable[..., dict[str, Any]]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


def task_of(config: dict[str, Any]) -> Adding:
    task = build_task("memory", read(config).task)
    assert isinstance(task, Adding)
    return task


class Adder(nn.Module):
    """The right answer, computed; `off` is added to it, and only the numbers after `from_step` are seen."""

    def __init__(self, off: float = 0.0, from_step: int = 0):
        super().__init__()
        self.off = nn.Parameter(torch.tensor(off))
        self.from_step = from_step

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        seen = x[self.from_step :]
        return (seen[..., 0] * seen[..., 1]).sum(0)[:, None] + self.off, {}


@given(st.integers(2, 13), st.integers(0, 2**40), st.sampled_from(SPLITS))
def test_one_marker_lies_in_each_half_and_the_target_is_the_sum_of_the_marked(
    length: int, seed: int, split: Split
) -> None:
    data = SequenceData(seed=seed, length=length, train_sequences=17, valid_sequences=17, test_sequences=17)
    drawn = draw(data, split)
    inputs, targets = drawn[np.arange(17)]
    assert inputs.shape == (length, 17, 2)
    assert targets.shape == (17, 1)
    assert inputs.dtype == targets.dtype == torch.float32
    numbers, markers = inputs.unbind(-1)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert ((markers == 0) | (markers == 1)).all()
    assert (markers[: length // 2].sum(0) == 1).all()
    assert (markers[length // 2 :].sum(0) == 1).all()
    torch.testing.assert_close((numbers * markers).sum(0), targets[:, 0])


def test_every_step_of_a_half_is_marked_equally_often_and_numbers_are_uniform() -> None:
    drawn = draw(SequenceData(length=9, train_sequences=90_000), "train")
    for steps, at in ((range(4), drawn.first), (range(4, 9), drawn.second)):
        counts = np.bincount(at, minlength=9)
        assert counts.sum() == counts[list(steps)].sum()
        expected = 90_000 / len(steps)
        # Six standard deviations of a binomial.
        assert (np.abs(counts[list(steps)] - expected) < 6 * np.sqrt(expected)).all()
    numbers = drawn.numbers.astype(np.float64)
    assert numbers.mean() == pytest.approx(1 / 2, abs=0.002)
    assert numbers.var() == pytest.approx(1 / 12, abs=0.001)
    places = drawn.first.astype(np.float64), drawn.second.astype(np.float64), drawn.sums.astype(np.float64)
    assert np.abs(np.corrcoef(places) - np.eye(3)).max() < 0.02  # none says anything of another


def test_a_sequence_depends_on_seed_split_and_its_number_alone() -> None:
    short, long = (draw(SequenceData(train_sequences=n, valid_sequences=3), "train") for n in (100, 1000))
    np.testing.assert_array_equal(short.numbers, long.numbers[:100])
    np.testing.assert_array_equal(short.first, long.first[:100])
    np.testing.assert_array_equal(short.second, long.second[:100])
    alone, _ = long[np.array([7])]
    batch, _ = short[np.array([3, 7])]
    assert torch.equal(alone[:, 0], batch[:, 1])


def test_no_split_and_no_seed_repeats_another() -> None:
    rows = [draw(SequenceData(seed=seed), split).numbers for seed in (0, 1, 2) for split in SPLITS]
    every = np.concatenate(rows)
    assert len(np.unique(every, axis=0)) == len(every)


def test_the_same_seed_draws_the_same_on_every_machine() -> None:
    drawn = draw(SequenceData(length=4, test_sequences=3), "test")
    assert drawn.first.tolist() == [1, 1, 1]
    assert drawn.second.tolist() == [3, 2, 2]
    np.testing.assert_array_equal(
        drawn.numbers[0],
        np.array([0.6563804149627686, 0.8382711410522461, 0.46284598112106323, 0.08372443914413452], dtype=np.float32),
    )


def test_the_floors_are_near_their_expected_values_and_are_those_of_the_test_sequences() -> None:
    many = draw(SequenceData(test_sequences=400_000), "test")
    assert floors(many) == {
        "mean": pytest.approx(MEAN_ANSWER_MSE, rel=0.01),
        "second_number": pytest.approx(ONE_NUMBER_MSE, rel=0.01),
    }
    assert (MEAN_ANSWER_MSE, ONE_NUMBER_MSE) == (1 / 6, 1 / 12)


def test_the_floors_are_scored_as_a_network_is(memory: Memory) -> None:
    """A network that answers 1, and one that adds 1/2 to what the second half shows, get the floors as scores."""
    task = task_of(memory())

    class One(Adder):
        def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
            return torch.ones(x.shape[1], 1), {}

    found = {}
    for name, network in (("mean", One()), ("second_number", Adder(0.5, from_step=4))):
        scores = task.scores()
        for batch in task.loader("test"):
            scores.update(network, batch, None)
        found[name] = scores.compute()["mse"]
    assert found == pytest.approx(task.floors(), rel=1e-6)
    assert task.optimum() == 0.0


def test_the_loss_is_the_mean_squared_error_and_the_logged_sum_counts_sequences(memory: Memory) -> None:
    task = task_of(memory())
    network = Adder(0.25)
    for inputs, targets in task.loader("train"):
        learned = task.learn(network, (inputs, targets), None)
        total, count = learned.sums["mse"]
        assert learned.loss.item() == pytest.approx(0.0625, rel=1e-5)
        assert (count, learned.examples) == (len(targets), inputs.shape[1])
        assert total.item() == pytest.approx(0.0625 * count, rel=1e-5)
        assert total.dtype == torch.float64
        assert not total.requires_grad
        assert learned.state is None
        learned.loss.backward()  # type: ignore[no-untyped-call]
    assert (task.objective.metric, task.objective.direction, task.examples) == ("mse", "min", "sequences")


@pytest.mark.parametrize("batch", [1, 7, 40, 1000])
def test_the_views_see_the_sequences_in_the_order_in_which_they_were_drawn(memory: Memory, batch: int) -> None:
    task = task_of(memory(f"task.eval_batch_size={batch}"))
    with torch.no_grad():
        answers = task.answers(Adder(), "test")
    expected = draw(SequenceData(length=8, test_sequences=40), "test").sums
    np.testing.assert_allclose(answers[:, 0].numpy(), expected, rtol=1e-6)


def test_the_views_of_a_network_that_adds_show_no_error(memory: Memory) -> None:
    with torch.no_grad():
        distance, hedging = task_of(memory("data.test_sequences=400")).views(Adder())
    assert (distance.name, hedging.name) == ("error_by_distance", "answer_by_sum")
    measured = distance.series[0]  # type: ignore[union-attr]
    assert measured.x.tolist() == [4, 5, 6, 7]  # from step 3, 2, 1, 0 to the last, 7
    np.testing.assert_allclose(measured.y, 0, atol=1e-12)
