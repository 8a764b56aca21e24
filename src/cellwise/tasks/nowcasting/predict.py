"""`cellwise predict RUN --input FOLDER --lead 60min --out FILE.nc`: a forecast of a radar's newest frames, as a file.

Beside the NetCDF file a PNG of the same name shows the newest frame and the forecast.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records.identity import called
from cellwise.records.mirrors.pictures import as_png, draw_strip
from cellwise.records.schema import Axis, Filmstrip
from cellwise.tasks.nowcasting.data_settings import Radar
from cellwise.tasks.nowcasting.forecast import Forecast, forecast, lead_steps, require_radar
from cellwise.tasks.nowcasting.netcdf import as_netcdf
from cellwise.tasks.nowcasting.network import Forecaster, build_network
from cellwise.tasks.nowcasting.newest import read_newest
from cellwise.tasks.nowcasting.settings import NowcastingSettings, frame_size
from cellwise.tasks.nowcasting.views import RAIN_LEVELS_MM_H
from cellwise.training.trained import load_network, read_settings

OPTIONS = ("--input", "--lead", "--out")
"""What `cellwise predict` must be given for a run of this task, in the order of `predict`'s arguments."""

_MOST_SHOWN = 6  # lead times in the picture


def predict(run: Path, config: Mapping[str, Any], source: Path, lead: str, out: Path) -> list[str]:
    """Write a forecast; return what to tell the user.

    Args:
        run: a finished run's folder.
        config: its own.
        source: the folder of radar files whose newest are forecast from.
        lead: how far, `60min` or `1h`.
        out: the NetCDF file, which must not be there yet.

    Raises:
        CellwiseError: a run that is not finished or of other data, a folder without enough frames in a row, a lead time
            that is no multiple of the step, a file that is there or can't be written.
    """
    settings: NowcastingSettings = (of_run := read_settings(run, config)).task
    data = require_radar(settings)
    steps = lead_steps(lead, data.step_minutes)
    picture = out.with_suffix(".png")
    _require_room(out, picture)
    if not source.is_dir():
        raise CellwiseError(f"no folder {source}; give one of files of format {data.format} with --input")
    newest = read_newest(data, source)

    def make(cell: Cell, engine: str) -> Forecaster:
        sizes = {"frame": frame_size(data), "in_steps": data.in_steps, "lead": data.lead_steps}
        return build_network(cell, settings.network, engine=engine, **sizes)

    found = forecast(load_network(run, of_run, make), settings, newest, steps)
    title = f"Forecast of rain by {called(config)} from {found.reference:%Y-%m-%d %H:%M} UTC"
    try:
        write_atomically(out, as_netcdf(found, run=f"{run.parent.name}/{run.name}", title=title))
        write_atomically(picture, as_png(draw_strip(_strip(found, title))))
    except OSError as error:
        raise CellwiseError(f"can't write {error.filename}: {error.strerror}; give another file with --out") from error
    return _said(found, data, out, picture)


def _require_room(out: Path, picture: Path) -> None:
    if out.suffix != ".nc":
        raise CellwiseError(f"--out {out} must be a NetCDF file's name; give --out {out.with_suffix('.nc')}")
    if not out.absolute().parent.is_dir():
        raise CellwiseError(f"no folder {out.parent} for --out; make it first")
    for path in (out, picture):
        if path.exists():
            raise CellwiseError(f"{path} is there already; give another file with --out, or remove it")


def _strip(found: Forecast, title: str) -> Filmstrip:
    """The newest frame, and at most so many of the forecast, the last one among them."""
    shown = np.unique(np.linspace(0, len(found.lead_minutes) - 1, _MOST_SHOWN).round().astype(int))
    frames = np.concatenate([found.newest.rain_mm_h[-1:], found.rain_mm_h[shown]])
    return Filmstrip(
        name="forecast",
        title=title,
        question="0 min: observed. Grey: nothing is known there.",
        time=Axis("lead time", "min"),
        value=Axis("rain", "mm/h"),
        times=np.array([0, *(found.lead_minutes[step] for step in shown)]),
        rows=("rain",),
        frames=frames[None],
        levels=RAIN_LEVELS_MM_H,
    )


def _said(found: Forecast, data: Radar, out: Path, picture: Path) -> list[str]:
    count, furthest = len(found.lead_minutes), found.lead_minutes[-1]
    lines = [
        f"from {found.reference:%Y-%m-%d %H:%M} UTC ({found.newest.product}): {count} frames, every "
        f"{data.step_minutes} min up to {furthest} min"
    ]
    trained = data.lead_steps * data.step_minutes
    if furthest > trained:
        lines.append(f"beyond {trained} min the run was not trained: read those frames with care")
    lines += [f"left out: {name} {reason}" for name, reason in found.newest.skipped]
    return [*lines, f"written: {out}", f"written: {picture}"]
