"""Batches in an order of each epoch's own, which a resumed run goes on with."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from cellwise.data.shuffled import Batches, Rows, ShuffledLoader, order_of_epoch
from cellwise.errors import CellwiseError


class Numbers:
    """Examples 0, 1, 2, ..."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: Rows) -> list[int]:
        return [int(row) for row in rows]


def loader(count: int = 7, batch_size: int = 3, seed: int = 5) -> ShuffledLoader[list[int]]:
    return ShuffledLoader(Numbers(count), batch_size, seed)


@pytest.mark.parametrize(("count", "batch_size", "sizes"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 5, [2])])
def test_every_epoch_gives_every_example_once(count: int, batch_size: int, sizes: list[int]) -> None:
    found = loader(count, batch_size)
    assert len(found) == len(sizes)
    for _ in range(3):
        batches = list(found)
        assert [len(batch) for batch in batches] == sizes
        assert sorted(chain.from_iterable(batches)) == list(range(count))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    found = loader(50)
    for epoch in range(3):
        assert list(chain.from_iterable(found)) == order_of_epoch(5, epoch, 50).tolist()
    orders = [tuple(order_of_epoch(seed, epoch, 50)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9
    assert tuple(order_of_epoch(2, 2, 50)) == orders[-1]


def test_batches_without_an_order_are_the_examples_as_they_are() -> None:
    batches = Batches(Numbers(5), 2)
    assert [batches[k] for k in range(len(batches))] == [[0, 1], [2, 3], [4]]
    for outside in (-1, 3):
        with pytest.raises(IndexError):
            batches[outside]


@pytest.mark.parametrize("seen", range(10))
def test_a_loaded_position_goes_on_with_the_very_next_batch(seen: int) -> None:
    def stream(of: ShuffledLoader[list[int]], epochs: int) -> list[list[int]]:
        return [batch for _ in range(epochs) for batch in of]

    uncut = stream(loader(), 4)  # 12 batches
    cut = loader()
    before: list[list[int]] = []
    while len(before) < seen:
        for batch in cut:
            before.append(batch)
            if len(before) == seen:
                break
    resumed = loader()
    resumed.load_state_dict(cut.state_dict())
    assert resumed.state_dict() == cut.state_dict()
    assert (before + stream(resumed, 4))[:12] == uncut


def test_a_pass_that_was_begun_and_dropped_is_begun_anew() -> None:
    first, second = loader(), loader()
    next(iter(first))
    iter(first)  # Lightning makes iterators it never draws from
    assert list(first) == list(second)
    assert list(first) == list(second)


def test_a_position_in_other_data_is_refused() -> None:
    with pytest.raises(CellwiseError, match="of 30 batches an epoch, the data now gives 3"):
        loader().load_state_dict({"position": 12, "length": 30, "epoch": 0})


class Recorder(pl.LightningModule):
    """Remembers the batches it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []

    def training_step(self, batch: list[int]) -> Tensor:
        self.seen.append(list(batch))
        return self.weight * float(np.mean(batch))

    def validation_step(self, batch: list[int]) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(module: Recorder, steps: int, **options: Any) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader(), loader(), **options)
    return trainer


# Lightning 2.6.6 asks torch 2.13's pytree in the old way, whatever the loader.
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning")
@pytest.mark.parametrize("cut", [1, 3, 5, 6])
def test_lightning_resumes_with_the_very_next_batch(tmp_path: Path, cut: int) -> None:
    uncut = Recorder()
    fit(uncut, 8)
    first, second = Recorder(), Recorder()
    fit(first, cut).save_checkpoint(tmp_path / "cut.ckpt")
    fit(second, 8, ckpt_path=tmp_path / "cut.ckpt", weights_only=True)
    assert first.seen + second.seen == uncut.seen
    assert torch.equal(second.weight, uncut.weight)
    assert uncut.seen[:3] != uncut.seen[3:6]


@pytest.mark.parametrize(("count", "batch_size", "of"), [(12, 4, 2), (11, 4, 2), (11, 4, 1), (15, 6, 3), (3, 4, 2)])
def test_the_shares_of_a_batch_are_the_batch(count: int, batch_size: int, of: int) -> None:
    whole, shares = loader(count, batch_size), [loader(count, batch_size) for _ in range(of)]
    for rank, share in enumerate(shares):
        share.share(rank, of)
        assert len(share) == len(whole)
    for _ in range(2):  # epochs, each in its own order
        for batch, *parts in zip(whole, *shares, strict=True):
            assert list(chain.from_iterable(parts)) == batch
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            assert all(parts)
    assert [share.state_dict() for share in shares] == [whole.state_dict()] * of


@pytest.mark.parametrize(
    ("count", "batch_size", "of", "told"),
    [
        (12, 5, 2, "task.batch_size=5 can't be shared evenly by trainer.devices=2; type task.batch_size=6, or another"),
        (9, 4, 2, "of 9 examples an epoch's last batch has 1, too few for trainer.devices=2; give another"),
    ],
)
def test_a_batch_that_can_not_be_shared_is_refused(count: int, batch_size: int, of: int, told: str) -> None:
    with pytest.raises(CellwiseError) as error:
        loader(count, batch_size).share(0, of)
    assert told in str(error.value)


def test_an_endless_loader_goes_on_to_new_rows_and_resumes_among_them() -> None:
    def endless() -> ShuffledLoader[list[int]]:
        return ShuffledLoader(Numbers(5), 2, seed=3, endless=True)

    once = endless()
    whole = [batch for _ in range(3) for batch in once]
    again = loader(5, 2, seed=3)
    assert sorted(chain(*whole)) == list(range(15))
    assert [[row % 5 for row in batch] for batch in whole] == [batch for _ in range(3) for batch in again]
    cut, resumed = endless(), endless()
    first_epoch, second_epoch = list(cut), iter(cut)
    begun = [*first_epoch, next(second_epoch)]
    resumed.load_state_dict(cut.state_dict())
    assert begun + [batch for _ in range(2) for batch in resumed] == whole
