"""A forecast as a NetCDF file that others can read: names and units of the CF conventions, version 1.10.

NetCDF 4, compressed, by the package netCDF4, which the extra `nowcasting` brings, as it does what radar files are read
with.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from cellwise.tasks.nowcasting.forecast import Forecast
from cellwise.tasks.nowcasting.pysteps import imported, quiet

_EPOCH = "minutes since 1970-01-01 00:00:00"
_METRES = {"m": 1.0, "km": 1000.0}


def as_netcdf(forecast: Forecast, *, run: str, title: str) -> bytes:
    """Return the file's content.

    Args:
        forecast: to write.
        run: which run it is of, for the file's history.
        title: of the file.

    Raises:
        CellwiseError: netCDF4 is not installed.
    """
    netcdf4 = imported("netCDF4", "forecasts are written")
    file = netcdf4.Dataset("forecast.nc", "w", format="NETCDF4", memory=1024)
    file.setncatts(
        {
            "Conventions": "CF-1.10",
            "title": title,
            "source": f"cellwise run {run}, from {forecast.newest.product}",
            "comment": "Missing where nothing was observed in the newest frame.",
        }
    )
    _add_times(file, forecast)
    on = _add_grid(file, forecast)
    height, width = forecast.rain_mm_h.shape[1:]
    rain = file.createVariable(
        "rainfall_rate",
        "f4",
        ("time", "y", "x"),
        zlib=True,
        fill_value=np.float32(np.nan),
        chunksizes=(1, height, width),
    )
    rain.setncatts(
        {
            "standard_name": "rainfall_rate",
            "long_name": "forecast rainfall rate",
            "units": "mm h-1",
            "coordinates": "forecast_period forecast_reference_time",
            **({"grid_mapping": "crs"} if on else {}),
        }
    )
    rain[:] = forecast.rain_mm_h
    return bytes(file.close())


def _add_times(file: Any, forecast: Forecast) -> None:
    file.createDimension("time", len(forecast.lead_minutes))
    time = file.createVariable("time", "f8", ("time",))
    time.setncatts({"standard_name": "time", "units": _EPOCH, "calendar": "standard", "axis": "T"})
    time[:] = [_minutes(each) for each in forecast.times]
    period = file.createVariable("forecast_period", "f8", ("time",))
    period.setncatts({"standard_name": "forecast_period", "long_name": "lead time", "units": "minutes"})
    period[:] = forecast.lead_minutes
    reference = file.createVariable("forecast_reference_time", "f8", ())
    reference.setncatts({"standard_name": "forecast_reference_time", "units": _EPOCH, "calendar": "standard"})
    reference[...] = _minutes(forecast.reference)


def _add_grid(file: Any, forecast: Forecast) -> bool:
    """Add where pixels lie: in metres of the projection where it is known, else their numbers; say which it was."""
    grid = forecast.newest.grid
    height, width = forecast.rain_mm_h.shape[1:]
    known = bool(grid.projection) and all(map(np.isfinite, (grid.left, grid.top, grid.pixel_x, grid.pixel_y)))
    scale = _METRES[grid.unit] if known else 1.0
    for name, count in (("y", height), ("x", width)):
        file.createDimension(name, count)
        axis = file.createVariable(name, "f8", (name,))
        middle = np.arange(count) + 0.5
        if known:
            axis[:] = scale * (grid.left + middle * grid.pixel_x if name == "x" else grid.top - middle * grid.pixel_y)
            axis.setncatts({"standard_name": f"projection_{name}_coordinate", "units": "m", "axis": name.upper()})
        else:
            axis[:] = np.arange(count)
            axis.setncatts({"long_name": f"pixel along {name}", "units": "1", "axis": name.upper()})
    if known:
        pyproj = imported("pyproj", "projections are described")
        with quiet():  # it warns of what CF has no attribute for, and crs_wkt holds
            said = pyproj.CRS.from_user_input(grid.projection).to_cf()
        file.createVariable("crs", "i4", ()).setncatts({**said, "proj4_params": grid.projection})
    return known


def _minutes(time: datetime) -> float:
    return time.replace(tzinfo=UTC).timestamp() / 60
