"""Sequences of radar: no gap, no split and no event is spanned, and who sees what is a pure function of numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.nowcasting.data_settings import Radar
from cellwise.tasks.nowcasting.frames import Batch
from cellwise.tasks.nowcasting.radar import RadarSequences, events_of, read_radar, split_frames
from cellwise.tasks.nowcasting.radar_files import Image
from tests.tasks.nowcasting.made_up import GRID, HEIGHT, WIDTH, at, every, read, settings, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three days; of the first one frame is missing, the second has a long break."""
    first = every("2020-01-01T10:00", 20)
    write(tmp_path / "files", first[:12] + first[13:])
    write(tmp_path / "files", every("2020-01-02T00:00", 9) + every("2020-01-02T09:00", 9))
    write(tmp_path / "files", every("2020-01-03T23:00", 16))  # into the next day, which is of no split
    return tmp_path / "files"


def sequences(data: Radar, seed: int = 0) -> dict[Split, RadarSequences]:
    found = read_radar(data, seed, read=read)
    return {split: each for split, each in found.items() if isinstance(each, RadarSequences)}


def minutes(batch: Batch) -> list[list[int]]:
    """The time of each frame of each sequence, told by its pixels."""
    whole = torch.cat((batch.seen, batch.observed)).squeeze(2)
    return whole.flatten(2).nan_to_num(nan=torch.inf).min(-1).values.long().T.tolist()


def minute(text: str) -> int:
    return int(at(text).timestamp() // 60) % 10_000


def test_no_sequence_spans_a_missing_frame_a_split_or_an_event(folder: Path) -> None:
    found = sequences(settings(folder, stride=1, eval_stride=1, rain_share=0.0))
    starts = {}
    for split, each in found.items():
        rows = minutes(each[np.arange(len(each))])
        assert all(b - a == 5 for row in rows for a, b in pairwise(row))
        starts[split] = sorted({row[0] for row in rows})
    # 12 frames before the gap give 8 sequences of 5, 7 after it give 3.
    assert starts["train"] == [minute("2020-01-01T10:00") + 5 * k for k in (*range(8), 13, 14, 15)]
    assert starts["valid"] == [minute(f"2020-01-02T{h}:00") + 5 * k for h in ("00", "09") for k in range(5)]
    assert starts["test"] == [minute("2020-01-03T23:00") + 5 * k for k in range(8)]
    assert found["valid"].events == ["2020-01-02T00:00", "2020-01-02T09:00"]
    batch = found["valid"][np.arange(len(found["valid"]))]
    morning = torch.tensor([row[0] >= minute("2020-01-02T09:00") for row in minutes(batch)])
    assert torch.equal(batch.event, morning.long())


def test_a_long_event_is_cut_and_no_sequence_is_of_both_parts(folder: Path) -> None:
    test = sequences(settings(folder, event_minutes=30, eval_stride=1, rain_share=0.0))["test"]
    assert test.events == ["2020-01-03T23:00", "2020-01-03T23:30"]
    rows = minutes(test[np.arange(len(test))])
    assert {row[0] - minute("2020-01-03T23:00") for row in rows} == {0, 5, 30, 35}


def test_a_frame_between_two_that_a_split_does_not_choose_is_not_taken_for_the_next(folder: Path) -> None:
    write(folder, [at("2020-01-01T10:02")])
    chosen = tuple(f"2020-01-01T10:{k:02}" for k in range(0, 60, 5))
    train = sequences(settings(folder, train=chosen, crops=1))["train"]
    assert [row[0] - minute("2020-01-01T10:00") for row in minutes(train[np.arange(len(train))])] == list(
        range(5, 40, 5)
    )


def test_a_split_without_a_whole_sequence_says_what_there_is(folder: Path) -> None:
    with pytest.raises(CellwiseError, match=r"data.test has no 5 frames in a row that are 5 minutes apart; of its 4"):
        read_radar(settings(folder, test=("2020-01-04",)), 0, read=read)
    with pytest.raises(CellwiseError, match=r"data.train has no 5 .* 10 minutes apart; .* 5 minutes apart"):
        read_radar(settings(folder, step_minutes=10), 0, read=read)
    with pytest.raises(CellwiseError, match=r"data.crop=41 is larger than the frames, 40 x 56 pixels"):
        read_radar(settings(folder, crop=41), 0, read=read)
    with pytest.raises(CellwiseError, match=r"data.valid: no frame's time begins with 2021; there are 2020-01-01, "):
        read_radar(settings(folder, valid=("2021",)), 0, read=read)
    with pytest.raises(CellwiseError, match=r"data.train and data.test both choose the frame of 2020-01-01T10:30"):
        read_radar(settings(folder, test=("2020-01-01T10:3",)), 0, read=read)


def test_what_validation_and_test_see_is_always_the_same_and_covers_the_frame_once(folder: Path) -> None:
    first, second = sequences(settings(folder)), sequences(settings(folder), seed=9)
    for split in ("valid", "test"):
        rows = np.arange(len(first[split]))
        assert torch.equal(first[split][rows].seen, second[split][rows].seen)
        assert first[split].sha256() != first["train"].sha256()
        corners, starts = first[split].corners, first[split].starts
        assert corners is not None
        here = {tuple(corner) for corner in corners[starts == starts[0]].tolist()}
        assert here == {(top, left) for top in (4, 20) for left in (4, 20, 36)}  # in the middle of 40 x 56
    assert len(first["test"]) == 6 * 3  # every third of 8 starts


def test_random_crops_are_a_function_of_seed_and_row_and_new_in_the_next_epoch(folder: Path) -> None:
    train = sequences(settings(folder, crops=3))["train"]
    rows = np.arange(len(train))
    assert torch.equal(train[rows].seen, train[rows].seen)
    mixed = train[rows[::-1].copy()]
    assert torch.equal(mixed.seen.flip(1), train[rows].seen)
    later = train[rows + len(train)]
    assert minutes(later) == minutes(train[rows])  # the same hours
    assert not torch.equal(later.seen, train[rows].seen)  # under other crops
    assert not torch.equal(sequences(settings(folder, crops=3), seed=1)["train"][rows].seen, train[rows].seen)
    assert [len(set(map(tuple, minutes(train[rows[k : k + 3]])))) for k in range(0, len(rows), 3)] == [1] * (
        len(rows) // 3
    )
    places = {tuple(corner) for row in range(300) for corner in [train._corner(row, 0)]}
    assert {top for top, _ in places} == set(range(25))  # 40 - 16 + 1: every place, the last one too
    assert {left for _, left in places} == set(range(41))


def half_dry(path: Path, form: str) -> Image:
    """It rains in the right half of every frame only; nothing is known of the lower quarter."""
    image = read(path, "fmi_pgm")
    rain = np.zeros((HEIGHT, WIDTH), np.float32)
    rain[:, WIDTH // 2 :] = 1.0
    rain[30:] = np.nan
    return image._replace(rain_mm_h=rain, grid=GRID)


def test_crops_are_chosen_where_it_rains_when_the_forecast_is_made(folder: Path) -> None:
    found = read_radar(settings(folder, rain_share=0.6), 0, read=half_dry)
    test, train = found["test"], found["train"]
    assert isinstance(test, RadarSequences) and test.corners is not None
    # Of columns 4 to 20, 20 to 36 and 36 to 52 the last alone rains enough, and of rows the upper ones.
    assert {tuple(corner) for corner in test.corners.tolist()} == {(4, 36), (20, 36)}
    seen = train[np.arange(len(train))].seen[-1]
    assert (seen.nan_to_num(nan=0.0) >= 0.1).float().mean((1, 2, 3)).min() >= 0.6
    with pytest.raises(CellwiseError, match=r"data.valid has no crop with rain on data.rain_share=0.999"):
        read_radar(settings(folder, rain_share=0.999, crop=40), 0, read=half_dry)


def test_what_is_missing_is_missing_in_what_was_observed_and_no_rain_in_the_inputs(folder: Path) -> None:
    batch = read_radar(settings(folder, rain_share=0.0), 0, read=half_dry)["test"][np.arange(6)]
    assert batch.inputs.isfinite().all()
    assert batch.inputs[:, 3:, 0, 10:].eq(0).all()
    assert batch.observed[:, 3:, 0, 10:].isnan().all()  # rows 30 and on
    assert not batch.observed[:, :, 0, :10].isnan().any()


def test_the_record_says_of_what_and_of_how_much(folder: Path) -> None:
    (folder / "20200101" / "202001011000.pgm").write_text("")
    found = sequences(settings(folder, eval_stride=1))
    assert found["train"].remarks == [
        "52 frames of rain, 40 x 56 pixels as used",
        "files skipped: 1; 20200101/202001011000.pgm is empty",
        "train: 40 sequences from 18 frames; events with any: 1 of 1 (2020-01-01T10:05)",
    ]
    assert found["valid"].remarks == [
        "valid: 60 sequences from 18 frames; events with any: 2 of 2 (2020-01-02T00:00, 2020-01-02T09:00)"
    ]
    assert (found["train"].field.step_minutes, found["train"].field.pixel_km) == (5.0, 1.0)


START = np.datetime64("2020-01-01T00:00", "m")
clocks = st.lists(st.integers(0, 400), min_size=4, max_size=60, unique=True).map(
    lambda steps: START + 5 * np.sort(np.array(steps)).astype("timedelta64[m]")
)


@given(clocks, st.integers(0, 100))
def test_splits_never_share_a_frame_nor_come_nearer_than_asked(times: np.ndarray, apart: int) -> None:
    texts = [str(time) for time in times]
    splits: dict[Split, list[str]] = {"train": texts[::3], "valid": texts[1::3], "test": texts[2::3]}
    try:
        found = split_frames(times, splits, apart)
    except CellwiseError:
        return  # it left a split empty
    for one, other in combinations(get_args(Split), 2):
        between = np.abs(times[found[one]][:, None] - times[found[other]])
        assert between.min() >= max(apart, 1)
    assert set(found["train"]) == set(range(0, len(times), 3))


@given(clocks, st.integers(5, 300), st.integers(5, 500))
def test_events_end_at_a_long_break_and_after_their_time(times: np.ndarray, gap: int, longest: int) -> None:
    events = events_of(times, gap, longest)
    steps = np.diff(events)
    assert events[0] == 0
    assert set(steps) <= {0, 1}
    assert ((np.diff(times).astype(int) >= gap) <= (steps == 1)).all()
    for event in np.unique(events):
        here = times[events == event]
        assert int((here[-1] - here[0]).astype(int)) < longest
    unbroken = events_of(times, 10_000, 10_000)
    assert (unbroken == 0).all()


def test_settings_change_the_checksum(folder: Path) -> None:
    data = settings(folder)
    sums = {sequences(each)["train"].sha256() for each in (data, replace(data, crop=20), replace(data, stride=2))}
    assert len(sums) == 3
