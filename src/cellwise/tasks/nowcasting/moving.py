"""Digits that move and bounce: embedded ones at any size, and MNIST's (Moving MNIST).

Protocol of Srivastava et al. 2015 (arXiv 1502.04681) in their published generator: each digit starts anywhere in the
free range, in any direction, goes a tenth of that range a step (3.6 of 64 - 28 pixels), bounces by being put back on
the border with that part of its velocity reversed, and stands at whole pixels; where digits overlap the greater value
counts.

Differences: a sequence is a pure function of (seed, split, its number), so it is the same whoever asks and whenever;
train, validation and test are drawn from different digits (of 13 writers' digits in a row; of MNIST, see `sources`);
speeds may vary from digit to digit, as in Shi et al. 2015.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import interpolate

from cellwise.data.get import data_folder
from cellwise.data.shuffled import Rows
from cellwise.tasks.contract import Split
from cellwise.tasks.nowcasting.data_settings import MovingDigits, MovingMnist
from cellwise.tasks.nowcasting.draws import Draws
from cellwise.tasks.nowcasting.frames import PIXELS, Batch, Field, Sequences, batch_of
from cellwise.tasks.nowcasting.mnist import OfficialTest, read_mnist

Images = npt.NDArray[np.uint8]

_EMBEDDED = "digits_8x8.npz"
_EMBEDDED_PARTS: Mapping[Split, slice] = {
    "train": slice(0, 1_200),
    "valid": slice(1_200, 1_500),
    "test": slice(1_500, 1_797),
}
_GREATEST = 16  # value of a full pixel there


@dataclass(frozen=True, eq=False)
class MovingImages:
    """Sequences of images that move over an empty square; implements `Sequences`.

    Attributes:
        images: what moves, uint8 (images, side, side), 255 for full.
        draws: the random numbers of a row.
        length: rows of an epoch.
        size: of a frame, pixels.
        in_steps: frames that are seen.
        steps: frames in all.
        count: images in a frame.
        speeds: slowest and fastest step, shares of the free range.
    """

    images: Images
    draws: Draws
    length: int
    size: int
    in_steps: int
    steps: int
    count: int
    speeds: tuple[float, float]
    field: Field = PIXELS
    events: Sequence[str] = ()
    remarks: Sequence[str] = ()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, rows: Rows) -> Batch:
        """Return sequences; each is an event of its own."""
        frames = torch.from_numpy(self.frames(rows)).float() / 255
        return batch_of(frames, self.in_steps, torch.from_numpy(rows), self.field)

    def frames(self, rows: Rows) -> Images:
        """Return whole sequences, uint8 (steps, rows, size, size)."""
        which, corners = self.paths(rows)
        frames = np.zeros((self.steps, len(rows), self.size, self.size), dtype=np.uint8)
        side = self.images.shape[-1]
        for step, row, number in np.ndindex(*corners.shape[:3]):
            top, left = corners[step, row, number]
            under = frames[step, row, top : top + side, left : left + side]
            np.maximum(under, self.images[which[row, number]], out=under)
        return frames

    def paths(self, rows: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return which images move, (rows, count), and their upper left corners, (steps, rows, count, 2)."""
        drawn = self.draws.uniform(rows, (self.count, 5))
        which = (drawn[..., 0] * len(self.images)).astype(np.int64)
        place, angle = drawn[..., 1:3].copy(), 2 * np.pi * drawn[..., 3]
        slowest, fastest = self.speeds
        speed = slowest + (fastest - slowest) * drawn[..., 4]
        velocity = np.stack((np.sin(angle), np.cos(angle)), axis=-1) * speed[..., None]
        free = self.size - self.images.shape[-1]
        corners = np.empty((self.steps, *place.shape), dtype=np.int64)
        for step in range(self.steps):
            place += velocity
            velocity = np.where(place <= 0, np.abs(velocity), np.where(place >= 1, -np.abs(velocity), velocity))
            place = place.clip(0, 1)
            corners[step] = place * free
        return which, corners

    def sha256(self) -> str:
        """Return the checksum of the images and of an epoch's paths."""
        digest = hashlib.sha256(self.images.tobytes())
        for array in self.paths(np.arange(len(self))):
            digest.update(array.tobytes())
        return digest.hexdigest()


def draw_digits(data: MovingDigits) -> dict[Split, Sequences]:
    """Return sequences of the embedded digits; each split has digits of its own."""
    images = embedded_digits(data.digit_size or data.size * 28 // 64)
    return {split: _moving(images[_EMBEDDED_PARTS[split]], data, split) for split in get_args(Split)}


def draw_mnist(data: MovingMnist, data_dir: str | None) -> dict[Split, Sequences]:
    """Return Moving MNIST; see `MovingMnist`.

    Raises:
        CellwiseError: a file that is missing or altered, or an official test file of another shape.
    """
    folder = data_folder(data_dir)
    parts = read_mnist(folder)
    found: dict[Split, Sequences] = {split: _moving(parts[split], data, split) for split in get_args(Split)}
    if data.official_test:
        found["test"] = OfficialTest.open(folder, data.test_sequences, data.in_steps)
    return found


def embedded_digits(side: int) -> Images:
    """Return the embedded digits enlarged, uint8 (1797, side, side), 255 for full."""
    with files(__package__).joinpath(_EMBEDDED).open("rb") as file, np.load(file) as stored:
        small = torch.from_numpy(stored["images"]).float().unsqueeze(1) / _GREATEST
    large = interpolate(small, size=(side, side), mode="bicubic", align_corners=False).clamp(0, 1)
    return (255 * large.squeeze(1)).round().byte().numpy()


def _moving(images: Images, data: MovingDigits | MovingMnist, split: Split) -> MovingImages:
    return MovingImages(
        images,
        Draws(data.seed, split),
        length=getattr(data, f"{split}_sequences"),
        size=data.size,
        in_steps=data.in_steps,
        steps=data.in_steps + data.lead_steps,
        count=data.digits,
        speeds=(data.speed_min, data.speed_max),
    )
