"""The formats of radar files: how each is found, and how its pixels and its time are read.

pysteps reads the pixels. The time is read here, from the file itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from cellwise.tasks.nowcasting.data_settings import RadarFormat
from cellwise.tasks.nowcasting.pysteps import imported

PURPOSE = "radar files are read"


class BadFileError(Exception):
    """A file that can't be used: why, in words that follow its name."""


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


def _fmi(path: Path) -> tuple[Any, dict[str, Any]]:
    values, _, about = imported("pysteps.io.importers", PURPOSE).import_fmi_pgm(str(path), gzipped=False)
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
    importers = imported("pysteps.io.importers", PURPOSE)
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
    values, _, about = imported("pysteps.io.importers", PURPOSE).import_knmi_hdf5(str(path))
    return values, about


def _knmi_when(path: Path) -> tuple[datetime, float]:
    with imported("h5py", PURPOSE).File(path, "r") as file:
        overview = file["overview"].attrs
        start, end = (
            datetime.strptime(np.ravel(overview[f"product_datetime_{end}"])[0].decode()[:20], "%d-%b-%Y;%H:%M:%S")
            for end in ("start", "end")
        )
    return end, (end - start) / timedelta(minutes=1)


def _odim(path: Path) -> tuple[Any, dict[str, Any]]:
    importers = imported("pysteps.io.importers", PURPOSE)
    imported("h5py", PURPOSE)
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
    with imported("h5py", PURPOSE).File(path, "r") as file:
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
    imported("netCDF4", PURPOSE)
    values, _, about = imported("pysteps.io.importers", PURPOSE).import_bom_rf3(str(path))
    return values, about


def _bom_when(path: Path) -> tuple[datetime, float | None]:
    netcdf = imported("netCDF4", PURPOSE)
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
