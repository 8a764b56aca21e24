"""What a scene of shapes_qa shows in numbers, for a network that is to be compared by how it reads, not by how it sees.

A row for each object, as Santoro et al. 2017, arXiv:1706.01427, section 4 ("CLEVR from state descriptions") give it to
their relation network: one of six colours, one of four shapes, and the place. The image is kept, to be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwise.data.shuffled import Rows
from cellwise.tasks.vqa.images import PixelImages, sha256_of
from cellwise.tasks.vqa.questions import ImageKind
from cellwise.tasks.vqa.scenes import COLOURS, SHAPES, Scene

FEATURES = len(COLOURS) + len(SHAPES) + 2
"""Of an object: 1 for its colour, 1 for its shape, and across and down from -1 to 1."""


@dataclass(frozen=True, eq=False)
class SceneDescriptions:
    """Scenes as the network sees them, with their images; implements `Images`.

    Attributes:
        stored: float32 (scenes, objects, `FEATURES`), 0 where a scene has fewer objects.
        images: of the same scenes.
    """

    stored: npt.NDArray[np.float32]
    images: PixelImages
    kind: ImageKind = "regions"

    @property
    def shape(self) -> tuple[int, int]:
        """(objects, features)."""
        _, objects, features = self.stored.shape
        return objects, features

    @property
    def rows(self) -> dict[str, int]:
        """The number of each scene by its image's name."""
        return self.images.rows

    def batch(self, rows: Rows) -> Tensor:
        """Return descriptions, float32 (rows, objects, features)."""
        return torch.from_numpy(self.stored[rows])

    @property
    def redistributable(self) -> bool:
        """They are drawn."""
        return True

    def pixels(self, row: int) -> Tensor | None:
        """Return the image of a scene, uint8 (height, width, 3)."""
        return self.images.pixels(row)

    def sha256(self) -> str:
        """Return the checksum of the descriptions."""
        return sha256_of(self.stored)


def described(scenes: Sequence[Scene], objects: int) -> npt.NDArray[np.float32]:
    """Return what scenes show, float32 (scenes, objects, `FEATURES`).

    Args:
        scenes: of `objects` objects at most.
        objects: rows of each.
    """
    found = np.zeros((len(scenes), objects, FEATURES), dtype=np.float32)
    for row, scene in zip(found, scenes, strict=True):
        number = np.arange(len(scene.colours))
        row[number, scene.colours] = 1
        row[number, len(COLOURS) + np.array(scene.shapes)] = 1
        row[number, -2:] = 2 * scene.places - 1
    return found
