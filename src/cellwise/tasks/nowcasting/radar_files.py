"""One radar file: its rain in mm/h, its time, and what must be the same in every file of an archive.

How each format is read stands in `radar_formats`. A file's time must be that of its name where the name has one. Rain
rates R come from reflectivity Z by Z = a R^b with the a and b of the radar's owner, or from an accumulation
by its period:

| format | holds | to mm/h |
|---|---|---|
| `fmi_pgm` | dBZ | a = 223, b = 1.53 |
| `mch_gif` | mm in 5 minutes (their a = 316, b = 1.5) | times 12 |
| `knmi_hdf5` | mm in the period of the file (their a = 200, b = 1.6) | times 60 / minutes |
| `odim_hdf5` | mm/h, else mm in the period of the file, else dBZ | as they are; times 60 / minutes; a = 200, b = 1.6 |
| `bom_netcdf` | mm in the period of the file | times 60 / minutes |
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cellwise.data.get import unpacked
from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.data_settings import RadarFormat
from cellwise.tasks.nowcasting.pysteps import imported, quiet
from cellwise.tasks.nowcasting.radar_formats import PURPOSE, READERS, BadFileError

MARSHALL_PALMER = (200.0, 1.6)
_NO_ECHO_DBZ = -30.0  # FMI has -32, pysteps gives ODIM's "undetect" -30

Rain = npt.NDArray[np.float32]


class Grid(NamedTuple):
    """Where pixels lie.

    Attributes:
        projection: a PROJ string; empty where the file has none.
        left: x of the frame's outer edge, in `unit`.
        top: y of the frame's outer edge.
        pixel_x: width of a pixel.
        pixel_y: height of a pixel; the first row is the uppermost.
        unit: "m" or "km".
    """

    projection: str
    left: float
    top: float
    pixel_x: float
    pixel_y: float
    unit: str

    @property
    def pixel_km(self) -> float | None:
        """Width of a pixel in kilometres; None where the file doesn't say it."""
        if not np.isfinite(self.pixel_x):
            return None
        return self.pixel_x / 1000 if self.unit == "m" else self.pixel_x


class Image(NamedTuple):
    """What a file holds.

    Attributes:
        rain_mm_h: float32 (height, width), the first row uppermost; NaN where nothing is known.
        time: in UTC, to the minute, without time zone.
        product: in words; files of one archive have the same.
        grid: where pixels lie.
    """

    rain_mm_h: Rain
    time: datetime
    product: str
    grid: Grid


def files_of(folder: Path, form: RadarFormat) -> list[Path]:
    """Return the files of a format in a folder and all below it, in the order of their paths."""
    endings = tuple(suffix + zipped for suffix in READERS[form].suffixes for zipped in ("", ".gz"))
    return sorted(path for path in folder.rglob("*") if path.name.lower().endswith(endings) and path.is_file())


def read_file(path: Path, form: RadarFormat) -> Image:
    """Return what a file holds.

    Raises:
        BadFileError: it is empty, damaged, of another product, or its name and its content say different times.
        CellwiseError: pysteps, or what it reads the format with, is not installed.
    """
    imported("pysteps.io.importers", PURPOSE)
    reader = READERS[form]
    if path.stat().st_size == 0:
        raise BadFileError("is empty")
    with _plain(path) as plain, quiet():
        try:
            time, minutes = reader.when(plain)
            values, about = reader.pixels(plain)
            rain = _rain_mm_h(np.asarray(values), about, minutes)
            image = Image(rain, time, _product(about, rain), _grid(about))
        except (BadFileError, CellwiseError):
            raise
        except Exception as error:  # whatever four libraries raise for a damaged file
            words = " ".join(str(error).split()) or type(error).__name__
            raise BadFileError(f"can't be read ({words[:120]})") from error
    named = reader.time_of_name(path)
    if named is not None and named != time:
        raise BadFileError(f"is of {time:%Y-%m-%dT%H:%M} inside but of {named:%Y-%m-%dT%H:%M} by its name")
    if np.isnan(rain).all():
        raise BadFileError("has no known pixel")
    return image


@contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """Give the path of an uncompressed copy where the file is gzipped, else of the file itself."""
    if path.suffix != ".gz":
        yield path
        return
    try:
        content = unpacked(path)
    except CellwiseError as error:
        raise BadFileError("can't be uncompressed, it is truncated or damaged") from error
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.name.removesuffix(".gz")
        plain.write_bytes(content)
        yield plain


def _rain_mm_h(values: npt.NDArray[Any], about: dict[str, Any], minutes: float | None) -> Rain:
    """Return values in mm/h; NaN stays NaN."""
    if values.ndim != 2 or not values.size:
        raise BadFileError(f"holds no image but an array of shape {values.shape}")
    unit = about["unit"]
    if unit == "dBZ":
        a, b = about.get("zr_a", MARSHALL_PALMER[0]), about.get("zr_b", MARSHALL_PALMER[1])
        rain = np.where(values <= _NO_ECHO_DBZ, 0, (10 ** (values / 10) / a) ** (1 / b))
        rain[np.isnan(values)] = np.nan  # NaN is not below anything, but 10 ** NaN need not stay one everywhere
    elif unit == "mm":
        if not minutes or minutes < 0:
            raise BadFileError("does not say in which time its rain fell")
        rain = values * (60 / minutes)
    elif unit == "mm/h":
        rain = values
    else:
        raise BadFileError(f"is in {unit}, not in dBZ, mm or mm/h")
    return np.maximum(rain, 0).astype(np.float32)  # NaN stays


def _product(about: dict[str, Any], rain: Rain) -> str:
    size = " x ".join(map(str, rain.shape))
    return ", ".join(filter(None, (about.get("institution"), about.get("product"), about["unit"], f"{size} pixels")))


def _grid(about: dict[str, Any]) -> Grid:
    ends = sorted((float(about["y1"]), float(about["y2"])))
    return Grid(
        str(about.get("projection") or ""),
        min(float(about["x1"]), float(about["x2"])),
        ends[1],
        float(about["xpixelsize"] or np.nan),
        float(about["ypixelsize"] or np.nan),
        "km" if about["cartesian_unit"] == "km" else "m",
    )
