"""A forecast of a whole composite from its newest frames: what `cellwise predict` does with a run on radar.

The network is convolutional, so it sees a frame of any size: here all of it, though it was trained on crops. Pixels
that nobody observed in the newest frame are missing in the forecast too.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.data_settings import Radar
from cellwise.tasks.nowcasting.frames import Field
from cellwise.tasks.nowcasting.losses import activated
from cellwise.tasks.nowcasting.network import EncoderForecaster
from cellwise.tasks.nowcasting.newest import Newest
from cellwise.tasks.nowcasting.settings import NowcastingSettings

RainFrames = npt.NDArray[np.float32]


class Forecast(NamedTuple):
    """What is forecast.

    Attributes:
        rain_mm_h: float32 (lead, height, width), NaN where nothing was observed in the newest frame.
        lead_minutes: of each frame.
        newest: the frames that it is made from.
    """

    rain_mm_h: RainFrames
    lead_minutes: tuple[int, ...]
    newest: Newest

    @property
    def reference(self) -> datetime:
        """Time of the newest frame, UTC."""
        return self.newest.times[-1]

    @property
    def times(self) -> list[datetime]:
        """Of the frames forecast, UTC."""
        return [self.reference + timedelta(minutes=minutes) for minutes in self.lead_minutes]


def lead_steps(lead: str, step_minutes: int) -> int:
    """Return how many frames a lead time is.

    Args:
        lead: as it is typed, `60min` or `1.5h`.
        step_minutes: from a frame to the next.

    Raises:
        CellwiseError: no lead time, or none that ends on a frame.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(min|h)", lead.strip())
    if found is None:
        raise CellwiseError(f"--lead {lead} is no lead time; give minutes or hours, for example --lead 60min or 1h")
    minutes = float(found[1]) * (60 if found[2] == "h" else 1)
    steps = round(minutes / step_minutes)
    if steps < 1 or steps * step_minutes != minutes:
        near = sorted({max(1, int(minutes // step_minutes)), max(1, -int(-minutes // step_minutes))})
        told = " or ".join(f"{step * step_minutes}min" for step in near)
        raise CellwiseError(
            f"--lead {lead} ends between frames, which are {step_minutes} minutes apart; give --lead {told}"
        )
    return steps


def require_radar(settings: NowcastingSettings) -> Radar:
    """Return the radar's settings of a run that can forecast composites.

    Raises:
        CellwiseError: a run on other data, or whose network sees frames of one size alone or has no clock.
    """
    if not isinstance(settings.data, Radar):
        raise CellwiseError(
            f"the run was trained on data={settings.data.name}, not on radar files; give a run of data=radar"
        )
    kind = settings.network.kind
    if kind != "convolutional":
        raise CellwiseError(
            f"the run's network (network.kind={kind}) can't forecast whole composites; give one of "
            "network.kind=convolutional"
        )
    return settings.data


@torch.inference_mode()
def forecast(network: nn.Module, settings: NowcastingSettings, newest: Newest, steps: int) -> Forecast:
    """Return the forecast of so many steps.

    Args:
        network: trained, convolutional.
        settings: of its run.
        newest: the frames to forecast from.
        steps: to forecast, as many as one likes: the forecaster goes on.
    """
    assert isinstance(network, EncoderForecaster) and isinstance(settings.data, Radar)
    field = Field("mm/h", ())
    rain = torch.from_numpy(newest.rain_mm_h)
    height, width = rain.shape[-2:]
    seen = field.to_network(rain.nan_to_num(nan=0.0))[:, None, None]
    patch = network.patch
    seen = F.pad(seen, (0, -width % patch, 0, -height % patch))  # no echo beyond the border
    network.recurrent.lead = steps
    found = field.to_unit(activated(settings.loss, network(seen)))[:, 0, 0, :height, :width]
    found = torch.where(rain[-1].isnan(), torch.nan, found)
    step = settings.data.step_minutes
    return Forecast(found.numpy(), tuple(step * (number + 1) for number in range(steps)), newest)
