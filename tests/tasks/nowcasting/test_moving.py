"""Digits that move: protocol, splits, and rows that depend on nothing but their number."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from cellwise.data.get import DataFile, data_folder, is_present
from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.nowcasting import mnist
from cellwise.tasks.nowcasting.data_settings import MovingDigits, MovingMnist, build_sequences, read_data
from cellwise.tasks.nowcasting.draws import Draws
from cellwise.tasks.nowcasting.moving import MovingImages, draw_digits, embedded_digits
from cellwise.tasks.nowcasting.sources import T10K, TRAIN

SMALL = MovingDigits(size=32, train_sequences=20, valid_sequences=6, test_sequences=6)


def one_square(**changes: object) -> MovingImages:
    given = dict(size=32, in_steps=3, steps=60, count=1, speeds=(0.1, 0.1))
    return MovingImages(np.full((1, 8, 8), 255, np.uint8), Draws(0, "train"), length=50, **{**given, **changes})  # type: ignore[arg-type]


def test_a_row_is_the_same_whoever_asks_for_it_and_however_many_there_are() -> None:
    rows = np.array([3, 0, 17])
    few, many = draw_digits(SMALL), draw_digits(replace(SMALL, train_sequences=1_000))
    together = few["train"][rows]
    alone = [many["train"][rows[k : k + 1]] for k in range(3)]
    assert torch.equal(together.inputs, torch.cat([batch.inputs for batch in alone], dim=1))
    assert torch.equal(together.observed, torch.cat([batch.observed for batch in alone], dim=1))
    assert together.event.tolist() == [3, 0, 17]


def test_rows_differ_beyond_an_epoch_and_between_seeds_and_splits() -> None:
    train = draw_digits(SMALL)["train"]
    others = [train[np.array([20])], draw_digits(replace(SMALL, seed=1))["train"][np.array([0])]]
    others += [draw_digits(SMALL)[split][np.array([0])] for split in ("valid", "test")]
    found = [train[np.array([0])], *others]
    assert len({batch.observed.numpy().tobytes() for batch in found}) == len(found)


def test_no_digit_of_one_split_is_in_another() -> None:
    digits = draw_digits(SMALL)
    seen: dict[bytes, Split] = {}
    for split in get_args(Split):
        sequences = digits[split]
        assert isinstance(sequences, MovingImages)
        for image in sequences.images:
            assert seen.setdefault(image.tobytes(), split) == split
    assert len(seen) == 1_797


def test_digits_are_enlarged_and_fill_their_square() -> None:
    images = embedded_digits(28)
    assert images.shape == (1_797, 28, 28)
    small = embedded_digits(8)
    assert small.max() == 255
    shrunk = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(images[:50]).float(), 8)
    assert np.corrcoef(shrunk.numpy().ravel(), small[:50].astype(float).ravel())[0, 1] > 0.98


def test_images_move_straight_at_their_speed_and_bounce_at_the_border() -> None:
    moving = one_square(steps=200)
    _, corners = moving.paths(np.arange(50))
    assert corners.min() == 0
    assert corners.max() == 24  # the free range is 32 - 8
    step = np.linalg.norm(np.diff(corners[:, :, 0].astype(float), axis=0), axis=-1)
    assert step.max() <= 0.1 * 24 + np.sqrt(2)  # whole pixels
    away = (corners[:-1] > 0) & (corners[:-1] < 24) & (corners[1:] > 0) & (corners[1:] < 24)
    inside = away.all(axis=(2, 3))
    assert step[inside].mean() == pytest.approx(2.4, abs=0.1)
    # Bounced: whoever reaches the far border is at the near one later, again and again.
    assert ((corners == 0).any(0) & (corners == 24).any(0)).mean() > 0.9


def test_speeds_are_drawn_between_slowest_and_fastest() -> None:
    moving = one_square(speeds=(0.0, 0.2), size=1_008, steps=2)
    _, corners = moving.paths(np.arange(400))
    step = np.linalg.norm(np.diff(corners[:, :, 0].astype(float), axis=0)[0], axis=-1)
    assert 0 <= step.min() < 20
    assert 170 < step.max() < 203


def test_where_digits_overlap_the_greater_value_counts() -> None:
    images = np.stack([np.full((8, 8), 100, np.uint8), np.full((8, 8), 200, np.uint8)])
    moving = MovingImages(images, Draws(0, "train"), 40, size=12, in_steps=1, steps=2, count=2, speeds=(0.1, 0.1))
    which, corners = moving.paths(np.arange(40))
    frames = moving.frames(np.arange(40))
    mixed = np.flatnonzero(which[:, 0] != which[:, 1])
    assert len(mixed) > 5
    for row in mixed:
        bright = corners[0, row, int(which[row].argmax())]
        under = frames[0, row, bright[0] : bright[0] + 8, bright[1] : bright[1] + 8]
        assert (under == 200).all()
        assert set(np.unique(frames[0, row])) <= {0, 100, 200}


def test_the_checksum_follows_what_is_drawn() -> None:
    sums = {draw_digits(data)["train"].sha256() for data in (SMALL, replace(SMALL, seed=1), replace(SMALL, digits=1))}
    assert len(sums) == 3
    assert draw_digits(SMALL)["train"].sha256() in sums


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"name": "moving_digit"}, "did you mean 'moving_digits'"),
        ({"name": "moving_digits", "size": 8}, "data.size=8 is too small"),
        ({"name": "moving_digits", "size": 32, "digit_size": 32}, "must be less than data.size=32"),
        ({"name": "moving_digits", "speed_max": 0.05}, "is less than data.speed_min"),
        (
            {"name": "moving_mnist", "official_test": True, "in_steps": 5},
            "needs data.size=64 data.digits=2 and 20 frames",
        ),
    ],
)
def test_settings_that_are_not_allowed_are_refused_in_one_line(data: dict[str, object], says: str) -> None:
    with pytest.raises(CellwiseError, match=says):
        read_data(data)


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with MNIST: the real one where it is, else random bytes of its sizes under the same names."""
    if is_present(TRAIN, data_folder()) and is_present(T10K, data_folder()):
        return data_folder()
    for dataset, count, name in ((TRAIN, 60_000, "TRAIN"), (T10K, 10_000, "T10K")):
        header = np.array([0x0803, count, 28, 28], dtype=">u4").tobytes()
        content = header + np.random.default_rng(count).integers(0, 256, count * 784, dtype=np.uint8).tobytes()
        file = dataset.files[0]
        path = tmp_path / f"{file.path}.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(content, 1))
        fake = DataFile(file.path, hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(mnist, name, replace(dataset, files=(fake,)))
    return tmp_path


def test_moving_mnist_draws_validation_and_test_from_digits_of_their_own(digits: Path) -> None:
    parts = mnist.read_mnist(digits)
    assert {split: len(images) for split, images in parts.items()} == {"train": 50_000, "valid": 10_000, "test": 10_000}
    sequences = build_sequences(MovingMnist(train_sequences=10), seed=0, data_dir=str(digits))
    batch = sequences["train"][np.arange(4)]
    assert batch.inputs.shape == batch.observed.shape == (10, 4, 1, 64, 64)
    assert 0 <= float(batch.inputs.min()) < float(batch.inputs.max()) <= 1
    assert len(sequences["test"]) == 10_000


def test_the_official_test_file_is_read_as_it_lies_and_nothing_else_is_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / mnist.OFFICIAL_TEST
    with pytest.raises(CellwiseError, match="download it from"):
        mnist.OfficialTest.open(tmp_path, 5, 10)
    path.parent.mkdir()
    frames = np.random.default_rng(0).integers(0, 256, (20, 7, 8, 8), dtype=np.uint8)
    np.save(path, frames)
    with pytest.raises(CellwiseError, match=r"holds uint8 \(20, 7, 8, 8\), the official file uint8"):
        mnist.OfficialTest.open(tmp_path, 5, 10)
    monkeypatch.setattr(mnist, "OFFICIAL_SHAPE", frames.shape)
    official = mnist.OfficialTest.open(tmp_path, 5, 12)
    batch = official[np.array([4, 0])]
    assert (len(official), batch.inputs.shape, batch.observed.shape) == (5, (12, 2, 1, 8, 8), (8, 2, 1, 8, 8))
    whole = torch.cat((batch.inputs, batch.observed)).squeeze(2) * 255
    assert torch.equal(whole.round().byte(), torch.from_numpy(frames[:, [4, 0]]))
    assert official.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CellwiseError, match="cannot be read"):
        mnist.OfficialTest.open(tmp_path, 5, 12)
