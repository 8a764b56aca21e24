"""The newest frames of a folder of radar files, to forecast from."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.archive import Read, Skipped, averaged, coarser
from cellwise.tasks.nowcasting.data_settings import Radar
from cellwise.tasks.nowcasting.radar_files import Grid, Image, Rain, files_of, read_file
from cellwise.tasks.nowcasting.radar_formats import READERS, BadFileError


class Newest(NamedTuple):
    """Frames that follow each other.

    Attributes:
        rain_mm_h: float32 (in_steps, height, width), averaged as in training, NaN where missing.
        times: of the frames, UTC, ascending.
        product: in words.
        grid: where pixels lie.
        skipped: files among the newest that could not be used.
    """

    rain_mm_h: Rain
    times: tuple[datetime, ...]
    product: str
    grid: Grid
    skipped: tuple[Skipped, ...]


def read_newest(data: Radar, folder: Path, read: Read = read_file) -> Newest:
    """Return the newest frames of a folder, as many as a network sees.

    Args:
        data: the settings of the run: format, step, frames, averaging, what to do with bad files.
        folder: of the files; those below it count too.
        read: reads one file.

    Raises:
        CellwiseError: no files, a bad one where none is allowed, or no unbroken row of frames up to the newest.
    """
    files = files_of(folder, data.format)
    if not files:
        raise CellwiseError(f"{folder} has no files of format {data.format}")
    found: dict[datetime, Image] = {}
    skipped: list[Skipped] = []
    needed: list[datetime] = []
    for path in _newest_first(files, data):
        try:
            image = read(path, data.format)
            if found and image.product != next(iter(found.values())).product:
                raise BadFileError(f"is of another product ({image.product}) than newer ones")
            if image.time in found:
                raise BadFileError("is of the same time as another file")
        except BadFileError as bad:
            if data.bad_files == "refuse":
                raise CellwiseError(f"{path} {bad}; mend or remove it") from bad
            skipped.append(Skipped(path.relative_to(folder).as_posix(), str(bad)))
            continue
        found[image.time] = image._replace(rain_mm_h=averaged(image.rain_mm_h, data.downscale))
        newest = max(found)
        needed = [newest - timedelta(minutes=data.step_minutes) * back for back in reversed(range(data.in_steps))]
        if all(time in found for time in needed):
            frames = [found[time] for time in needed]
            rain = np.stack([frame.rain_mm_h for frame in frames])
            return Newest(
                rain, tuple(needed), frames[-1].product, coarser(frames[-1].grid, data.downscale), tuple(skipped)
            )
        if image.time < needed[0]:
            break
    raise CellwiseError(_broken(folder, needed, found, skipped))


def _newest_first(files: list[Path], data: Radar) -> Iterator[Path]:
    """Yield files by the time of their names where all have one, else by their names: in both, the newest first."""
    times = {path: READERS[data.format].time_of_name(path) for path in files}
    named = all(times.values())
    return iter(sorted(files, key=lambda p: (times[p] if named else datetime.min, p.name), reverse=True))


def _broken(folder: Path, needed: list[datetime], found: dict[datetime, Image], skipped: list[Skipped]) -> str:
    also = f"; skipped: {skipped[0].name} {skipped[0].reason}" if skipped else ""
    if not needed:
        return f"no file in {folder} can be used{also}"
    missing = ", ".join(f"{time:%Y-%m-%dT%H:%M}" for time in needed if time not in found)
    return (
        f"a forecast from {needed[-1]:%Y-%m-%dT%H:%M}, the newest frame in {folder}, needs {len(needed)} frames in a "
        f"row; missing: {missing}{also}"
    )
