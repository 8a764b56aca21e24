"""Rain made by rule: its wind is the true one, and what it can't tell is growth and decay alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cellwise.tasks.nowcasting.data_settings import SyntheticRain
from cellwise.tasks.nowcasting.floors import lagrangian, persistence
from cellwise.tasks.nowcasting.metrics import Verification
from cellwise.tasks.nowcasting.metrics.verification import Scored
from cellwise.tasks.nowcasting.synthetic_rain import RainCells, carried, draw_rain

DATA = SyntheticRain(size=48, train_sequences=12, valid_sequences=4, test_sequences=4, rotation_max=0.03)
ROWS = np.arange(6)


def train(**changes: object) -> RainCells:
    sequences = draw_rain(replace(DATA, **changes))["train"]  # type: ignore[arg-type]
    assert isinstance(sequences, RainCells)
    return sequences


def test_centres_follow_the_wind() -> None:
    """Against small steps of the differential equation that `motion` is the right side of."""
    rain = train()
    weather = rain.weather(ROWS)
    place = weather.centres.copy()
    small = 1_000
    for _ in range(small):
        turn = weather.turning[:, None]
        x = weather.wind[:, :1] - turn * place[..., 1]
        y = weather.wind[:, 1:] + turn * place[..., 0]
        place += np.stack((x, y), axis=-1) * (5 / small)
    assert np.abs(carried(weather, np.array([5.0]))[0] - place).max() < 0.02
    middle = rain.motion(ROWS)[:, :, 23:25, 23:25].mean((-2, -1))
    torch.testing.assert_close(middle, torch.from_numpy(weather.wind).float(), atol=1e-5, rtol=0)


def test_without_growth_the_last_frame_carried_along_the_true_wind_is_the_next_ones() -> None:
    rain = train(lifetime_steps=1e6, lead_steps=6)
    batch = rain[ROWS]
    moved, stayed = lagrangian(batch, rain.motion(ROWS)), persistence(batch)
    errors = {}
    for name, nowcast in (("moved", moved), ("stayed", stayed)):
        verification = Verification(Scored(rain.field, (), similarity=False, spectrum=False))
        verification.add(nowcast.frames, batch.observed, batch.event, moved.inside)
        errors[name] = verification.by_lead()["rmse_mm_h"]
    assert errors["stayed"][0] > 10 * errors["moved"][0]
    assert (errors["moved"] < 0.05 * errors["stayed"][-1]).all()
    # Upside down or transposed, the wind explains nothing.
    for wrong in (-rain.motion(ROWS), rain.motion(ROWS).flip(1)):
        other = lagrangian(batch, wrong)
        assert (other.frames - batch.observed)[-1].square().mean() > 10 * (moved.frames - batch.observed)[-1][
            moved.inside[-1]
        ].square().mean()


def test_cells_grow_and_decay_so_that_even_the_true_wind_errs() -> None:
    rain = train(lifetime_steps=6.0)
    batch = rain[ROWS]
    total = torch.cat((batch.seen, batch.observed)).sum((2, 3, 4))
    assert (total.max(0).values > 1.5 * total.min(0).values).all()


def test_rain_is_rain_of_every_class_and_a_row_depends_on_its_number_alone() -> None:
    rain = train(train_sequences=100)
    batch = rain[np.arange(100)]
    assert batch.observed.min() == 0
    assert (
        float(batch.observed[batch.observed > 0].min()) > 0 and float(batch.observed[batch.observed > 0].min()) >= 0.1
    )
    shares = [float((batch.observed >= threshold).float().mean()) for threshold in rain.field.thresholds]
    assert 0.9 > shares[0] > shares[1] > shares[2] > shares[3] > shares[4] > 1e-4
    alone = train()[np.array([7])]
    torch.testing.assert_close(alone.observed[:, 0], batch.observed[:, 7], rtol=0, atol=0)
    assert train().sha256() != train(seed=1).sha256()
