"""One radar file: its rain in mm/h, its time, and what must be the same in every file of an archive.

pysteps reads the pixels. The time is read here, from the file itself, and must be that of its name where the name has
one. Rain rates R come from reflectivity Z by Z = a R^b with the a and b of the radar's owner, or from an accumulation
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

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cellwise.data.get import unpacked
from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.data_settings import RadarFormat
from cellwise.tasks.nowcasting.pysteps import imported, quiet

MARSHALL_PALMER = (200.0, 1.6)
_NO_ECHO_DBZ = -30.0  # FMI has -32, pysteps gives ODIM's "undetect" -30
_PURPOSE = "radar files are read"

Rain = npt.NDArray[np.float32]


class BadFileError(Exception):
    """A file that can't be used: why, in words that follow its name."""


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


@dataclass(frozen=True)
class Reader:
    """How files of a format are found and read.

    Attributes:
        suffixes: of their names, without a ``.gz`` that may follow.
        name_time: a pattern whose first group is the time in a file's name, or what else their owner calls them by.
        name_format: of that time, for `datetime.strptime`.
        pixels: path to values as pysteps's importer gives them, and metadata.
        when: path to the file's time, and the minutes that it accumulates (None: a rate).
    """

    suffixes: tuple[str, ...]
    name_time: str
    name_format: str
    pixels: Callable[[Path], tuple[Any, dict[str, Any]]]
    when: Callable[[Path], tuple[datetime, float | None]]

    def time_of_name(self, path: Path) -> datetime | None:
        """Return the time that a file's name says, None where it says none."""
        found = re.search(self.name_time, path.name)
        try:
            return datetime.strptime(found[1], self.name_format) if found else None
        except ValueError:
            return None


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
    imported("pysteps.io.importers", _PURPOSE)
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


def _fmi(path: Path) -> tuple[Any, dict[str, Any]]:
    values, _, about = imported("pysteps.io.importers", _PURPOSE).import_fmi_pgm(str(path), gzipped=False)
    return values, about


def _fmi_when(path: Path) -> tuple[datetime, None]:
    with path.open("rb") as file:
        header = file.read(4_096)
    found = re.search(rb"# obstime (\d{12})", header)
    if not found:
        raise BadFileError("has no time of observation in its header")
    return datetime.strptime(found[1].decode(), "%Y%m%d%H%M"), None


def _mch(path: Path) -> tuple[Any, dict[str, Any]]:
    product, _ = _mch_header(path)
    importers = imported("pysteps.io.importers", _PURPOSE)
    values, _, about = importers.import_mch_gif(str(path), product, "mm", 5.0)
    return values, about


def _mch_when(path: Path) -> tuple[datetime, float]:
    return _mch_header(path)[1], 5.0


def _mch_header(path: Path) -> tuple[str, datetime]:
    """Return product and time by a GIF's comment, ``PRDT=AQC151351545``: year, day of the year, hour, minute."""
    # A comment is not compressed, and blocks of it are longer than what stands before the time.
    found = re.search(rb"PRDT=([A-Z]{3})(\d{9})", path.read_bytes())
    if not found:
        raise BadFileError("has no product and time in its comment")
    return found[1].decode(), datetime.strptime(found[2].decode(), "%y%j%H%M")


def _knmi(path: Path) -> tuple[Any, dict[str, Any]]:
    values, _, about = imported("pysteps.io.importers", _PURPOSE).import_knmi_hdf5(str(path))
    return values, about


def _knmi_when(path: Path) -> tuple[datetime, float]:
    with imported("h5py", _PURPOSE).File(path, "r") as file:
        overview = file["overview"].attrs
        start, end = (
            datetime.strptime(np.ravel(overview[f"product_datetime_{end}"])[0].decode()[:20], "%d-%b-%Y;%H:%M:%S")
            for end in ("start", "end")
        )
    return end, (end - start) / timedelta(minutes=1)


def _odim(path: Path) -> tuple[Any, dict[str, Any]]:
    importers = imported("pysteps.io.importers", _PURPOSE)
    imported("h5py", _PURPOSE)
    for quantity in ("RATE", "ACRR", "DBZH"):
        try:
            values, _, about = importers.import_odim_hdf5(str(path), qty=quantity)
        except OSError as error:
            if "requested quantity" not in str(error):
                raise
            continue
        return values, {**about, "institution": None, "product": quantity}
    raise BadFileError("holds none of RATE, ACRR and DBZH")


def _odim_when(path: Path) -> tuple[datetime, float | None]:
    with imported("h5py", _PURPOSE).File(path, "r") as file:
        what = {**file["dataset1/what"].attrs} if "dataset1/what" in file else {}
        nominal = _odim_time(file["what"].attrs, "")
        minutes = None
        if "startdate" in what and "enddate" in what:
            minutes = (_odim_time(what, "end") - _odim_time(what, "start")) / timedelta(minutes=1)
    return nominal, minutes


def _odim_time(attributes: Any, which: str) -> datetime:
    date, time = (attributes[which + part] for part in ("date", "time"))
    text = "".join(part.decode() if isinstance(part, bytes) else str(part) for part in (date, time))
    return datetime.strptime(text[:12], "%Y%m%d%H%M")


def _bom(path: Path) -> tuple[Any, dict[str, Any]]:
    imported("netCDF4", _PURPOSE)
    values, _, about = imported("pysteps.io.importers", _PURPOSE).import_bom_rf3(str(path))
    return values, about


def _bom_when(path: Path) -> tuple[datetime, float | None]:
    netcdf = imported("netCDF4", _PURPOSE)
    with netcdf.Dataset(path) as file:
        found = {}
        for name in ("start_time", "valid_time"):
            variable = file.variables[name]
            calendar = getattr(variable, "calendar", "standard")
            moment = np.ravel(netcdf.num2date(variable[:], variable.units, calendar))[0]
            found[name] = datetime(moment.year, moment.month, moment.day, moment.hour, moment.minute)
    return found["valid_time"], (found["valid_time"] - found["start_time"]) / timedelta(minutes=1)


READERS: dict[RadarFormat, Reader] = {
    "fmi_pgm": Reader((".pgm",), r"^(\d{12})", "%Y%m%d%H%M", _fmi, _fmi_when),
    "mch_gif": Reader((".gif",), r"^[A-Z]{3}(\d{9})", "%y%j%H%M", _mch, _mch_when),
    "knmi_hdf5": Reader((".h5", ".hdf5", ".hdf"), r"_(\d{12})\.", "%Y%m%d%H%M", _knmi, _knmi_when),
    "odim_hdf5": Reader((".h5", ".hdf5", ".hdf"), r"(20\d{10})", "%Y%m%d%H%M", _odim, _odim_when),
    "bom_netcdf": Reader((".nc",), r"_(\d{8}_\d{4})\d\d\.", "%Y%m%d_%H%M", _bom, _bom_when),
}
