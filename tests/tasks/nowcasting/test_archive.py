"""Files become one array on disk, once; bad ones are named, and what is there is never taken for something else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting import archive as archives
from cellwise.tasks.nowcasting.archive import averaged, open_archive
from cellwise.tasks.nowcasting.data_settings import RadarFormat, pin_data
from cellwise.tasks.nowcasting.newest import read_newest
from cellwise.tasks.nowcasting.radar_files import Image
from tests.tasks.nowcasting.made_up import at, every, rain_of, read, settings, write

ALL = (slice(None), slice(None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "files", every("2020-01-01T00:00", 6))
    return tmp_path / "files"


def test_frames_lie_in_the_order_of_time_whatever_the_order_of_paths(folder: Path) -> None:
    (folder / "20200101").rename(folder / "z")
    write(folder, [at("2020-01-01T00:30")])
    found = open_archive(settings(folder), read=read)
    assert [str(time) for time in found.times] == [f"2020-01-01T00:{minute:02}" for minute in range(0, 35, 5)]
    rain = found.rain(slice(2, 7), slice(3, 9), slice(2, 11))
    for frame, time in zip(rain, found.times[2:].tolist(), strict=True):
        assert np.array_equal(frame, rain_of(time)[3:9, 2:11], equal_nan=True)
    assert np.array_equal(found.rain(np.array([6, 0]), *ALL)[0], rain_of(at("2020-01-01T00:30")), equal_nan=True)


def test_files_are_read_once_and_again_when_one_has_changed(folder: Path) -> None:
    asked: list[str] = []

    def counting(path: Path, form: RadarFormat) -> Image:
        asked.append(path.name)
        return read(path, form)

    first = open_archive(settings(folder), read=counting)
    assert len(asked) == 6
    assert open_archive(settings(folder), read=counting).place == first.place
    assert len(asked) == 6
    write(folder, [at("2020-01-01T00:30")])
    more = open_archive(settings(folder), read=counting)
    assert (len(more), len(asked)) == (7, 13)
    assert more.sha256 != first.sha256
    assert open_archive(settings(folder, downscale=2), read=counting).place != more.place


def test_bad_files_are_named_skipped_and_counted_or_refused(folder: Path) -> None:
    (folder / "20200101" / "202001010010.pgm").write_text("")
    (folder / "20200101" / "202001010015.pgm").write_text("2020-01-01T00:15 narrow\n")
    (folder / "20200101" / "202001010020.pgm").write_text("2020-01-01T00:05 rain\n")
    (folder / "notes.txt").write_text("not a radar file")
    found = open_archive(settings(folder), read=read)
    assert len(found) == 3
    assert {name.split("/")[-1][8:12]: reason for name, reason in found.skipped} == {
        "0010": "is empty",
        "0015": "is of another product (narrow) than most (rain)",
        "0020": "is of the same time as 20200101/202001010005.pgm",
    }
    assert found.remarks() == [
        "3 frames of rain, 40 x 56 pixels as used",
        "files skipped: 3; 20200101/202001010010.pgm is empty; 20200101/202001010015.pgm is of another product "
        "(narrow) than most (rain); 20200101/202001010020.pgm is of the same time as 20200101/202001010005.pgm",
    ]
    with pytest.raises(
        CellwiseError, match=r"202001010010.pgm is empty; mend or remove it, or type data.bad_files=skip"
    ):
        open_archive(settings(folder, bad_files="refuse"), read=read)


def test_the_most_frequent_product_is_meant_even_where_the_first_file_is_of_another(folder: Path) -> None:
    (folder / "20200101" / "202001010000.pgm").write_text("2020-01-01T00:00 narrow\n")
    found = open_archive(settings(folder), read=read)
    assert (found.product, found.shape, len(found)) == ("rain", (40, 56), 5)
    assert np.array_equal(found.rain(slice(0, 1), *ALL)[0], rain_of(at("2020-01-01T00:05")), equal_nan=True)


def test_what_can_not_be_used_at_all_says_why(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CellwiseError, match=r"no folder .*elsewhere"):
        open_archive(settings(tmp_path / "elsewhere"), read=read)
    with pytest.raises(CellwiseError, match=r"has no files of data.format=mch_gif \(.gif, plain or .gz\)"):
        open_archive(settings(folder, format="mch_gif"), read=read)
    for path in folder.rglob("*.pgm"):
        path.write_text("")
    with pytest.raises(CellwiseError, match=r"none of the 6 files in .* can be used; .*0000.pgm is empty"):
        open_archive(settings(folder), read=read)


def test_a_run_that_is_killed_while_it_writes_leaves_nothing_that_is_taken_for_data(folder: Path) -> None:
    class KilledError(BaseException):
        pass

    def dying(path: Path, form: RadarFormat) -> Image:
        if path.name == "202001010015.pgm":
            raise KilledError
        return read(path, form)

    with pytest.raises(KilledError):
        open_archive(settings(folder), read=dying)
    assert list((folder.parent / "cache").iterdir()) == []
    assert len(open_archive(settings(folder), read=read)) == 6


def test_of_two_runs_that_write_the_same_array_one_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = settings(folder)
    faster = archives._write

    def overtaken(*arguments: object) -> object:
        monkeypatch.setattr(archives, "_write", faster)
        open_archive(inner, read=read)
        return faster(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(archives, "_write", overtaken)
    found = open_archive(inner, read=read)
    assert len(found) == 6
    assert [path.name for path in (folder.parent / "cache").iterdir()] == [found.place.name]


def test_a_cache_that_can_not_be_written_says_what_to_type(folder: Path) -> None:
    with pytest.raises(CellwiseError, match=r"can't write .*; give another folder with data.cache_dir=\.\.\."):
        open_archive(settings(folder, cache_dir=str(folder / "20200101" / "202001010000.pgm")), read=read)


def test_other_files_than_were_planned_are_refused(folder: Path) -> None:
    data = settings(folder)
    plain = {key: getattr(data, key) for key in data.__dataclass_fields__}
    pinned = pin_data(plain)
    assert os.path.isabs(pinned["path"])
    assert pin_data(pinned) == pinned
    assert len(open_archive(settings(folder, sha256=pinned["sha256"]), read=read)) == 6
    write(folder, [at("2020-01-01T00:30")])
    with pytest.raises(CellwiseError, match="are not those that were planned"):
        open_archive(settings(folder, sha256=pinned["sha256"]), read=read)


def test_averages_are_of_rain_where_half_of_a_square_is_known() -> None:
    rain = np.full((5, 7), 4.0, np.float32)
    rain[0, 0], rain[0, 1] = 1.0, np.nan
    rain[2:4, 2:4] = [[np.nan, np.nan], [np.nan, 8.0]]
    rain[2, 0], rain[3, 1] = np.nan, np.nan
    assert averaged(rain, 2) == pytest.approx(np.array([[3, 4, 4], [4, np.nan, 4]]), nan_ok=True)
    assert averaged(rain, 1) is rain


def test_averaging_makes_pixels_larger(folder: Path) -> None:
    found = open_archive(settings(folder, downscale=3), read=read)
    assert (found.shape, found.grid.pixel_km) == ((13, 18), 3.0)


def test_the_newest_frames_are_those_up_to_the_last_that_can_be_used(folder: Path) -> None:
    (folder / "20200101" / "202001010025.pgm").write_text("")
    newest = read_newest(settings(folder, in_steps=3), folder, read)
    assert newest.times == tuple(every("2020-01-01T00:10", 3))
    assert np.array_equal(newest.rain_mm_h[-1], rain_of(at("2020-01-01T00:20")), equal_nan=True)
    assert [name for name, _ in newest.skipped] == ["20200101/202001010025.pgm"]
    with pytest.raises(CellwiseError, match=r"202001010025.pgm is empty; mend or remove it"):
        read_newest(settings(folder, in_steps=3, bad_files="refuse"), folder, read)
    (folder / "20200101" / "202001010010.pgm").unlink()
    with pytest.raises(
        CellwiseError, match=r"from 2020-01-01T00:20, .* needs 3 frames in a row; missing: 2020-01-01T00:10"
    ):
        read_newest(settings(folder, in_steps=3), folder, read)
