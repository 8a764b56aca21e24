"""The settings of nowcasting's data, checked without importing torch, and the way from them to the data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cellwise.errors import CellwiseError, unknown
from cellwise.settings import bounded, parse

if TYPE_CHECKING:
    from cellwise.tasks.contract import Split
    from cellwise.tasks.nowcasting.frames import Sequences

RadarFormat = Literal["fmi_pgm", "mch_gif", "knmi_hdf5", "odim_hdf5", "bom_netcdf"]
"""What radar files may be: composites of Finland, Switzerland, the Netherlands and Australia, and OPERA's standard."""


@dataclass(frozen=True)
class MovingDigits:
    """Embedded: 8 x 8 digits, enlarged, that move and bounce; see conf/data/moving_digits.yaml.

    Attributes:
        seed: of everything drawn.
        in_steps: frames that are seen.
        lead_steps: frames that are forecast.
        size: height and width of a frame in pixels.
        digit_size: of a digit's square; None: 28 of 64, as in Moving MNIST.
        digits: of a frame.
        speed_min: slowest step, a share of the free range (size - digit_size).
        speed_max: fastest; the same: all digits are equally fast, as in Moving MNIST.
        train_sequences: of an epoch; later epochs see new ones where the loader is endless.
        valid_sequences: drawn from other digits than train's, as test's are.
        test_sequences: see there.
    """

    name: Literal["moving_digits"] = "moving_digits"
    seed: int = bounded(0, minimum=0)
    in_steps: int = bounded(10, minimum=1)
    lead_steps: int = bounded(10, minimum=1)
    size: int = bounded(64, minimum=16)
    digit_size: int | None = bounded(None, minimum=8)
    digits: int = bounded(2, minimum=1)
    speed_min: float = bounded(0.1, minimum=0, below=1)
    speed_max: float = bounded(0.1, minimum=0, below=1)
    train_sequences: int = bounded(2_000, minimum=1)
    valid_sequences: int = bounded(200, minimum=1)
    test_sequences: int = bounded(500, minimum=1)


@dataclass(frozen=True)
class MovingMnist:
    """MNIST's digits moving, by the protocol of Srivastava et al. 2015; see conf/data/moving_mnist.yaml.

    Train and validation are drawn from MNIST's train digits, of which validation has the last 10,000 to itself; test
    from the t10k digits, or the official 10,000 sequences.

    Attributes:
        official_test: read ``moving-mnist/mnist_test_seq.npy`` of the data folder as the test split (20 frames of 64
            pixels, `test_sequences` of its 10,000 from the first on).
        the others: as those of `MovingDigits`; a digit is 28 pixels wide.
    """

    name: Literal["moving_mnist"] = "moving_mnist"
    seed: int = bounded(0, minimum=0)
    in_steps: int = bounded(10, minimum=1)
    lead_steps: int = bounded(10, minimum=1)
    size: int = bounded(64, minimum=32)
    digits: int = bounded(2, minimum=1)
    speed_min: float = bounded(0.1, minimum=0, below=1)
    speed_max: float = bounded(0.1, minimum=0, below=1)
    official_test: bool = False
    train_sequences: int = bounded(10_000, minimum=1)
    valid_sequences: int = bounded(1_000, minimum=1)
    test_sequences: int = bounded(10_000, minimum=1)


@dataclass(frozen=True)
class SyntheticRain:
    """Embedded: rain cells that move with a known wind, grow and decay; see conf/data/synthetic_rain.yaml.

    Attributes:
        seed: of everything drawn.
        in_steps: frames that are seen.
        lead_steps: frames that are forecast.
        size: height and width of a frame in pixels, a kilometre each.
        step_minutes: from a frame to the next.
        cells: rain cells over the frame and all from where one can reach it.
        speed_max: fastest wind, pixels a step.
        rotation_max: fastest turning of the wind over the frame, radians a step.
        lifetime_steps: mean life of a rain cell; it grows, then decays.
        train_sequences: of an epoch; later epochs see new ones where the loader is endless.
        valid_sequences: of validation.
        test_sequences: of test.
    """

    name: Literal["synthetic_rain"] = "synthetic_rain"
    seed: int = bounded(0, minimum=0)
    in_steps: int = bounded(5, minimum=1)
    lead_steps: int = bounded(12, minimum=1)
    size: int = bounded(64, minimum=16)
    step_minutes: float = bounded(5.0, minimum=0.1)
    cells: int = bounded(40, minimum=1)
    speed_max: float = bounded(3.0, minimum=0, below=100)
    rotation_max: float = bounded(0.01, minimum=0, below=1)
    lifetime_steps: float = bounded(20.0, minimum=1)
    train_sequences: int = bounded(2_000, minimum=1)
    valid_sequences: int = bounded(200, minimum=1)
    test_sequences: int = bounded(500, minimum=1)


@dataclass(frozen=True)
class Radar:
    """A folder of radar files; see conf/data/radar.yaml.

    Files are found in all subfolders, their time is told by the file. Splits are chosen by time: an entry is the
    beginning of a time in UTC, ``2016-07``, ``2016-07-11`` or ``2016-07-11T21:00``.

    Attributes:
        path: of the folder; a relative one is looked for in the data folder first.
        format: of its files.
        train: times of train.
        valid: times of validation.
        test: times of test.
        step_minutes: from a frame to the next; whatever does not fit is a gap, which no sequence spans.
        in_steps: frames that are seen.
        lead_steps: frames that are forecast.
        downscale: average so many pixels a side, in rain rate, before anything else.
        crop: height and width of what is seen and forecast, in pixels after averaging.
        stride: steps from the start of a sequence to that of the next, in train.
        eval_stride: the same in validation and test.
        crops: random crops that train sees of each of its sequences an epoch; validation and test see all crops of a
            fixed grid.
        rain_share: crops whose last input frame has less than this share of pixels with 0.1 mm/h or more are left out
            of every split: chosen by what is known when a forecast is made.
        apart_minutes: frames of validation and test nearer than this to one of train, and of test to one of
            validation, are left out.
        event_gap_minutes: a break as long as this ends an event.
        event_minutes: a longer event is cut after so long.
        bad_files: ``skip`` counts and names them in the record, ``refuse`` ends with the first.
        cache_dir: where frames are kept as they are used; None: the user's cache folder.
        sha256: of the files' content, when it was planned; None: whatever is there.
        redistributable: whether the files' owner allows images of them to be passed on; decides nothing of a run.
    """

    path: str
    format: RadarFormat
    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    name: Literal["radar"] = "radar"
    step_minutes: int = bounded(5, minimum=1)
    in_steps: int = bounded(5, minimum=1)
    lead_steps: int = bounded(12, minimum=1)
    downscale: int = bounded(1, minimum=1)
    crop: int = bounded(128, minimum=16)
    stride: int = bounded(1, minimum=1)
    eval_stride: int = bounded(3, minimum=1)
    crops: int = bounded(4, minimum=1)
    rain_share: float = bounded(0.05, minimum=0, below=1)
    apart_minutes: int = bounded(120, minimum=0)
    event_gap_minutes: int = bounded(360, minimum=1)
    event_minutes: int = bounded(1_440, minimum=1)
    bad_files: Literal["skip", "refuse"] = "skip"
    cache_dir: str | None = None
    sha256: str | None = None
    redistributable: bool = False


DataSettings = MovingDigits | MovingMnist | SyntheticRain | Radar

SOURCES: dict[str, type[DataSettings]] = {
    "moving_digits": MovingDigits,
    "moving_mnist": MovingMnist,
    "synthetic_rain": SyntheticRain,
    "radar": Radar,
}


def read_data(data: Mapping[str, Any]) -> DataSettings:
    """Return the checked settings of a resolved configuration's `data`.

    Raises:
        CellwiseError: an unknown source or key, or a value that is not allowed.
    """
    name = data.get("name")
    if name not in SOURCES:
        raise unknown("data", str(name), SOURCES, "of task=nowcasting")
    settings = parse(SOURCES[name], data, "data")
    if isinstance(settings, MovingDigits | MovingMnist):
        _require_room(settings)
    return settings


def pin_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data's configuration, a folder of radar files with its checksum and its whole path.

    Raises:
        CellwiseError: no such folder, or none of its files is of the format.
    """
    if data.get("name") != "radar" or not data.get("path") or data.get("sha256"):
        return dict(data)
    from cellwise.tasks.nowcasting.archive import found_files

    radar = parse(Radar, data, "data")
    folder, _, checksum = found_files(radar, None)
    # Absolute: a run that is repeated from another folder finds them. Where they lie is no part of what the run is.
    return {**data, "path": os.path.abspath(folder), "sha256": checksum}


def build_sequences(settings: DataSettings, seed: int, data_dir: str | None = None) -> dict[Split, Sequences]:
    """Return the sequences of each split.

    Args:
        settings: as `read_data` gives them.
        seed: of the run, of train's random crops; everything else that is drawn has its own in the settings.
        data_dir: where data sets are looked for; see `cellwise.data.get.data_folder`.

    Raises:
        CellwiseError: data that are missing, altered or too few, or a package that only an extra installs.
    """
    if isinstance(settings, Radar):
        from cellwise.tasks.nowcasting.radar import read_radar

        return read_radar(settings, seed, data_dir)
    if isinstance(settings, SyntheticRain):
        from cellwise.tasks.nowcasting.synthetic_rain import draw_rain

        return draw_rain(settings)
    from cellwise.tasks.nowcasting import moving

    return moving.draw_mnist(settings, data_dir) if isinstance(settings, MovingMnist) else moving.draw_digits(settings)


def _require_room(data: MovingDigits | MovingMnist) -> None:
    if data.speed_max < data.speed_min:
        raise CellwiseError(f"data.speed_max={data.speed_max} is less than data.speed_min={data.speed_min}")
    if isinstance(data, MovingMnist):
        if data.official_test and (data.size, data.in_steps + data.lead_steps, data.digits) != (64, 20, 2):
            raise CellwiseError(
                "data.official_test=true needs data.size=64 data.digits=2 and 20 frames, "
                f"not {data.in_steps + data.lead_steps} (data.in_steps + data.lead_steps)"
            )
        if data.official_test and data.test_sequences > 10_000:
            raise CellwiseError(f"data.test_sequences={data.test_sequences} is more than the official 10000")
    elif data.digit_size is not None and data.digit_size >= data.size:
        raise CellwiseError(f"data.digit_size={data.digit_size} must be less than data.size={data.size}")
