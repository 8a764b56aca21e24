"""Sequences cut out of a radar archive: splits by time, independent events, crops.

A sequence never spans a gap, a split or an event. Validation and test see the same crops of the same hours always;
train sees each of its hours under random crops that are a pure function of (seed, row), new ones every epoch where the
loader is endless.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
import torch

from cellwise.data.shuffled import Rows
from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.nowcasting.archive import Archive, Minutes, Read, open_archive
from cellwise.tasks.nowcasting.data_settings import Radar
from cellwise.tasks.nowcasting.draws import Draws
from cellwise.tasks.nowcasting.frames import RAIN_THRESHOLDS_MM_H, Batch, Field, Sequences, batch_of
from cellwise.tasks.nowcasting.radar_files import Rain, read_file

RAINING_MM_H = 0.1
"""What counts as rain when crops are chosen."""

_PLACES_TRIED = 16  # for a random crop with enough rain
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RadarSequences:
    """The sequences of one split; implements `Sequences`.

    Attributes:
        archive: the frames.
        data: lengths and the size of a crop.
        starts: int64 (sequences,), the first frame of each in the order of time.
        event: int64 (sequences,), which event it is of.
        corners: int64 (sequences, 2), the upper left pixel of each crop; None: random crops.
        draws: the random numbers of a row.
        field: rain in mm/h.
        events: names of the events, the time of their first frame.
        remarks: for the record.
    """

    archive: Archive
    data: Radar
    starts: Numbers
    event: Numbers
    corners: Numbers | None
    draws: Draws
    field: Field
    events: Sequence[str]
    remarks: Sequence[str]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: Rows) -> Batch:
        """Return sequences by number."""
        steps = self.data.in_steps + self.data.lead_steps
        found = np.empty((steps, len(rows), self.data.crop, self.data.crop), dtype=np.float32)
        for column, row in enumerate(rows):
            start = int(self.starts[row % len(self)])
            top, left = self._corner(int(row), start) if self.corners is None else self.corners[row]
            found[:, column] = self._crop(slice(start, start + steps), int(top), int(left))
        event = torch.from_numpy(self.event[rows % len(self)])
        return batch_of(torch.from_numpy(found), self.data.in_steps, event, self.field)

    def sha256(self) -> str:
        """Return the checksum of the files and of what is cut out of them."""
        # Not where the files lie, nor who may see them; of the run's seed where crops are drawn with it.
        data = dataclasses.replace(self.data, path="", cache_dir=None, sha256=None, redistributable=False)
        drawn = self.draws if self.corners is None else ""
        digest = hashlib.sha256(f"{self.archive.sha256} {data} {drawn}".encode())
        for array in (self.starts, self.event, *(() if self.corners is None else (self.corners,))):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _crop(self, frames: slice, top: int, left: int) -> Rain:
        side = self.data.crop
        return self.archive.rain(frames, slice(top, top + side), slice(left, left + side))

    def _corner(self, row: int, start: int) -> tuple[int, int]:
        """Return the first of some random places where it rains enough in the last frame seen, else the wettest."""
        stream, last = self.draws.row(row), start + self.data.in_steps - 1
        free = np.array(self.archive.shape) - self.data.crop + 1
        wettest, most = (0, 0), -1.0
        for place in (stream.random((_PLACES_TRIED, 2)) * free).astype(np.int64):
            corner = int(place[0]), int(place[1])
            share = float(raining(self._crop(slice(last, last + 1), *corner)).mean())
            if share >= self.data.rain_share:
                return corner
            if share > most:
                wettest, most = corner, share
        return wettest


def read_radar(data: Radar, seed: int, data_dir: str | None = None, read: Read = read_file) -> dict[Split, Sequences]:
    """Return the sequences of each split.

    Args:
        data: the folder, its splits, and how sequences are cut out of it.
        seed: of train's random crops.
        data_dir: where a relative folder is looked for first.
        read: reads one file.

    Raises:
        CellwiseError: as `open_archive`; frames that are smaller than a crop; a split that chooses no frames, frames of
            another split, or none with a whole sequence or with enough rain.
    """
    archive = open_archive(data, data_dir, read)
    if data.crop > min(archive.shape):
        raise CellwiseError(
            f"data.crop={data.crop} is larger than the frames, {archive.shape[0]} x {archive.shape[1]} pixels"
            + (f" after data.downscale={data.downscale}" if data.downscale > 1 else "")
        )
    field = Field("mm/h", RAIN_THRESHOLDS_MM_H, step_minutes=float(data.step_minutes), pixel_km=archive.grid.pixel_km)
    chosen = split_frames(archive.times, {s: getattr(data, s) for s in get_args(Split)}, data.apart_minutes)
    return {split: _cut(archive, data, split, chosen[split], seed, field) for split in get_args(Split)}


def raining(rain_mm_h: Rain) -> npt.NDArray[np.bool_]:
    """Return where it rains; where nothing is known it doesn't."""
    with np.errstate(invalid="ignore"):
        return rain_mm_h >= RAINING_MM_H


def split_frames(times: Minutes, splits: Mapping[Split, Sequence[str]], apart_minutes: int) -> dict[Split, Numbers]:
    """Return the frames of each split, int64, ascending.

    Args:
        times: of all frames, ascending.
        splits: beginnings of times, by split.
        apart_minutes: frames nearer than this to one of a split before are left out.

    Raises:
        CellwiseError: a beginning that no time has, a frame that two splits ask for, a split that is left empty.
    """
    texts = np.array([str(time) for time in times])
    asked: dict[Split, npt.NDArray[np.bool_]] = {}
    for split, beginnings in splits.items():
        asked[split] = np.zeros(len(times), dtype=np.bool_)
        for beginning in beginnings:
            here = np.char.startswith(texts, beginning)
            if not here.any():
                raise CellwiseError(f"data.{split}: no frame's time begins with {beginning}; there are {_days(texts)}")
            asked[split] |= here
        for other, theirs in asked.items():
            if other != split and (both := asked[split] & theirs).any():
                raise CellwiseError(
                    f"data.{other} and data.{split} both choose the frame of {texts[both][0]}; splits may not overlap"
                )
    found, before = {}, np.zeros(0, dtype="datetime64[m]")
    for split, here in asked.items():
        numbers = np.flatnonzero(here)
        numbers = numbers[_distance(times[numbers], before) >= np.timedelta64(apart_minutes, "m")]
        if not len(numbers):
            raise CellwiseError(
                f"data.{split} chooses no frame that is data.apart_minutes={apart_minutes} from all of the splits "
                f"before it; there are {_days(texts)}"
            )
        found[split], before = numbers, np.sort(np.concatenate((before, times[numbers])))
    return found


def events_of(times: Minutes, gap_minutes: int, longest_minutes: int) -> Numbers:
    """Return the number of the event that each frame is of, int64: from 0, one more after a gap and after so long."""
    numbers = np.zeros(len(times), dtype=np.int64)
    start = times[0]
    for k in range(1, len(times)):
        new = times[k] - times[k - 1] >= np.timedelta64(gap_minutes, "m")
        new = new or times[k] - start >= np.timedelta64(longest_minutes, "m")
        numbers[k] = numbers[k - 1] + new
        start = times[k] if new else start
    return numbers


def _cut(archive: Archive, data: Radar, split: Split, frames: Numbers, seed: int, field: Field) -> RadarSequences:
    """Return the sequences of a split that has these frames."""
    times, steps = archive.times[frames], data.in_steps + data.lead_steps
    events = events_of(times, data.event_gap_minutes, data.event_minutes)
    step = np.timedelta64(data.step_minutes, "m")
    follows = (np.diff(times) == step) & (np.diff(events) == 0) & (np.diff(frames) == 1)
    following = np.concatenate(([0], np.cumsum(follows)))  # how many frames so far follow the one before
    whole = np.flatnonzero(following[steps - 1 :] - following[: max(len(frames) - steps + 1, 0)] == steps - 1)
    if not len(whole):
        raise CellwiseError(
            f"data.{split} has no {steps} frames in a row that are {data.step_minutes} minutes apart; {_gaps(times)}"
        )
    kept = _strided(whole, data.stride if split == "train" else data.eval_stride)
    corners: Numbers | None = None
    if split == "train":
        starts, of = np.repeat(frames[kept], data.crops), np.repeat(events[kept], data.crops)
    else:
        which, corners = _wet_tiles(archive, data, frames[kept])
        starts, of = frames[kept][which], events[kept][which]
        if not len(starts):
            raise CellwiseError(
                f"data.{split} has no crop with rain on data.rain_share={data.rain_share} of its pixels; give a "
                "smaller share"
            )
    names = [str(times[events == event][0]) for event in range(int(events[-1]) + 1)]
    remarks = [
        f"{split}: {len(starts):,} sequences from {len(frames):,} frames; events with any: {len(np.unique(of))} of "
        f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
    ]
    if split == "train":
        remarks = [*archive.remarks(), *remarks]
    return RadarSequences(archive, data, starts, of, corners, Draws(seed, split), field, names, remarks)


def _strided(whole: Numbers, stride: int) -> Numbers:
    """Return starts of sequences at least `stride` frames apart, the first one first."""
    kept: list[int] = []
    for start in whole:
        if not kept or start - kept[-1] >= stride:
            kept.append(int(start))
    return np.array(kept, dtype=np.int64)


def _wet_tiles(archive: Archive, data: Radar, starts: Numbers) -> tuple[Numbers, Numbers]:
    """Return which starts and which corners of a fixed grid of crops have rain enough in the last frame seen."""
    side = data.crop
    rows, columns = (size // side for size in archive.shape)
    top, left = ((size % side) // 2 for size in archive.shape)  # the grid is in the middle
    which, corners = [], []
    for k, start in enumerate(starts):
        last = np.array([start + data.in_steps - 1])
        frame = archive.rain(last, slice(top, top + rows * side), slice(left, left + columns * side))[0]
        share = raining(frame).reshape(rows, side, columns, side).mean((1, 3))
        for row, column in np.argwhere(share >= data.rain_share):
            which.append(k)
            corners.append((top + row * side, left + column * side))
    return np.array(which, dtype=np.int64), np.array(corners, dtype=np.int64).reshape(-1, 2)


def _distance(times: Minutes, others: Minutes) -> npt.NDArray[np.timedelta64]:
    """Return how far each time is from the nearest of others, which ascend."""
    far = np.full(len(times), np.timedelta64(2**40, "m"))
    if not len(others):
        return far
    after = np.searchsorted(others, times)
    later = np.where(after < len(others), others[np.minimum(after, len(others) - 1)] - times, far)
    earlier = np.where(after > 0, times - others[np.maximum(after - 1, 0)], far)
    return np.minimum(later, earlier)


def _days(texts: npt.NDArray[np.str_]) -> str:
    days = sorted({str(text)[:10] for text in texts})
    return ", ".join(days[:6]) + (f", ... {days[-1]}" if len(days) > 6 else "")


def _gaps(times: Minutes) -> str:
    if len(times) < 2:
        return f"it has {len(times)} frame"
    steps, counts = np.unique(np.diff(times), return_counts=True)
    return f"of its {len(times):,} frames most are {int(steps[counts.argmax()].astype(int))} minutes apart"
