"""A made-up radar: files that need no library, so that what is done with an archive is tested without pysteps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwise.tasks.nowcasting.data_settings import Radar, RadarFormat
from cellwise.tasks.nowcasting.radar_files import Grid, Image
from cellwise.tasks.nowcasting.radar_formats import BadFileError

GRID = Grid("+proj=stere", 0.0, 1_000.0, 1_000.0, 1_000.0, "m")
HEIGHT, WIDTH = 40, 56


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def every(start: str, count: int, minutes: int = 5) -> list[datetime]:
    return [at(start) + timedelta(minutes=minutes * k) for k in range(count)]


def rain_of(time: datetime) -> npt.NDArray[np.float32]:
    """What the radar saw: in every pixel a number that tells time and place, in a corner nothing."""
    minute = int(time.timestamp() // 60) % 10_000
    rain = (minute + np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) / (HEIGHT * WIDTH)).astype(np.float32)
    rain[:4, :6] = np.nan
    return rain


def write(folder: Path, times: Iterable[datetime]) -> None:
    for time in times:
        day = folder / f"{time:%Y%m%d}"
        day.mkdir(parents=True, exist_ok=True)
        (day / f"{time:%Y%m%d%H%M}.pgm").write_text(f"{time:%Y-%m-%dT%H:%M} rain\n")


def read(path: Path, form: RadarFormat) -> Image:
    """Read such a file: its time and its product; `rain` is the usual one."""
    words = path.read_text().split()
    if len(words) != 2:
        raise BadFileError("is empty" if not words else "can't be read (it is nonsense)")
    time, product = at(words[0]), words[1]
    rain = rain_of(time)
    return Image(rain[:, ::2] if product == "narrow" else rain, time, product, GRID)


def settings(folder: Path, **changes: Any) -> Radar:
    given: dict[str, Any] = dict(
        path=str(folder),
        format="fmi_pgm",
        train=("2020-01-01",),
        valid=("2020-01-02",),
        test=("2020-01-03",),
        in_steps=2,
        lead_steps=3,
        crop=16,
        apart_minutes=0,
        cache_dir=str(folder.parent / "cache"),
    )
    return Radar(**{**given, **changes})
