"""A row is the mean over all examples since the last one, and no lost loss is lost in it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cellwise.tasks.contract import Learned
from cellwise.training.tally import Tally


def learned(total: float, count: int) -> Learned:
    return Learned(torch.zeros(()), {"nll_nats": (torch.tensor(total), count)}, examples=count, state=None)


def alone(own: Any) -> list[Any]:
    """What the ranks have of a run that has one."""
    return [own]


def test_a_row_is_the_mean_over_examples_and_starts_over() -> None:
    tally = Tally()
    for total, count in ((10.0, 4), (2.0, 1)):
        tally.add(learned(total, count))
    assert (tally.take(alone), tally.examples) == (({"train_nll_nats": 12.0 / 5}, 5), 0)
    assert tally.take(alone) == ({}, 0)


def test_a_row_of_several_ranks_is_the_mean_over_the_examples_of_all() -> None:
    tally = Tally()
    tally.add(learned(10.0, 4))
    another = (1, {"nll_nats": 2.0}, {"nll_nats": 1})
    assert tally.take(lambda own: [own, another]) == ({"train_nll_nats": 12.0 / 5}, 5)


def test_a_state_goes_on_to_the_same_row() -> None:
    whole, cut, resumed = Tally(), Tally(), Tally()
    for total in (0.1, 0.2):
        whole.add(learned(total, 1))
        cut.add(learned(total, 1))
    resumed.load(cut.state())
    for tally in (whole, resumed):
        tally.add(learned(0.3, 1))
    row, examples = whole.take(alone)
    assert ((row, examples), examples) == (resumed.take(alone), 3)


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf])
def test_one_step_that_is_not_finite_shows_in_its_row(lost: float) -> None:
    tally = Tally()
    for total in (1.0, lost, 1.0, 1.0):
        tally.add(learned(total, 1))
    assert not math.isfinite(tally.take(alone)[0]["train_nll_nats"])
