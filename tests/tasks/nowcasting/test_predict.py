"""`cellwise predict` on a made-up radar: which frames it reads, what it forecasts, what it refuses.

Slow where the file itself is written and read: netCDF4 and pyproj come with the extra `nowcasting`.
"""

from __future__ import annotations

import dataclasses
import importlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from cellwise.cli import main
from cellwise.errors import CellwiseError
from cellwise.sweep.compose import compose_config
from cellwise.tasks.nowcasting import predict as predicting
from cellwise.tasks.nowcasting.forecast import Forecast, forecast, lead_steps
from cellwise.tasks.nowcasting.netcdf import as_netcdf
from cellwise.tasks.nowcasting.newest import read_newest
from cellwise.tasks.nowcasting.settings import NowcastingSettings
from cellwise.training.settings import read as read_config
from cellwise.training.train import train
from tests.tasks.nowcasting import made_up
from tests.tasks.nowcasting.test_network import carrying

NEWEST = made_up.every("2020-01-03T10:00", 6)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "radar"
    made_up.write(folder, NEWEST)
    return folder


@pytest.fixture
def run(tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, of radar as its record says: its training data are gone."""
    words = ("data=synthetic_rain", "data.size=16", "data.in_steps=2", "data.lead_steps=3", "cell=gru")
    few = [f"data.{split}_sequences=2" for split in ("train", "valid", "test")]
    small = ("network.hidden_size=2", "trainer.max_steps=1", "trainer.threads=1", f"runs_dir={tmp_path / 'runs'}")
    folder = train(compose_config(["task=nowcasting", *words, *few, *small])).folder
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["data"] = {**vars(made_up.settings(tmp_path / "gone")), "sha256": "0" * 64}
    config["data"] |= {split: list(config["data"][split]) for split in ("train", "valid", "test")}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(predicting, "read_newest", partial(read_newest, read=made_up.read))
    monkeypatch.setattr(predicting, "as_netcdf", lambda *_, **__: b"the file's content")
    return folder


def predict(run: Path, frames: Path, out: Path, *, lead: str = "10min") -> list[str]:
    config = yaml.safe_load((run / "config.yaml").read_text())
    return predicting.predict(run, config, frames, lead, out)


@pytest.mark.parametrize(
    ("lead", "steps"), [("60min", 12), ("1h", 12), ("1.5h", 18), ("5min", 1), (" 10 min", 2), ("2.0h", 24)]
)
def test_a_lead_time_is_so_many_frames(lead: str, steps: int) -> None:
    assert lead_steps(lead, 5) == steps


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        ("60", "--lead 60 is no lead time; give minutes or hours, for example --lead 60min or 1h"),
        ("soon", "--lead soon is no lead time; "),
        ("-5min", "--lead -5min is no lead time; "),
        ("0min", "--lead 0min ends between frames, which are 5 minutes apart; give --lead 5min"),
        ("12min", "--lead 12min ends between frames, which are 5 minutes apart; give --lead 10min or 15min"),
    ],
)
def test_what_is_no_lead_time_is_refused(lead: str, said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        lead_steps(lead, 5)
    assert str(caught.value).startswith(said)


def forecast_by_persistence(frames: Path, steps: int) -> Forecast:
    """Of a network that is persistence by hand, on frames of 41 x 55 pixels, which patches do not divide."""
    data = made_up.settings(frames)
    config = compose_config(["task=nowcasting", "data=synthetic_rain"])
    settings: NowcastingSettings = read_config(config).task
    newest = read_newest(data, frames, made_up.read)
    rain = np.pad(newest.rain_mm_h, ((0, 0), (0, 1), (0, 0)))[..., :-1] / 200  # 50 mm/h or less
    settings = dataclasses.replace(settings, data=data)
    with torch.no_grad():
        return forecast(carrying(0, 0), settings, newest._replace(rain_mm_h=rain.astype(np.float32)), steps)


def test_the_whole_composite_is_forecast_whatever_its_size_and_what_nobody_saw_stays_missing(frames: Path) -> None:
    found = forecast_by_persistence(frames, 4)
    last = found.newest.rain_mm_h[-1]
    assert found.rain_mm_h.shape == (4, 41, 55)
    assert found.lead_minutes == (5, 10, 15, 20)
    assert found.reference == NEWEST[-1]
    assert [f"{time:%H:%M}" for time in found.times] == ["10:30", "10:35", "10:40", "10:45"]
    assert np.isnan(last).any()
    for frame in found.rain_mm_h:
        np.testing.assert_allclose(frame, last, rtol=1e-4)  # NaN where it is NaN


def test_it_writes_a_file_and_a_picture_and_says_so(run: Path, frames: Path, tmp_path: Path) -> None:
    (frames / "202001030927.pgm").write_text("")
    lines = predict(run, frames, tmp_path / "f.nc", lead="30min")
    assert lines == [
        "from 2020-01-03 10:25 UTC (rain): 6 frames, every 5 min up to 30 min",
        "beyond 15 min the run was not trained: read those frames with care",
        f"written: {tmp_path / 'f.nc'}",
        f"written: {tmp_path / 'f.png'}",
    ]
    assert (tmp_path / "f.nc").read_bytes() == b"the file's content"
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_what_it_can_not_do_is_told_in_one_line_and_nothing_is_written(
    run: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gap, there = tmp_path / "gap", tmp_path / "there.nc"
    made_up.write(gap, [NEWEST[0], NEWEST[2]])
    there.write_text("mine")
    out = tmp_path / "f.nc"
    for source, file, said in (
        (tmp_path / "none", out, f"no folder {tmp_path / 'none'}; give one of files of format fmi_pgm with --input"),
        (gap, out, "a forecast from 2020-01-03T10:10, the newest frame in"),
        (frames, tmp_path / "f.png", f"--out {tmp_path / 'f.png'} must be a NetCDF file's name; give --out"),
        (frames, there, f"{there} is there already; give another file with --out, or remove it"),
        (frames, tmp_path / "no" / "f.nc", f"no folder {tmp_path / 'no'} for --out; make it first"),
    ):
        with pytest.raises(CellwiseError) as caught:
            predict(run, source, file)
        assert str(caught.value).startswith(said)
        assert "\n" not in str(caught.value)
    assert not out.exists() and there.read_text() == "mine"
    (run / "summary.json").unlink()
    with pytest.raises(SystemExit) as end:
        main(["predict", str(run), "--input", str(frames), "--lead", "5min", "--out", str(out)])
    assert end.value.code == 2
    assert "is not a finished run" in capsys.readouterr().err


def test_a_run_of_other_data_or_another_task_is_refused(
    run: Path, frames: Path, tmp_path: Path, tiny: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"] = compose_config(["task=nowcasting", "data=synthetic_rain"])["data"]
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(CellwiseError, match="was trained on data=synthetic_rain, not on radar files; give a run of"):
        predict(run, frames, tmp_path / "f.nc")
    language = train(tiny()).folder
    with pytest.raises(SystemExit):
        main(["predict", str(language), "--input", "x", "--lead", "5min", "--out", "y.nc"])
    assert (
        "cellwise predict can't use a run of task=language yet; it can of: nowcasting, vqa" in capsys.readouterr().err
    )


@pytest.mark.slow
def test_the_file_has_the_names_and_units_of_the_cf_conventions(frames: Path, tmp_path: Path) -> None:
    netcdf4: Any = importlib.import_module("netCDF4")
    found = forecast_by_persistence(frames, 3)
    projected = found.newest.grid._replace(projection="+proj=stere +lat_0=90 +lon_0=25 +lat_ts=60 +units=m")
    for grid in (projected, found.newest.grid._replace(projection="")):
        (tmp_path / "f.nc").write_bytes(
            as_netcdf(found._replace(newest=found.newest._replace(grid=grid)), run="r", title="t")
        )
        with netcdf4.Dataset(tmp_path / "f.nc") as file:
            rain = file["rainfall_rate"]
            np.testing.assert_array_equal(rain[:].filled(np.nan), found.rain_mm_h)
            assert (rain.standard_name, rain.units, rain.dimensions) == ("rainfall_rate", "mm h-1", ("time", "y", "x"))
            times = netcdf4.num2date(file["time"][:], file["time"].units, only_use_cftime_datetimes=False)
            assert list(times) == found.times
            assert file["forecast_period"][:].tolist() == [5, 10, 15]
            reference = file["forecast_reference_time"]
            assert netcdf4.num2date(reference[...].item(), reference.units).isoformat() == "2020-01-03T10:25:00"
            if grid.projection:
                assert file["crs"].grid_mapping_name == "polar_stereographic"
                assert (file["x"].standard_name, file["x"].units) == ("projection_x_coordinate", "m")
                assert (file["x"][0], file["y"][0]) == (500.0, 500.0)  # middles: top at 1,000 m
            else:
                assert not hasattr(rain, "grid_mapping") and "crs" not in file.variables
