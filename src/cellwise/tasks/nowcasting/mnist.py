"""MNIST's digits, and the official test sequences of Moving MNIST.

Counts are those of the publishers: 60,000 train and 10,000 t10k images of 28 x 28 (LeCun et al. 1998), 20 frames of
10,000 sequences of 64 x 64 (Srivastava et al. 2015).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cellwise.data.get import DataSet, read_bytes
from cellwise.data.shuffled import Rows
from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.nowcasting.frames import PIXELS, Batch, Field, batch_of
from cellwise.tasks.nowcasting.sources import T10K, TRAIN

OFFICIAL_TEST = "moving-mnist/mnist_test_seq.npy"
OFFICIAL_SHAPE = (20, 10_000, 64, 64)
_OFFICIAL_ADDRESS = "http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy"
_HEADER_BYTES = 16
_IDX_IMAGES = 0x0803  # unsigned bytes in three dimensions
_VALID_DIGITS = 10_000  # the last of train


def read_mnist(folder: Path) -> dict[Split, npt.NDArray[np.uint8]]:
    """Return the digits of each split, uint8 (digits, 28, 28).

    Raises:
        CellwiseError: a file that is missing or altered.
    """
    train, test = _images(TRAIN, 60_000, folder), _images(T10K, 10_000, folder)
    return {"train": train[:-_VALID_DIGITS], "valid": train[-_VALID_DIGITS:], "test": test}


@dataclass(frozen=True, eq=False)
class OfficialTest:
    """The published test sequences; implements `Sequences`. The file stays where it is and is read as it is asked for.

    Attributes:
        path: of the file.
        length: sequences that are used, the first ones.
        in_steps: frames that are seen, of 20.
    """

    path: Path
    length: int
    in_steps: int
    field: Field = PIXELS
    events: Sequence[str] = ()
    remarks: Sequence[str] = ("test: the official sequences of Moving MNIST",)

    @classmethod
    def open(cls, folder: Path, length: int, in_steps: int) -> OfficialTest:
        """Return the sequences of a data folder.

        Raises:
            CellwiseError: no file, or one that holds something else.
        """
        path = folder / OFFICIAL_TEST
        if not path.is_file():
            raise CellwiseError(
                f"no {path}; download it from {_OFFICIAL_ADDRESS} (819 MB), or type data.official_test=false"
            )
        official = cls(path, length, in_steps)
        try:
            stored = official._stored()
        except (OSError, ValueError) as error:
            raise CellwiseError(
                f"{path} cannot be read ({error}); download it again from {_OFFICIAL_ADDRESS}"
            ) from error
        if stored.shape != OFFICIAL_SHAPE or stored.dtype != np.uint8:
            raise CellwiseError(
                f"{path} holds {stored.dtype} {stored.shape}, the official file uint8 {OFFICIAL_SHAPE}; "
                f"download it again from {_OFFICIAL_ADDRESS}"
            )
        return official

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, rows: Rows) -> Batch:
        """Return sequences; each is an event of its own."""
        frames = torch.from_numpy(self._stored()[:, rows]).float() / 255
        return batch_of(frames, self.in_steps, torch.from_numpy(rows), self.field)

    def sha256(self) -> str:
        """Return the checksum of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _stored(self) -> npt.NDArray[np.uint8]:
        # Opened anew each time: a map that stays open counts every page it ever touched as memory of the process.
        stored: npt.NDArray[np.uint8] = np.load(self.path, mmap_mode="r")
        return stored


def _images(dataset: DataSet, count: int, folder: Path) -> npt.NDArray[np.uint8]:
    content = read_bytes(dataset, dataset.files[0], folder)
    header = tuple(int(n) for n in np.frombuffer(content, ">u4", 4))
    assert header == (_IDX_IMAGES, count, 28, 28)  # the checksum says so; the counts are the published ones
    return np.frombuffer(content, np.uint8, offset=_HEADER_BYTES).reshape(count, 28, 28)
