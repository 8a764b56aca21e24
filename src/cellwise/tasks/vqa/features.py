"""Features of images that a network before has found, mapped from the file that holds them.

An npz or HDF5 file has ``features`` (or ``image_features``), floats (images, features), (images, regions, features) or
(images, height, width, features), and ``image_ids`` (or ``ids``), (images,), numbers or texts. For bottom-up attention
(Anderson et al. 2018, arXiv:1707.07998) that is 36 regions of 2,048; for a grid of ResNet 7 x 7 of 2,048, read row by
row as 49 regions. Floats may be of 16 or 32 bits.

What lies in the file as it is in memory (npz of `numpy.savez`, contiguous HDF5) is mapped in place. What is compressed
or in chunks is unpacked once into the cache folder, under the file's checksum.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cellwise.data.cache import writing_into
from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.files import content_sha256
from cellwise.tasks.vqa.images import RegionImages

_FEATURES, _IDS = ("features", "image_features"), ("image_ids", "ids")
_LOCAL_HEADER_BYTES = 30  # of a zip's member, before its name
_AT_ONCE = 1_024  # images that are unpacked together


def open_features(path: Path, kept: Path) -> RegionImages:
    """Return the features of a file.

    Args:
        path: ends in ``.npz``, ``.h5`` or ``.hdf5``.
        kept: the cache folder.

    Raises:
        CellwiseError: another kind of file, one that can't be read or has something else inside, an image that is there
            twice, or no h5py.
    """
    checksum = content_sha256(path, kept)
    if path.suffix == ".npz":
        stored, ids = _of_npz(path, kept, checksum)
    elif path.suffix in (".h5", ".hdf5"):
        stored, ids = _of_hdf5(path, kept, checksum)
    else:
        raise CellwiseError(f"{path} is no file of features; allowed: .npz, .h5, .hdf5")
    if stored.dtype not in (np.float16, np.float32) or stored.ndim not in (2, 3, 4):
        raise CellwiseError(
            f"{path}: features are {stored.dtype} {stored.shape}; they must be float16 or float32, (images, features), "
            "(images, regions, features) or (images, height, width, features)"
        )
    if ids.shape != (len(stored),):
        raise CellwiseError(f"{path}: {len(stored):,} images have features, but image_ids are {ids.shape}")
    names = [each.decode() if isinstance(each, bytes) else str(each) for each in ids.tolist()]
    rows = {name: row for row, name in enumerate(names)}
    if len(rows) < len(names):
        twice = next(name for row, name in enumerate(names) if rows[name] != row)
        raise CellwiseError(f"{path}: image {twice} is there twice; which features are its own can't be told")
    return RegionImages(stored.reshape(len(stored), -1, stored.shape[-1]), rows, checksum)


def _of_npz(path: Path, kept: Path, checksum: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            features = _named(path, _FEATURES, [member.removesuffix(".npy") for member in members])
            ids = _named(path, _IDS, [member.removesuffix(".npy") for member in members])
            with archive.open(f"{ids}.npy") as opened:
                found = np.lib.format.read_array(opened, allow_pickle=False)
            info = archive.getinfo(f"{features}.npy")
            if info.compress_type == zipfile.ZIP_STORED:
                return _mapped_member(path, info), found
            with archive.open(info) as opened, _unpacking(kept, checksum) as (place, out):
                if out is not None:
                    shutil.copyfileobj(opened, out, 1 << 22)
            return np.load(place, mmap_mode="r", allow_pickle=False), found
    except (OSError, zipfile.BadZipFile, ValueError, EOFError) as error:
        raise CellwiseError(f"{path} cannot be read as npz ({error})") from error


def _mapped_member(path: Path, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Return an array that lies uncompressed inside a zip."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(_LOCAL_HEADER_BYTES)
        # Name and extra field are as long as the member's own header says; the directory's may differ.
        file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), os.SEEK_CUR)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if fortran or dtype.hasobject:
            raise ValueError("features must be numbers in C order")
        return np.memmap(path, dtype, "r", file.tell(), shape)


def _of_hdf5(path: Path, kept: Path, checksum: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    try:
        import h5py
    except ImportError as error:
        raise CellwiseError(f"{path} needs h5py; type `pip install 'cellwise[vqa]'`, or give an npz file") from error
    try:
        with h5py.File(path, "r") as file:
            features, ids = (file[_named(path, names, list(file))] for names in (_FEATURES, _IDS))
            offset = features.id.get_offset()
            if offset is not None:
                return np.memmap(path, features.dtype, "r", offset, features.shape), ids[:]
            with _unpacking(kept, checksum) as (place, out):
                if out is not None:
                    header = {"descr": features.dtype.str, "fortran_order": False, "shape": features.shape}
                    np.lib.format.write_array_header_1_0(out, header)
                    for start in range(0, len(features), _AT_ONCE):
                        out.write(features[start : start + _AT_ONCE].tobytes())
            return np.load(place, mmap_mode="r", allow_pickle=False), ids[:]
    except (OSError, ValueError, KeyError) as error:
        raise CellwiseError(f"{path} cannot be read as HDF5 ({error})") from error


def _named(path: Path, wanted: tuple[str, ...], names: list[str]) -> str:
    for name in wanted:
        if name in names:
            return name
    raise CellwiseError(f"{path} has no {wanted[0]!r}; it has {', '.join(map(repr, sorted(names))) or 'nothing'}")


@contextmanager
def _unpacking(kept: Path, checksum: str) -> Iterator[tuple[Path, IO[bytes] | None]]:
    """Yield where an unpacked array is, and a file to write it into; None where it is there already."""
    place = kept / f"features-{checksum[:32]}.npy"
    if place.is_file():
        yield place, None
        return
    with writing_into(kept), tempfile.NamedTemporaryFile(dir=kept, prefix=f".{place.name}.", delete=False) as out:
        try:
            yield place, out
            out.flush()
            os.fsync(out.fileno())
            os.replace(out.name, place)
        except BaseException:
            os.unlink(out.name)
            raise
