"""Items in order, and the position in the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from cellwise.data.loader import SequentialLoader
from cellwise.errors import CellwiseError

# Lightning 2.6.6 asks torch 2.13's pytree in the old way, whatever the loader.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning")


def test_every_epoch_gives_every_item_in_order() -> None:
    loader = SequentialLoader(["a", "b", "c"])
    assert len(loader) == 3
    assert list(loader) == list(loader) == ["a", "b", "c"]


@pytest.mark.parametrize("seen", [0, 1, 2, 3])
def test_a_loaded_position_goes_on_with_the_next_item_once(seen: int) -> None:
    items = ["a", "b", "c"]
    loader = SequentialLoader(items)
    iterator = iter(loader)
    for _ in range(seen):
        next(iterator)
    resumed = SequentialLoader(items)
    resumed.load_state_dict(loader.state_dict())
    assert resumed.state_dict() == loader.state_dict()
    assert list(resumed) == (items[seen:] or items)  # after the last item comes a whole epoch
    assert list(resumed) == items


def test_an_abandoned_epoch_does_not_shift_the_next_one() -> None:
    loader = SequentialLoader([0, 1, 2])
    next(iter(loader))
    assert list(loader) == [0, 1, 2]
    loader.load_state_dict({"position": 2, "length": 3})
    iter(loader)  # Lightning makes iterators it never draws from
    assert list(loader) == [2]


def test_a_position_in_other_data_is_refused() -> None:
    with pytest.raises(CellwiseError, match="of 30 batches an epoch, the data now gives 2"):
        SequentialLoader([0, 1]).load_state_dict({"position": 12, "length": 30})


class Recorder(pl.LightningModule):
    """Remembers the windows it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.seen: list[int] = []
        self.validated: list[int] = []

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        self.seen.append(int(batch[0][0, 0]))
        return self.weight * batch[0].float().mean()

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.validated.append(int(batch[0][0, 0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def windows() -> SequentialLoader[tuple[Tensor, Tensor]]:
    return SequentialLoader([(torch.full((2, 3), k), torch.full((2, 3), k)) for k in range(5)])


def fit(module: Recorder, steps: int, **options: Any) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=2,
    )
    trainer.fit(module, windows(), windows(), **options)
    return trainer


def test_lightning_trains_and_validates_on_it_without_a_warning() -> None:
    module = Recorder()
    fit(module, 10)
    assert module.seen == [0, 1, 2, 3, 4] * 2
    assert module.validated == [0, 1] + [0, 1, 2, 3, 4] * 2  # the sanity check stops after two


@pytest.mark.parametrize("cut", [1, 4, 5, 7, 10])
def test_lightning_resumes_with_the_very_next_window(tmp_path: Path, cut: int) -> None:
    uncut = Recorder()
    fit(uncut, 13)
    first, second = Recorder(), Recorder()
    fit(first, cut).save_checkpoint(tmp_path / "cut.ckpt")
    fit(second, 13, ckpt_path=tmp_path / "cut.ckpt", weights_only=True)
    assert first.seen + second.seen == uncut.seen
    assert torch.equal(second.weight, uncut.weight)


def test_items_that_can_not_be_divided_are_refused_in_one_line() -> None:
    with pytest.raises(CellwiseError, match=r"can't be shared; type trainer.devices=1"):
        SequentialLoader(["a", "b"]).share(0, 2)
