"""What images are for a network: pixels in one array of bytes, or features that a network before it has found.

Both may be mapped from a file, so that processes that fetch batches ahead share one copy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwise.data.shuffled import Rows
from cellwise.tasks.vqa.questions import ImageKind

_HASHED_AT_ONCE = 4_096  # images, so that a mapped file is never in memory whole


class Images(Protocol):
    """The images of a split, by number."""

    @property
    def kind(self) -> ImageKind:
        """What an image is for the network."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width), or (regions, features)."""
        ...

    @property
    def rows(self) -> dict[str, int]:
        """The number of each image by its name."""
        ...

    def batch(self, rows: Rows) -> Tensor:
        """Return images, float32 (rows, *shape)."""
        ...

    @property
    def redistributable(self) -> bool:
        """Whether the data's owner allows them to be passed on, with what is asked about them."""
        ...

    def pixels(self, row: int) -> Tensor | None:
        """Return an image to look at, uint8 (height, width, 3), or None."""
        ...

    def sha256(self) -> str:
        """Return the checksum of what the network sees."""
        ...


@dataclass(frozen=True, eq=False)
class PixelImages:
    """Pictures of one size; implements `Images`.

    Attributes:
        stored: uint8 (images, height, width, 3).
        rows: the number of each image by its name.
        checksum: of the pixels, if it is known already.
        redistributable: whether the data's owner allows them to be passed on, with what is asked about them.
    """

    stored: npt.NDArray[np.uint8]
    rows: dict[str, int]
    checksum: str | None = None
    redistributable: bool = True
    kind: ImageKind = "pixels"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        _, height, width, channels = self.stored.shape
        return channels, height, width

    def batch(self, rows: Rows) -> Tensor:
        """Return images in [0, 1], float32 (rows, 3, height, width); channels are last in memory."""
        return torch.from_numpy(self.stored[rows]).permute(0, 3, 1, 2).float().div_(255)

    def pixels(self, row: int) -> Tensor:
        """Return an image, uint8 (height, width, 3)."""
        return torch.from_numpy(np.array(self.stored[row]))

    def sha256(self) -> str:
        """Return the checksum."""
        return self.checksum or sha256_of(self.stored)


@dataclass(frozen=True, eq=False)
class RegionImages:
    """Features of regions, or of the fields of a grid; implements `Images`.

    Attributes:
        stored: floats (images, regions, features).
        rows: the number of each image by its name.
        checksum: of the file.
        redistributable: whether the data's owner allows what is asked about them to be passed on.
    """

    stored: npt.NDArray[Any]
    rows: dict[str, int]
    checksum: str
    redistributable: bool = True
    kind: ImageKind = "regions"

    @property
    def shape(self) -> tuple[int, int]:
        """(regions, features)."""
        _, regions, features = self.stored.shape
        return regions, features

    def batch(self, rows: Rows) -> Tensor:
        """Return features, float32 (rows, regions, features)."""
        return torch.from_numpy(np.asarray(self.stored[rows], dtype=np.float32))

    def pixels(self, row: int) -> Tensor | None:
        """There is nothing to look at."""
        return None

    def sha256(self) -> str:
        """Return the checksum of the file."""
        return self.checksum


def sha256_of(stored: npt.NDArray[Any]) -> str:
    """Return the checksum of an array, however large."""
    digest = hashlib.sha256(f"{stored.dtype} {stored.shape}".encode())
    for start in range(0, len(stored), _HASHED_AT_ONCE):
        digest.update(np.ascontiguousarray(stored[start : start + _HASHED_AT_ONCE]).data)
    return digest.hexdigest()
