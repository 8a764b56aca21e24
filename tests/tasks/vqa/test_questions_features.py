"""Features of images: mapped from npz or HDF5 wherever they lie as they are, unpacked once where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.features import open_features

GRID = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype(np.float16)
IDS = np.array([42, 7, 1, 9, 3])


def is_mapped(array: Any) -> bool:
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["npz", "h5"])
def test_features_are_mapped_and_a_grid_is_read_row_by_row(kind: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / f"features.{kind}"
    if kind == "npz":
        (np.savez_compressed if packed else np.savez)(path, features=GRID, image_ids=IDS)
    else:
        h5py = pytest.importorskip("h5py")  # an extra's
        with h5py.File(path, "w") as file:
            file.create_dataset("image_features", data=GRID, chunks=(2, 2, 3, 4) if packed else None)
            file.create_dataset("ids", data=IDS)
    features = open_features(path, tmp_path / "kept")
    assert features.shape == (6, 4)
    assert is_mapped(features.stored)
    assert sorted(features.rows) == ["1", "3", "42", "7", "9"]
    rows = np.array([features.rows["9"], features.rows["42"]])
    batch = features.batch(rows)
    assert batch.dtype == torch.float32
    assert torch.equal(batch, torch.from_numpy(GRID[[3, 0]].reshape(2, 6, 4).astype(np.float32)))
    kept = list((tmp_path / "kept").glob("features-*.npy"))
    assert len(kept) == packed
    assert features.pixels(0) is None
    if packed:  # the second time nothing is written
        before = kept[0].stat().st_mtime_ns
        assert np.array_equal(open_features(path, tmp_path / "kept").stored, features.stored)
        assert list((tmp_path / "kept").glob("features-*")) == kept and kept[0].stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"features": GRID, "image_ids": IDS[:4]}, r"5 images have features, but image_ids are \(4,\)"),
        ({"features": GRID, "image_ids": np.array([1, 2, 3, 4, 2])}, "image 2 is there twice"),
        ({"features": GRID.astype(np.int64), "image_ids": IDS}, "features are int64 .* must be float16 or float32"),
        ({"features": np.array([{}]), "image_ids": IDS[:1]}, "cannot be read as npz"),
        ({"pixels": GRID}, "has no 'features'; it has 'pixels'"),
    ],
)
def test_files_with_something_else_inside_are_refused(arrays: dict[str, Any], said: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "features.npz", **arrays)
    with pytest.raises(CellwiseError, match=said):
        open_features(tmp_path / "features.npz", tmp_path / "kept")


def test_other_and_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "features.npz").write_bytes(b"PK nothing")
    with pytest.raises(CellwiseError, match=r"features.npz cannot be read as npz"):
        open_features(tmp_path / "features.npz", tmp_path / "kept")
    (tmp_path / "features.pt").write_bytes(b"")
    with pytest.raises(CellwiseError, match=r"allowed: .npz, .h5, .hdf5"):
        open_features(tmp_path / "features.pt", tmp_path / "kept")
