"""Floors answer everywhere, and extrapolation is what pysteps makes of it."""

from __future__ import annotations

import math
import sys
import warnings

import numpy as np
import pytest
import torch

from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.data_settings import MovingDigits, SyntheticRain, build_sequences
from cellwise.tasks.nowcasting.floors import empty, floors_of, persistence
from cellwise.tasks.nowcasting.frames import RAIN_THRESHOLDS_MM_H, Field, batch_of
from cellwise.tasks.nowcasting.metrics import contingency
from cellwise.tasks.nowcasting.motion import carry
from cellwise.tasks.nowcasting.pysteps import imported, quiet
from tests.tasks.nowcasting.oracles import LEAD, golden, wind

RAIN = Field("mm/h", RAIN_THRESHOLDS_MM_H)


def test_frames_are_carried_as_pysteps_carries_them_wherever_it_has_a_value() -> None:
    field, motion = (torch.from_numpy(array) for array in wind())
    found = carry(field[None], motion[None], LEAD)
    wanted = np.array(golden()["carried"], dtype=float).reshape(LEAD, *field.shape)
    assert np.array_equal(found.inside[:, 0].numpy(), np.isfinite(wanted))
    assert (
        found.inside[:, 0].float().mean((1, 2)).tolist()
        == sorted(found.inside[:, 0].float().mean((1, 2)).tolist())[::-1]
    )
    inside = found.inside[:, 0].numpy()
    assert found.frames[:, 0].numpy()[inside] == pytest.approx(wanted[inside], abs=1e-5)
    assert found.frames.isfinite().all()  # at the inflow edge and in the hole too


def test_rows_of_a_batch_are_carried_each_by_its_own_motion_and_what_stands_still_is_not_touched() -> None:
    stream = torch.Generator().manual_seed(0)
    last = (torch.rand(3, 20, 17, generator=stream) * 20).round() / 2
    motion = torch.randn(3, 2, 20, 17, generator=stream)
    motion[1] = 0
    together = carry(last, motion, 2)
    for row in range(3):
        torch.testing.assert_close(
            carry(last[row : row + 1], motion[row : row + 1], 2).frames[:, 0], together.frames[:, row]
        )
    assert torch.equal(together.frames[1, 1], last[1])  # to the bit: values on a threshold stay on it
    assert together.inside[:, 1].all()


def test_what_comes_from_beyond_the_frame_is_what_stands_at_its_edge() -> None:
    last = torch.arange(12.0).view(1, 3, 4)
    east = torch.zeros(1, 2, 3, 4)
    east[:, 0] = 1.0
    found = carry(last, east, 2)
    assert found.frames[1, 0].tolist() == [[0, 0, 0, 1], [4, 4, 4, 5], [8, 8, 8, 9]]
    assert found.inside[1, 0].tolist() == [[False, False, True, True]] * 3


def test_persistence_keeps_the_last_frame_to_the_bit_and_takes_what_is_missing_for_no_rain() -> None:
    frames = torch.tensor([0.5, 2.0, 30.0, 0.3])[torch.randint(4, (7, 2, 9, 9))]
    frames[2, 0, 0, 0] = math.nan
    batch = batch_of(frames, 3, torch.arange(2), RAIN)
    nowcast = persistence(batch)
    assert nowcast.frames.shape == nowcast.inside.shape == batch.observed.shape
    assert not nowcast.inside[:, 0, 0, 0, 0].any()
    assert nowcast.frames[3, 0, 0, 0, 0] == 0
    for threshold in RAIN_THRESHOLDS_MM_H:  # on the threshold before, on it after
        table = contingency(nowcast.frames[0], frames[2].unsqueeze(1), threshold)
        assert (table.misses, table.false_alarms) == (0, 0)
    assert empty(batch).frames.count_nonzero() == 0


def test_floors_of_a_source_do_not_depend_on_what_is_installed() -> None:
    digits = build_sequences(MovingDigits(), 0)["test"]
    assert floors_of(digits).keys() == {"empty", "persistence"}
    rain = build_sequences(SyntheticRain(size=32), 0)["test"]
    floors = floors_of(rain)
    assert floors.keys() == {"empty", "persistence", "lagrangian_true_motion"}
    batch = rain[np.arange(3)]
    for floor in floors.values():
        frames, inside = floor(batch)
        assert frames.shape == inside.shape == batch.observed.shape
        assert frames.isfinite().all()


def test_without_pysteps_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysteps", None)
    with pytest.raises(
        CellwiseError, match=r"radar files are read with pysteps, which is not installed.*nowcasting"
    ) as raised:
        imported("pysteps.io.importers", "radar files are read")
    assert "\n" not in str(raised.value)


def test_behind_the_door_nothing_is_printed_and_no_warning_filter_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = list(warnings.filters)
    with quiet():
        print("Pysteps configuration file found at: somewhere")
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        warnings.warn("divide by zero", RuntimeWarning, stacklevel=1)
    assert capsys.readouterr().out == ""
    assert list(warnings.filters) == before
