"""Radar files of five owners, made here and real ones, read with pysteps: rain, time and what is wrong with a file.

Slow where pysteps is needed: the extra `nowcasting` is built from source, and `make test-slow` installs it.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as Picture

from cellwise.tasks.nowcasting.data_settings import Radar, RadarFormat, SyntheticRain
from cellwise.tasks.nowcasting.floors import floors_of, lagrangian, persistence
from cellwise.tasks.nowcasting.frames import Field, batch_of
from cellwise.tasks.nowcasting.metrics import Verification
from cellwise.tasks.nowcasting.metrics.verification import Scored
from cellwise.tasks.nowcasting.motion import optical_flow
from cellwise.tasks.nowcasting.radar import read_radar
from cellwise.tasks.nowcasting.radar_files import Image, files_of, read_file
from cellwise.tasks.nowcasting.radar_formats import READERS, BadFileError
from cellwise.tasks.nowcasting.synthetic_rain import RainCells, draw_rain
from tests.tasks.nowcasting.oracles import golden, pysteps_says

REAL = Path(os.environ.get("CELLWISE_DATA", "nowhere"))
TIME = datetime(2020, 7, 1, 12, 35)
Codes = npt.NDArray[np.uint8]

needs_data = pytest.mark.skipif(not (REAL / "radar-fmi").is_dir(), reason="real radar files may not be redistributed")


def codes(height: int = 12, width: int = 9) -> Codes:
    return np.random.default_rng(1).integers(0, 256, (height, width)).astype(np.uint8)


def fmi(folder: Path, values: Codes) -> Path:
    height, width = values.shape
    header = f"P5\n# composite_area FIN\n# obstime {TIME:%Y%m%d%H%M}\n# metersperpixel_x 999.67\n"
    header += "# metersperpixel_y 999.62\n# projection radar {\n# type stereographic\n# centrallongitude 25\n"
    header += "# centrallatitude 90\n# truelatitude 60\n# bottomleft 18.6 57.93\n# topright 34.903 69.005\n# }\n"
    path = folder / f"{TIME:%Y%m%d%H%M}_fmi.radar.composite.pgm"
    path.write_bytes(header.encode() + f"{width} {height}\n255\n".encode() + values.tobytes())
    return path


def mch(folder: Path, values: Codes) -> Path:
    path = folder / f"AQC{TIME:%y%j%H%M}F_00005.801.gif"
    picture = Picture.fromarray(values, mode="P")
    picture.putpalette([k for k in range(256) for _ in range(3)])
    picture.save(path, comment=f"generated here\nPRDT=AQC{TIME:%y%j%H%M} SCALE=mm".encode(), optimize=False)
    return path


def knmi(folder: Path, values: Codes) -> Path:
    import h5py

    path = folder / f"RAD_NL25_RAP_5min_{TIME:%Y%m%d%H%M}.h5"
    with h5py.File(path, "w") as file:
        stored = values.astype(np.uint16)
        stored[values == 255] = 65_535
        file["image1/image_data"] = stored
        overview = file.create_group("overview").attrs
        overview["product_datetime_start"] = np.array([b"01-JUL-2020;12:30:00.000"])
        overview["product_datetime_end"] = np.array([b"01-JUL-2020;12:35:00.000"])
        place = file.create_group("geographic").attrs
        for name, value in (("column_offset", 0), ("row_offset", 3650), ("number_columns", 9), ("number_rows", 12)):
            place[f"geo_{name}"] = np.array([value], np.float32)
        place["geo_pixel_size_x"], place["geo_pixel_size_y"] = np.array([1.0]), np.array([-1.0])
        place["geo_dim_pixel"] = np.bytes_("KM,KM")
        file.create_group("geographic/map_projection").attrs["projection_proj4_params"] = np.bytes_(
            "+proj=stere +lat_0=90"
        )
    return path


def odim(folder: Path, values: Codes, quantity: str = "RATE") -> Path:
    import h5py

    path = folder / f"T_PASH21_C_EUOC_{TIME:%Y%m%d%H%M}00.hdf"
    with h5py.File(path, "w") as file:
        file.create_group("what").attrs.update(
            {"date": np.bytes_(f"{TIME:%Y%m%d}"), "time": np.bytes_(f"{TIME:%H%M}00")}
        )
        what = {"startdate": "20200701", "starttime": "122000", "enddate": "20200701", "endtime": "123500"}
        file.create_group("dataset1/what").attrs.update({name: np.bytes_(text) for name, text in what.items()})
        file["dataset1/data1/data"] = values
        about = {"gain": 0.5, "offset": 0.0, "nodata": 255.0, "undetect": 0.0, "quantity": np.bytes_(quantity)}
        file.create_group("dataset1/data1/what").attrs.update(about)
        where = file.create_group("where").attrs
        where["projdef"] = np.bytes_("+proj=laea +lat_0=55.0 +lon_0=10.0 +ellps=WGS84")
        where.update(
            {"LL_lat": 50.0, "LL_lon": 5.0, "UR_lat": 55.0, "UR_lon": 12.0, "xscale": 2000.0, "yscale": 2000.0}
        )
    return path


def bom(folder: Path, values: Codes) -> Path:
    import netCDF4

    path = folder / f"2_{TIME:%Y%m%d_%H%M}00.prcp-cscn.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("y", values.shape[0]), ("x", values.shape[1])):
            file.createDimension(name, size)
            axis = file.createVariable(name, "f8", (name,))
            axis[:], axis.units = np.arange(size) + 0.5, "km"
        rain = file.createVariable("precipitation", "f4", ("y", "x"), fill_value=-1.0)
        rain.units = "kg m-2"
        rain[:] = np.where(values == 255, -1.0, values / 10)
        for name, text in (("start_time", "12:25"), ("valid_time", "12:35")):
            moment = file.createVariable(name, "i8")
            moment.units = "seconds since 1970-01-01 00:00:00 UTC"
            moment[...] = int(datetime.fromisoformat(f"2020-07-01T{text}+00:00").timestamp())
        projection = file.createVariable("proj", "i1")
        projection.grid_mapping_name = "albers_conical_equal_area"
        projection.longitude_of_central_meridian, projection.latitude_of_projection_origin = 145.0, -37.0
        projection.standard_parallel = [-18.0, -36.0]
    return path


MADE: dict[RadarFormat, Callable[..., Path]] = {
    "fmi_pgm": fmi,
    "mch_gif": mch,
    "knmi_hdf5": knmi,
    "odim_hdf5": odim,
    "bom_netcdf": bom,
}


def rain_by_hand(form: RadarFormat, values: Codes) -> npt.NDArray[np.float64]:
    """By the table of the owners' formulas, as data/README-like pages give them."""
    v = values.astype(float)
    if form == "fmi_pgm":
        rain = np.where(v <= 4, 0, (10 ** ((v - 64) / 20) / 223) ** (1 / 1.53))  # -30 dBZ and less: no echo
    elif form == "mch_gif":
        rain = 12 * np.where((v < 2) | (v > 250), 0, (10 ** ((v - 71.5) / 20) / 316) ** (1 / 1.5))
    elif form == "knmi_hdf5":
        rain = 12 * v / 100
    elif form == "odim_hdf5":
        rain = v / 2
    else:
        rain = 6 * v / 10
    return np.where(values == 255, np.nan, rain)


@pytest.mark.slow
@pytest.mark.parametrize("form", list(READERS))
@pytest.mark.parametrize("zipped", [False, True])
def test_each_format_gives_its_owners_rain_time_and_grid(form: RadarFormat, zipped: bool, tmp_path: Path) -> None:
    values = codes()
    path = MADE[form](tmp_path, values)
    if zipped:
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    (path,) = files_of(tmp_path, form)
    found = read_file(path, form)
    assert found.time == TIME
    assert found.rain_mm_h.dtype == np.float32
    assert found.rain_mm_h == pytest.approx(rain_by_hand(form, values), rel=1e-5, abs=1e-6, nan_ok=True)
    assert found.grid.pixel_km == pytest.approx(2.0 if form == "odim_hdf5" else 1.0, rel=1e-3)
    assert "12 x 9 pixels" in found.product


@pytest.mark.slow
@pytest.mark.parametrize(
    ("quantity", "rain"), [("ACRR", 4 * 20.0), ("DBZH", (10 ** (20.0 * 2 / 20) / 200) ** (1 / 1.6)), ("TH", None)]
)
def test_odim_is_read_as_what_it_says_it_holds(quantity: str, rain: float | None, tmp_path: Path) -> None:
    path = odim(tmp_path, np.full((3, 4), 40, np.uint8), quantity)  # 20: mm in 15 minutes, or dBZ
    if rain is None:
        with pytest.raises(BadFileError, match="holds none of RATE, ACRR and DBZH"):
            read_file(path, "odim_hdf5")
    else:
        assert read_file(path, "odim_hdf5").rain_mm_h == pytest.approx(np.full((3, 4), rain), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", list(READERS))
def test_what_is_wrong_with_a_file_is_said_in_one_line(form: RadarFormat, tmp_path: Path) -> None:
    path = MADE[form](tmp_path, codes())
    good = path.read_bytes()

    def says(content: bytes, name: str = path.name) -> str:
        here = tmp_path / name
        here.write_bytes(content)
        with pytest.raises(BadFileError) as raised:
            read_file(here, form)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert says(b"") == "is empty"
    assert says(b"no radar file at all, but text" * 20)
    assert says(good[: len(good) // 2])
    assert "truncated or damaged" in says(gzip.compress(good)[:-20], f"{path.name}.gz")
    other = {
        "fmi_pgm": "202007011240",
        "mch_gif": "AQC201831240",
        "odim_hdf5": "x_202007011240",
        "bom_netcdf": "2_20200701_124000.",
    }
    name = f"{other.get(form, 'x_202007011240.')}{READERS[form].suffixes[0]}"
    assert "of 2020-07-01T12:35 inside but of 2020-07-01T12:40 by its name" in says(good, name)
    MADE[form](tmp_path, np.full((12, 9), 255, np.uint8))
    assert says(path.read_bytes()) == "has no known pixel"


def test_files_of_a_format_are_found_below_and_their_names_tell_their_time(tmp_path: Path) -> None:
    names = {
        "fmi_pgm": "201609281600_fmi.radar.composite.lowest_FIN_SUOMI1.pgm.gz",
        "mch_gif": "AQC162720000F_00005.801.gif",
        "knmi_hdf5": "RAD_NL25_RAP_5min_201609281600.h5",
        "odim_hdf5": "T_PAAH21_C_EUOC_20160928160000.hdf",
        "bom_netcdf": "2_20160928_160000.prcp-cscn.nc",
    }
    for name in names.values():
        (tmp_path / "a" / "b").mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / "b" / name).write_text("")
    for form, name in names.items():
        found = files_of(tmp_path, form)  # type: ignore[arg-type]
        assert name in [path.name for path in found]
        time = READERS[form].time_of_name(tmp_path / name)  # type: ignore[index]
        assert time == (datetime(2016, 9, 28) if form == "mch_gif" else datetime(2016, 9, 28, 16))
        assert READERS[form].time_of_name(tmp_path / "radar.pgm") is None  # type: ignore[index]


@pytest.mark.slow
def test_what_was_written_down_is_what_pysteps_says() -> None:
    found, written = pysteps_says(), golden()

    def flat(value: Any) -> list[float]:
        if isinstance(value, dict | list):
            return [n for each in (value.values() if isinstance(value, dict) else value) for n in flat(each)]
        return [float("nan") if value is None else value]

    assert found.keys() == written.keys()
    assert flat(found) == pytest.approx(flat(written), rel=1e-9, nan_ok=True)


@pytest.mark.slow
def test_optical_flow_finds_the_wind_that_rain_was_made_with_and_none_where_it_is_dry() -> None:
    rain = draw_rain(SyntheticRain(size=96, cells=120, lifetime_steps=60.0, in_steps=3, rotation_max=0.005))["train"]
    assert isinstance(rain, RainCells)
    rows = np.arange(4)
    batch = rain[rows]
    seen = batch.seen.squeeze(2).clone()
    seen[:, 3] = 0.0
    found, wind = optical_flow(seen), rain.motion(rows)
    assert (found[:3] - wind[:3]).norm(dim=1).mean() < 0.25 * wind[:3].norm(dim=1).mean()
    assert found[3].count_nonzero() == 0
    errors = {}
    for name, nowcast in (("moved", lagrangian(batch)), ("stayed", persistence(batch))):
        verification = Verification(Scored(rain.field, (), similarity=False, spectrum=False))
        verification.add(nowcast.frames, batch.observed, batch.event)
        errors[name] = verification.by_lead()["csi_2mm_h"][2]
    assert errors["moved"] > errors["stayed"] + 0.1


@pytest.mark.slow
@needs_data
@pytest.mark.parametrize(
    ("event", "csi", "rmse"),
    [
        ("20150515", (0.751, 0.441, 0.351), (1.076, 1.807, 1.979)),
        ("20160711", (0.713, 0.272, 0.133), (1.715, 2.889, 2.995)),
        ("20170131", (0.697, 0.381, 0.325), (0.464, 0.916, 0.962)),
    ],
)
def test_persistence_of_the_swiss_events_scores_what_was_computed_elsewhere(
    event: str, csi: tuple[float, ...], rmse: tuple[float, ...]
) -> None:
    files = files_of(REAL / "radar-mch" / event, "mch_gif")
    rain = torch.from_numpy(np.stack([read_file(path, "mch_gif").rain_mm_h for path in files]))
    for lead, wanted_csi, wanted_rmse in zip((1, 6, 12), csi, rmse, strict=True):
        verification = Verification(Scored(draw_rain(SyntheticRain())["test"].field, (), False, False))
        # One lead time a time; whatever is pooled is pooled.
        verification.add(
            rain[None, :-lead, None], rain[None, lead:, None], torch.zeros(len(rain) - lead, dtype=torch.int64)
        )
        found = verification.pooled()
        assert found["csi_0.5mm_h"] == pytest.approx(wanted_csi, abs=5e-4)
        assert found["rmse_mm_h"] == pytest.approx(wanted_rmse, abs=5e-4)


@pytest.mark.slow
@needs_data
def test_the_finnish_event_scores_what_pysteps_users_know() -> None:
    """CSI at 1 mm/h, 5 to 25 minutes on, from 2016-09-28T15:15; of extrapolation where it has a value."""
    names = [
        REAL / "radar-fmi/20160928" / f"201609281{minute}_fmi.radar.composite.lowest_FIN_SUOMI1.pgm.gz"
        for minute in ("505", "510", "515", "520", "525", "530", "535", "540")
    ]
    images: list[Image] = [read_file(path, "fmi_pgm") for path in names]
    rain = torch.from_numpy(np.stack([image.rain_mm_h for image in images]))[:, None]
    batch = batch_of(rain, 3, torch.zeros(1, dtype=torch.int64), Field("mm/h", (1.0,)))
    found = {}
    for name, nowcast in (("persistence", persistence(batch)), ("lagrangian", lagrangian(batch))):
        verification = Verification(Scored(Field("mm/h", (1.0,)), (), False, False))
        verification.add(nowcast.frames, batch.observed, batch.event, nowcast.inside)
        found[name] = verification.by_lead()["csi_1mm_h"].numpy()
    assert found["persistence"] == pytest.approx([0.491, 0.401, 0.363, 0.341, 0.313], abs=5e-4)
    assert found["lagrangian"] == pytest.approx([0.662, 0.565, 0.512, 0.472, 0.437], abs=3e-3)


@pytest.mark.slow
@needs_data
def test_real_files_become_sequences_with_floors(tmp_path: Path) -> None:
    data = Radar(
        path=str(REAL / "radar-mch"),
        format="mch_gif",
        train=("2015-05-15",),
        valid=("2016-07-1",),
        test=("2017-01-31",),
        downscale=4,
        crop=64,
        cache_dir=str(tmp_path),
    )
    found = read_radar(data, seed=0)
    assert found["train"].remarks[0] == "120 frames of MeteoSwiss, AQC, mm, 640 x 710 pixels, 160 x 177 pixels as used"
    assert found["train"].field.pixel_km == 4.0
    batch = found["test"][np.arange(4)]
    for floor in floors_of(found["test"]).values():
        assert floor(batch).frames.shape == batch.observed.shape
