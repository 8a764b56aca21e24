"""Rain made by rule: round cells that a known wind carries and turns, and that grow and decay.

The wind of a sequence does not change: a velocity and a turning about the middle of the frame. Cells are Gaussian bumps
whose centres follow it exactly, so without growth the field is that of the step before, looked up where the wind comes
from: the assumption of Lagrangian extrapolation (Germann and Zawadzki 2002, doi 10.1175/1520-0493(2002)130<2859:SDOTPO>
2.0.CO;2) holds, and what it can't know is growth and decay alone. A cell's strength rises and falls as a Gaussian of
time. Rain fainter than 0.1 mm/h is none, as a radar has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwise.data.shuffled import Rows
from cellwise.tasks.contract import Split
from cellwise.tasks.nowcasting.data_settings import SyntheticRain
from cellwise.tasks.nowcasting.draws import Draws
from cellwise.tasks.nowcasting.frames import RAIN_THRESHOLDS_MM_H, Batch, Field, Sequences, batch_of

Numbers = npt.NDArray[np.float64]

FAINTEST_MM_H = 0.1
_PEAKS_MM_H = (1.0, 60.0)
_RADII = (1 / 40, 1 / 10)  # of the frame's side
_REACH = 3.0  # radii from its centre a cell is no more seen


class Weather(NamedTuple):
    """What is drawn of some sequences.

    Attributes:
        wind: (rows, 2), pixels a step along columns (x) and rows (y), at the middle of the frame.
        turning: (rows,), radians a step.
        centres: (rows, cells, 2), x and y of cells at the middle of the sequence, from the middle of the frame.
        radii: (rows, cells), pixels.
        peaks_mm_h: (rows, cells), greatest rain of a cell.
        ripe: (rows, cells), the step at which it is reached.
    """

    wind: Numbers
    turning: Numbers
    centres: Numbers
    radii: Numbers
    peaks_mm_h: Numbers
    ripe: Numbers


@dataclass(frozen=True)
class RainCells:
    """Sequences of synthetic rain; implements `Sequences`.

    Attributes:
        data: sizes and speeds.
        draws: the random numbers of a row.
        length: rows of an epoch.
        field: rain in mm/h.
    """

    data: SyntheticRain
    draws: Draws
    length: int
    field: Field
    events: Sequence[str] = ()
    remarks: Sequence[str] = ()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, rows: Rows) -> Batch:
        """Return sequences; each is an event of its own, numbered by its row."""
        frames = torch.from_numpy(self.frames(self.weather(rows)))
        return batch_of(frames, self.data.in_steps, torch.from_numpy(rows), self.field)

    def weather(self, rows: Rows) -> Weather:
        """Return what is drawn of sequences."""
        data, steps = self.data, self.data.in_steps + self.data.lead_steps
        drawn = self.draws.uniform(rows, (3 + 5 * data.cells,))
        speed, angle = data.speed_max * np.sqrt(drawn[:, 0]), 2 * np.pi * drawn[:, 1]  # anywhere in a disk
        x, y, size, peak, ripe = np.moveaxis(drawn[:, 3:].reshape(len(rows), data.cells, 5), -1, 0)
        slightest, greatest = (share * data.size for share in _RADII)
        # Half of the way that a cell goes, and as far as it is seen: those that come in are there from the start.
        side = data.size + data.speed_max * steps + 2 * _REACH * greatest
        return Weather(
            wind=np.stack((speed * np.cos(angle), speed * np.sin(angle)), axis=-1),
            turning=data.rotation_max * (2 * drawn[:, 2] - 1),
            centres=side * (np.stack((x, y), axis=-1) - 0.5),
            radii=slightest + (greatest - slightest) * size,
            peaks_mm_h=_PEAKS_MM_H[0] * (_PEAKS_MM_H[1] / _PEAKS_MM_H[0]) ** peak,
            ripe=(steps + 2 * data.lifetime_steps) * ripe - data.lifetime_steps,
        )

    def frames(self, weather: Weather) -> npt.NDArray[np.float32]:
        """Return the rain, float32 (steps, rows, size, size) in mm/h."""
        steps = np.arange(self.data.in_steps + self.data.lead_steps, dtype=np.float64)
        centres = carried(weather, steps - steps.mean()) + (self.data.size - 1) / 2
        age = (steps[:, None, None] - weather.ripe) / (self.data.lifetime_steps / 2)
        strength = weather.peaks_mm_h * np.exp(-np.square(age) / 2)
        # A round Gaussian is a product of two on lines, and a frame a product of two matrices.
        apart = (np.arange(self.data.size) - centres[..., None]) / weather.radii[:, :, None, None]
        bumps = np.exp(-np.square(apart) / 2)  # (steps, rows, cells, x and y, size)
        along_x, along_y = bumps[..., 0, :], bumps[..., 1, :]
        rain = np.swapaxes(strength[..., None] * along_y, -1, -2) @ along_x
        return np.where(rain < FAINTEST_MM_H, 0, rain).astype(np.float32)

    def motion(self, rows: Rows) -> Tensor:
        """Return the true wind, float32 (rows, 2, size, size): pixels a step along columns and along rows."""
        weather = self.weather(rows)
        place = np.arange(self.data.size) - (self.data.size - 1) / 2
        turning = weather.turning[:, None, None]
        x = weather.wind[:, 0, None, None] - turning * place[None, :, None]
        y = weather.wind[:, 1, None, None] + turning * place[None, None, :]
        found = np.stack(np.broadcast_arrays(x, y), axis=1)
        return torch.from_numpy(np.broadcast_to(found, (len(rows), 2, *[self.data.size] * 2)).astype(np.float32))

    def sha256(self) -> str:
        """Return the checksum of an epoch's weather."""
        digest = hashlib.sha256(repr(self.data).encode())
        for array in self.weather(np.arange(len(self))):
            digest.update(array.tobytes())
        return digest.hexdigest()


def carried(weather: Weather, time: Numbers) -> Numbers:
    """Return where the wind has carried the centres after (or, negative, before) some steps, (steps, rows, cells, 2).

    The exact solution of dz/dt = w + i r z, with place z = x + i y, wind w and turning r:
    z(t) = e^(i r t) z(0) + t e^(i r t / 2) sin(r t / 2) / (r t / 2) w.
    """
    centre = weather.centres[..., 0] + 1j * weather.centres[..., 1]
    wind = weather.wind[:, 0] + 1j * weather.wind[:, 1]
    t = time[:, None]
    turned = weather.turning * t
    moved = t * np.exp(0.5j * turned) * np.sinc(turned / (2 * np.pi)) * wind  # NumPy's sinc has pi in it
    place = np.exp(1j * turned)[..., None] * centre + moved[..., None]
    return np.stack((place.real, place.imag), axis=-1)


def draw_rain(data: SyntheticRain) -> dict[Split, Sequences]:
    """Return the sequences of each split."""
    field = Field("mm/h", RAIN_THRESHOLDS_MM_H, step_minutes=data.step_minutes, pixel_km=1.0)
    return {
        split: RainCells(data, Draws(data.seed, split), getattr(data, f"{split}_sequences"), field)
        for split in get_args(Split)
    }
