"""Batches of like length: little padding, every example once an epoch, an order of (seed, epoch) alone."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from cellwise.data.bucketed import BucketedLoader, bucketed_order, by_length
from cellwise.data.shuffled import Rows

LENGTHS = np.random.default_rng(0).integers(5, 41, size=2_003).astype(np.int64)


class Sentences:
    """Examples of some lengths; a batch is its rows."""

    def __init__(self, lengths: Rows):
        self._lengths = lengths

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, rows: Rows) -> list[int]:
        return [int(row) for row in rows]

    def lengths(self) -> Rows:
        return self._lengths


def padding(batches: list[list[int]]) -> float:
    read = sum(len(batch) * int(LENGTHS[batch].max()) for batch in batches)
    return 1 - int(LENGTHS.sum()) / read


def test_batches_are_of_like_length_and_every_epoch_gives_every_example_once() -> None:
    loader = BucketedLoader(Sentences(LENGTHS), 32, seed=3)
    epochs = [list(loader) for _ in range(3)]
    for epoch in epochs:
        assert sorted(chain.from_iterable(epoch)) == list(range(len(LENGTHS)))
        assert [len(batch) for batch in epoch] == [32] * 62 + [19]
        assert padding(epoch) < 0.04 < 0.3 < padding(list(BucketedLoader(Sentences(LENGTHS), 32, 3, pool_batches=1)))
        longest = [int(LENGTHS[batch].max()) for batch in epoch[:-1]]
        assert np.corrcoef(longest, np.arange(62))[0, 1] == pytest.approx(0, abs=0.4)  # batches are shuffled again
    assert len({tuple(sorted(batch)) for epoch in epochs for batch in epoch}) == 3 * 63  # others meet each time


def test_the_order_depends_on_its_arguments_alone_and_a_resumed_loader_goes_on_with_the_next_batch() -> None:
    def loader() -> BucketedLoader[list[int]]:
        return BucketedLoader(Sentences(LENGTHS), 64, seed=1, pool_batches=5)

    uncut = loader()
    stream = [batch for _ in range(3) for batch in uncut]
    assert list(chain.from_iterable(stream[:32])) == bucketed_order(1, 0, LENGTHS, 64, 5).tolist()
    cut, seen = loader(), []
    for _ in range(2):
        for batch in cut:
            seen.append(batch)
            if len(seen) == 40:
                break
    resumed = loader()
    resumed.load_state_dict(cut.state_dict())
    assert seen + [batch for _ in range(2) for batch in resumed] == stream


def test_processes_share_batches_and_few_examples_are_one_batch() -> None:
    whole = list(BucketedLoader(Sentences(LENGTHS), 32, seed=2))
    parts = []
    for rank in range(2):
        loader = BucketedLoader(Sentences(LENGTHS), 32, seed=2)
        loader.share(rank, 2)
        parts.append(list(loader))
    assert [one + other for one, other in zip(*parts, strict=True)] == whole
    assert [sorted(batch) for batch in BucketedLoader(Sentences(LENGTHS[:5]), 32, seed=2)] == [[0, 1, 2, 3, 4]]


def test_for_scores_the_shortest_come_first_always() -> None:
    loader = by_length(Sentences(LENGTHS), 50)
    first, second = list(loader), list(loader)
    assert first == second
    assert [int(LENGTHS[k]) for k in chain.from_iterable(first)] == sorted(LENGTHS.tolist())
