"""Contingency tables and their scores against counting by hand, `scores` and what pysteps says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
import xarray
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scores.categorical import ThresholdEventOperator

from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.metrics import Contingency, contingency
from cellwise.tasks.nowcasting.metrics.categorical import both_known, categorical_scores, tables
from tests.tasks.nowcasting.oracles import THRESHOLDS, golden, nowcasts

NAN = float("nan")


def by_hand(f: npt.NDArray[np.float32], o: npt.NDArray[np.float32], threshold: float) -> tuple[int, int, int, int]:
    table = {(True, True): 0, (False, True): 0, (True, False): 0, (False, False): 0}
    for said, seen in zip(f.ravel().tolist(), o.ravel().tolist(), strict=True):
        if said == said and seen == seen:
            table[said >= threshold, seen >= threshold] += 1
    return table[True, True], table[False, True], table[True, False], table[False, False]


def test_an_event_is_a_value_on_the_threshold_and_nan_on_either_side_does_not_count() -> None:
    forecast = torch.tensor([0.5, 0.4, 0.6, 0.1, NAN, 0.7, NAN, 0.5])
    observed = torch.tensor([0.5, 0.5, 0.4, 0.2, 0.9, NAN, NAN, 0.7])
    found = contingency(forecast, observed, 0.5)
    assert found == Contingency(hits=2, misses=1, false_alarms=1, correct_negatives=1)
    assert all(number.dtype == torch.int64 for number in found)
    assert contingency(forecast.numpy(), observed.numpy(), 0.5) == found
    assert all(type(number) is np.int64 for number in contingency(forecast.numpy(), observed.numpy(), 0.5))


few = st.sampled_from([0.0, 0.1, 0.5, 0.7, 2.0, NAN, float("inf")])


@given(st.data(), arrays.array_shapes(min_dims=0, max_dims=4, max_side=4))
def test_any_shape_is_counted_as_by_hand_and_a_mask_takes_pixels_out(
    data: st.DataObject, shape: tuple[int, ...]
) -> None:
    f, o = (data.draw(arrays.arrays(np.float32, shape, elements=few)) for _ in range(2))
    mask = data.draw(arrays.arrays(np.bool_, shape))
    for threshold in (0.1, 0.5, 2.0):  # 0.1 is none that float32 has: a value written 0.1 is an event all the same
        assert contingency(f, o, threshold) == by_hand(f, o, float(np.float32(threshold)))
        masked = contingency(f, o, threshold, mask)
        outside = contingency(f, o, threshold, ~mask)
        assert masked == by_hand(np.where(mask, f, np.nan), o, float(np.float32(threshold)))
        assert tuple(a + b for a, b in zip(masked, outside, strict=True)) == contingency(f, o, threshold)


def test_a_mask_of_coverage_is_spread_over_all_frames() -> None:
    f, o = (torch.from_numpy(field) for field in nowcasts())
    inside = torch.rand(f.shape[1:], generator=torch.Generator().manual_seed(0)) < 0.5
    assert contingency(f, o, 2.0, inside) == contingency(f, o, 2.0, inside.expand(f.shape))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            (torch.zeros(2, 3), torch.zeros(3, 2), 1.0),
            r"forecast \(2, 3\) and observed \(3, 2\) must have the same shape",
        ),
        ((torch.zeros(3), torch.zeros(1), 1.0), "must have the same shape"),
        ((torch.zeros(3), torch.zeros(3), NAN), "threshold=nan must be a finite number"),
        ((torch.zeros(3), torch.zeros(3), 1.0, torch.ones(3)), "mask is float32; it must be bool"),
        ((torch.zeros(3), torch.zeros(3), 1.0, torch.ones(2, dtype=torch.bool)), r"mask \(2,\) does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(arguments: tuple[object, ...], says: str) -> None:
    with pytest.raises(CellwiseError, match=says) as raised:
        contingency(*arguments)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_scores_are_those_of_scores_and_of_pysteps(threshold: float) -> None:
    f, o = nowcasts()
    forecast, observed = torch.from_numpy(f), torch.from_numpy(o)
    counts = tables(forecast, observed, [threshold], both_known(forecast, observed), (0, 1, 2))
    found = {name: value.item() for name, value in categorical_scores(counts).items()}
    dims = ("frame", "row", "column")
    # Neither knows NaN in both alike; known pixels alone, as ours.
    events = ThresholdEventOperator(default_event_threshold=threshold)
    theirs = events.make_contingency_manager(
        xarray.DataArray(np.where(np.isnan(o), np.nan, f), dims=dims),
        xarray.DataArray(np.where(np.isnan(f), np.nan, o), dims=dims),
    )
    numbers = theirs.get_counts()
    names = ("tp_count", "fn_count", "fp_count", "tn_count")
    assert counts.squeeze().tolist() == [int(numbers[name]) for name in names]
    assert found == pytest.approx(
        {
            "csi": float(theirs.critical_success_index()),
            "pod": float(theirs.probability_of_detection()),
            "far": float(theirs.false_alarm_ratio()),
            "bias": float(theirs.frequency_bias()),
            "hss": float(theirs.heidke_skill_score()),
            "ets": float(theirs.equitable_threat_score()),
        },
        rel=1e-12,
    )
    pysteps = golden()["categorical"][str(threshold)]
    named = {"csi": "CSI", "pod": "POD", "far": "FAR", "bias": "BIAS", "hss": "HSS", "ets": "GSS"}
    assert found == pytest.approx({ours: pysteps[theirs] for ours, theirs in named.items()}, rel=1e-12)


def test_one_pixel_and_no_event_give_what_is_defined_and_nan_for_the_rest() -> None:
    hit = categorical_scores(torch.tensor([1, 0, 0, 0]))
    assert [hit[name].item() for name in ("csi", "pod", "far", "bias")] == [1, 1, 0, 1]
    nothing = categorical_scores(torch.tensor([0, 0, 0, 9]))
    assert all(value.isnan() for value in nothing.values())
    large = categorical_scores(torch.tensor([4_000_000_000, 0, 0, 4_000_000_000]))  # int64 would overflow
    assert all(large[name] == 1 for name in ("csi", "hss", "ets"))
