"""A folder of radar files as one array on disk: read once, then mapped, however large.

The array is kept in the user's cache folder under the checksum of all files, so a file that is added, altered or taken
away makes another one. It is written beside its place and moved there whole: a run that is killed leaves nothing that
could be taken for data, and of two runs that write the same one, one wins. Frames lie in the order of the files' paths,
averaged if that was asked for, 4 bytes a pixel.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cellwise.data.cache import cache_folder, made_whole
from cellwise.data.get import data_folder
from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.data_settings import Radar, RadarFormat
from cellwise.tasks.nowcasting.radar_files import Grid, Image, Rain, files_of, read_file
from cellwise.tasks.nowcasting.radar_formats import READERS, BadFileError

Read = Callable[[Path, RadarFormat], Image]
Minutes = npt.NDArray[np.datetime64]

_LAYOUT = 1  # of what is in the cache; another number, another place
_FRAMES, _INDEX = "frames.float32", "index.json"
_NAMED_FILES = 3  # of those that were skipped, in a remark


class Skipped(NamedTuple):
    """A file that is not used, and why, in words that follow its name."""

    name: str
    reason: str


@dataclass(frozen=True)
class Archive:
    """The frames of a folder, in the order of time.

    Attributes:
        place: the folder in the cache.
        times: datetime64[m] (frames,), ascending, no two the same.
        numbers: int64 (frames,), where each frame lies in the file.
        shape: height and width.
        product: in words.
        grid: where pixels lie.
        skipped: files that are not used.
        sha256: of the files that were found.
    """

    place: Path
    times: Minutes
    numbers: npt.NDArray[np.int64]
    shape: tuple[int, int]
    product: str
    grid: Grid
    skipped: tuple[Skipped, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.times)

    def rain(self, frames: slice | npt.NDArray[np.int64], rows: slice, columns: slice) -> Rain:
        """Return a copy of a part of some frames, float32 (frames, rows, columns) in mm/h, NaN where missing."""
        # Mapped anew each time: a map that stays counts every page it ever touched as memory of the process.
        stored = np.memmap(self.place / _FRAMES, np.float32, mode="r", shape=(len(self), *self.shape))
        wanted = self.numbers[frames]
        found = np.empty((len(wanted), *stored[0, rows, columns].shape), dtype=np.float32)
        for frame, number in zip(found, wanted, strict=True):
            frame[...] = stored[number, rows, columns]
        return found

    def remarks(self) -> list[str]:
        """Return what the record must say of the archive."""
        found = [f"{len(self):,} frames of {self.product}, {self.shape[0]} x {self.shape[1]} pixels as used"]
        if self.skipped:
            named = "; ".join(f"{name} {reason}" for name, reason in self.skipped[:_NAMED_FILES])
            more = f"; and {len(self.skipped) - _NAMED_FILES} more" if len(self.skipped) > _NAMED_FILES else ""
            found.append(f"files skipped: {len(self.skipped):,}; {named}{more}")
        return found


def open_archive(data: Radar, data_dir: str | None = None, read: Read = read_file) -> Archive:
    """Return the frames of a folder, read from its files the first time and from the cache from then on.

    Args:
        data: the folder, its format, how much to average, what to do with bad files, where the cache is.
        data_dir: where a relative folder is looked for first; see `cellwise.data.get.data_folder`.
        read: reads one file.

    Raises:
        CellwiseError: no such folder, no files of the format, a bad file where none is allowed, none that is good,
            other files than were planned, a missing package, a cache that can't be written.
    """
    folder, files, checksum = found_files(data, data_dir)
    if data.sha256 is not None and data.sha256 != checksum:
        raise CellwiseError(
            f"the radar files in {folder} are not those that were planned: sha256 {checksum}, planned {data.sha256}; "
            "restore them, or leave data.sha256 out for a new run"
        )
    kept = hashlib.sha256(f"{_LAYOUT} {data.format} {data.downscale} {checksum}".encode()).hexdigest()
    place = cache_folder(data.cache_dir, "radar") / kept[:32]
    if not (place / _INDEX).is_file():
        _keep(place, folder, files, data, read)
    archive = _opened(place, checksum)
    if data.bad_files == "refuse" and archive.skipped:
        name, reason = archive.skipped[0]
        raise CellwiseError(f"{folder / name} {reason}; mend or remove it, or type data.bad_files=skip")
    if not len(archive):
        name, reason = archive.skipped[0]
        raise CellwiseError(f"none of the {len(files):,} files in {folder} can be used; {name} {reason}")
    return archive


def found_files(data: Radar, data_dir: str | None) -> tuple[Path, list[Path], str]:
    """Return where the files of an archive are, in the order of their paths, and the checksum of all.

    Raises:
        CellwiseError: no such folder, or none of its files is of the format.
    """
    folder = folder_of(data.path, data_dir)
    files = files_of(folder, data.format)
    if not files:
        endings = ", ".join(READERS[data.format].suffixes)
        raise CellwiseError(f"{folder} has no files of data.format={data.format} ({endings}, plain or .gz)")
    return folder, files, checksum_of(folder, files)


def folder_of(path: str, data_dir: str | None) -> Path:
    """Return the folder of a path: relative to the data folder if it is there, else as it is.

    Raises:
        CellwiseError: it is in neither place.
    """
    own = Path(path).expanduser()
    known = data_folder(data_dir) / own
    for folder in (known, own):
        if folder.is_dir():
            return folder
    raise CellwiseError(f"no folder {own}" + ("" if own.is_absolute() else f", nor {known}") + "; give data.path=...")


def checksum_of(folder: Path, files: Iterable[Path]) -> str:
    """Return the checksum of files as they lie there, and of their names below the folder.

    Raises:
        CellwiseError: one can't be read.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CellwiseError(f"cannot read {path}: {error.strerror or error}") from error
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def averaged(rain: Rain, side: int) -> Rain:
    """Return means over squares of side x side pixels, in rain rate; rows and columns that make no square are cut off.

    A square is missing where more than half of its pixels are; what is known of the others stands for all.
    """
    if side == 1:
        return rain
    rows, columns = (size // side for size in rain.shape)
    squares = rain[: rows * side, : columns * side].reshape(rows, side, columns, side)
    known = ~np.isnan(squares)
    number = known.sum((1, 3))
    total = np.where(known, squares, 0).sum((1, 3), dtype=np.float64)
    mean = np.full(total.shape, np.nan)
    np.divide(total, number, out=mean, where=2 * number >= side * side)
    return mean.astype(np.float32)


def coarser(grid: Grid, side: int) -> Grid:
    """Return where pixels lie once squares of side x side have been averaged."""
    return grid._replace(pixel_x=grid.pixel_x * side, pixel_y=grid.pixel_y * side)


def _keep(place: Path, folder: Path, files: Sequence[Path], data: Radar, read: Read) -> None:
    """Read all files into the cache."""
    with made_whole(place, _INDEX) as made:
        index = _write(made / _FRAMES, folder, files, data, read, None)
        # Of mixed products the most frequent is meant; the first file may be the stranger.
        if index["products"] and (meant := max(index["products"], key=index["products"].get)) != index["product"]:
            index = _write(made / _FRAMES, folder, files, data, read, meant)
        (made / _INDEX).write_text(json.dumps(index, indent=1))


def _write(
    path: Path, folder: Path, files: Sequence[Path], data: Radar, read: Read, product: str | None
) -> dict[str, Any]:
    """Write the frames of one product, one after the other, and return what there is to know of them."""
    times: dict[datetime, str] = {}
    skipped: list[Skipped] = []
    products: Counter[str] = Counter()
    first: Image | None = None
    with path.open("wb") as out:
        for file in files:
            name = file.relative_to(folder).as_posix()
            try:
                image = read(file, data.format)
                products[image.product] += 1
                product = product or image.product
                if image.product != product:
                    raise BadFileError(f"is of another product ({image.product}) than most ({product})")
                if image.time in times:
                    raise BadFileError(f"is of the same time as {times[image.time]}")
            except BadFileError as bad:
                skipped.append(Skipped(name, str(bad)))
                continue
            times[image.time] = name
            rain = averaged(image.rain_mm_h, data.downscale)
            first = first or image._replace(rain_mm_h=rain)
            out.write(rain.tobytes())
        out.flush()
        os.fsync(out.fileno())
    return {
        "times": [time.isoformat(timespec="minutes") for time in times],
        "shape": first.rain_mm_h.shape if first else (0, 0),
        "product": product,
        "products": products,
        "grid": coarser(first.grid, data.downscale) if first else None,
        "skipped": skipped,
    }


def _opened(place: Path, checksum: str) -> Archive:
    index = json.loads((place / _INDEX).read_text())
    times = np.array(index["times"], dtype="datetime64[m]")
    order = np.argsort(times)
    height, width = index["shape"]
    return Archive(
        place,
        times[order],
        order.astype(np.int64),
        (height, width),
        index["product"] or "",
        Grid(*index["grid"]) if index["grid"] else Grid("", 0.0, 0.0, 1.0, 1.0, "m"),
        tuple(Skipped(*each) for each in index["skipped"]),
        checksum,
    )
