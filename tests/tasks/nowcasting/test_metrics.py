"""Scores of values, structure and scale against pysteps, scikit-image and SciPy; all of them under any batching."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from skimage.metrics import structural_similarity
from torch import Tensor

from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.frames import PIXELS, RAIN_THRESHOLDS_MM_H, Field
from cellwise.tasks.nowcasting.metrics import Verification
from cellwise.tasks.nowcasting.metrics.errors import balancing_weights, correlation, moment_sums
from cellwise.tasks.nowcasting.metrics.fractions import fraction_sums, fss
from cellwise.tasks.nowcasting.metrics.similarity import ssim
from cellwise.tasks.nowcasting.metrics.spectrum import power_spectrum, wave_numbers
from cellwise.tasks.nowcasting.metrics.verification import Scored, means
from tests.tasks.nowcasting.oracles import SCALES, THRESHOLDS, golden, nowcasts

RAIN = Field("mm/h", RAIN_THRESHOLDS_MM_H, step_minutes=5.0, pixel_km=1.0)


def rain() -> tuple[Tensor, Tensor]:
    forecast, observed = (torch.from_numpy(field) for field in nowcasts())
    return forecast, observed


def sequences(lead: int = 4, batch: int = 6, size: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    """Rain (lead, batch, 1, size, size), forecast and observed with NaN, and events of two sequences each."""
    f, o = nowcasts(lead * batch, size, size, seed=2)
    shape = (lead, batch, 1, size, size)
    return torch.from_numpy(f).view(shape), torch.from_numpy(o).view(shape), torch.arange(batch) // 2


def test_fractions_skill_score_is_that_of_pysteps_at_each_scale() -> None:
    f, o = rain()
    sums = fraction_sums(f, o, THRESHOLDS, SCALES, ~(f.isnan() | o.isnan()))
    assert sums.dtype == torch.int64
    found = fss(sums.sum(0))
    theirs = [[golden()["fss"][f"{threshold},{scale}"] for scale in SCALES] for threshold in THRESHOLDS]
    assert found.numpy() == pytest.approx(np.array(theirs), abs=1e-12)


def test_fractions_are_those_of_a_moving_window_also_where_it_is_larger_than_the_frame() -> None:
    stream = np.random.default_rng(0)
    f, o = (torch.from_numpy(stream.random((2, 7, 12))) for _ in range(2))
    for scale in (1, 5, 13, 31):
        said, seen = (uniform_filter((x >= 0.6).double().numpy(), (0, scale, scale), mode="constant") for x in (f, o))
        wanted = 1 - np.square(said - seen).sum() / (np.square(said) + np.square(seen)).sum()
        found = fss(fraction_sums(f, o, [0.6], [scale], torch.ones_like(f, dtype=torch.bool)).sum(0))
        assert found.item() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("scales", [(1, 4), (0,), (-3,)])
def test_even_scales_are_refused(scales: tuple[int, ...]) -> None:
    with pytest.raises(CellwiseError, match="odd numbers of pixels"):
        Verification(Scored(RAIN, scales=scales))


def test_errors_and_correlation_are_those_of_pysteps_over_known_pixels() -> None:
    f, o = rain()
    verification = Verification(Scored(RAIN, (), similarity=False, spectrum=False))
    verification.add(f[:, None, None], o[:, None, None], torch.zeros(1, dtype=torch.int64))
    found, theirs = verification.pooled(), golden()["continuous"]
    assert found["mse_pixel_mm2_h2"] == pytest.approx(theirs["MSE"], rel=1e-12)
    assert found["rmse_mm_h"] == pytest.approx(theirs["RMSE"], rel=1e-12)
    assert found["mae_pixel_mm_h"] == pytest.approx(theirs["MAE"], rel=1e-12)
    assert found["correlation"] == pytest.approx(theirs["corr_p"], rel=1e-12)


def test_the_two_conventions_differ_by_the_pixels_of_a_frame() -> None:
    f, o = torch.rand(3, 2, 1, 64, 64), torch.rand(3, 2, 1, 64, 64)
    verification = Verification(Scored(PIXELS, (), similarity=False, spectrum=False))
    verification.add(f, o, torch.arange(2))
    found = verification.pooled()
    assert found["mse_frame_sum"] == pytest.approx(4096 * found["mse_pixel"], rel=1e-12)
    wanted = (f.double() - o).abs().sum((-3, -2, -1)).mean().item()  # summed over a frame, averaged over frames
    assert found["mae_frame_sum"] == pytest.approx(wanted, rel=1e-12)
    assert "balanced_mse" not in found


def test_balanced_errors_weigh_by_the_class_of_what_was_observed() -> None:
    values = torch.tensor([0.0, 0.49, 0.5, 1.99, 2.0, 5.0, 9.9, 10.0, 29.9, 30.0, 500.0, math.nan])
    assert balancing_weights(values).tolist() == [1, 1, 1, 1, 2, 5, 5, 10, 10, 30, 30, 1]
    f, o, event = sequences()
    verification = Verification(Scored(RAIN, (), similarity=False, spectrum=False))
    verification.add(f, o, event)
    known = ~(f.isnan() | o.isnan())
    error = (RAIN.to_network(f).double() - RAIN.to_network(o).double()).where(known, 0.0)
    weight = torch.ones_like(o).double()
    for border, value in zip(RAIN_THRESHOLDS_MM_H, (1, 2, 5, 10, 30), strict=True):
        weight[o >= border] = value
    found, frames = verification.pooled(), f.shape[0] * f.shape[1]
    assert found["balanced_mse"] == pytest.approx((weight * error.square()).sum().item() / frames, rel=1e-6)
    assert found["balanced_mae"] == pytest.approx((weight * error.abs()).sum().item() / frames, rel=1e-6)


def test_correlation_of_a_constant_field_is_undefined() -> None:
    f, o = torch.full((1, 50), 0.1), torch.rand(1, 50)
    everything = torch.ones(1, 50, dtype=torch.bool)
    assert correlation(moment_sums(f, o, everything), torch.tensor([50.0])).isnan().all()


@pytest.mark.parametrize("shape", [(11, 11), (40, 33)])
def test_structural_similarity_is_that_of_scikit_image_without_the_border(shape: tuple[int, int]) -> None:
    stream = np.random.default_rng(3)
    x = stream.random((2, *shape)) * (stream.random((2, *shape)) < 0.3)  # sparse, as digits are
    y = np.clip(x + 0.1 * stream.normal(size=x.shape), 0, 1)
    found = ssim(torch.from_numpy(x), torch.from_numpy(y), torch.ones(x.shape, dtype=torch.bool))
    for ours, a, b in zip(found, x, y, strict=True):
        _, full = structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, full=True
        )
        assert ours.item() == pytest.approx(full[5:-5, 5:-5].mean(), abs=1e-12)


def test_a_window_with_a_missing_pixel_is_left_out_and_a_frame_without_a_whole_one_is_undefined() -> None:
    x, y = torch.rand(2, 30, 30), torch.rand(2, 30, 30)
    known = torch.ones(2, 30, 30, dtype=torch.bool)
    known[0, 14:, 3] = False  # no window of rows 0 to 13 holds one; those above reach down to row 13
    known[1, ::10, ::10] = False
    found = ssim(x, y, known)
    left = ssim(x[:1, :, 4:], y[:1, :, 4:], known[:1, :, 4:])  # windows right of the hole
    top = ssim(x[:1, :14], y[:1, :14], known[:1, :14])
    both = ssim(x[:1, :14, 4:], y[:1, :14, 4:], known[:1, :14, 4:])
    windows = 20 * 16 * left + 4 * 20 * top - 4 * 16 * both
    assert found[0].item() == pytest.approx((windows / (20 * 16 + 4 * 4)).item(), abs=1e-12)
    assert found[1].isnan()
    assert ssim(x[:, :10], y[:, :10], known[:, :10]).isnan().all()  # smaller than a window


def test_the_spectrum_is_that_of_pysteps() -> None:
    f, _ = rain()
    found = power_spectrum(f[:2].nan_to_num(nan=0.0))
    assert found.numpy() == pytest.approx(np.array(golden()["spectrum"]), rel=1e-9)
    assert found.shape[1] == wave_numbers(40, 33)
    # All power of a field is in its waves: of one wave it is at its number.
    wave = torch.cos(2 * math.pi * 3 * torch.arange(32) / 32).expand(1, 32, 32)
    assert power_spectrum(wave)[0].argmax() == 3


def full() -> Verification:
    return Verification(Scored(RAIN, scales=(1, 5)))


def test_scores_are_the_same_under_any_batching_and_when_merged() -> None:
    f, o, event = sequences()
    whole, parts, other = full(), full(), full()
    whole.add(f, o, event)
    for rows in ([4], [0, 5], [1]):
        parts.add(f[:, rows], o[:, rows], event[rows])
    other.add(f[:, [3, 2]], o[:, [3, 2]], event[[3, 2]])
    parts.merge(other)
    found, wanted = parts.by_lead(), whole.by_lead()
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert values.shape == (4,)
        torch.testing.assert_close(found[name], values, rtol=1e-12, atol=0, equal_nan=True)
    counts = {name: sums for name, sums in whole.sums().items() if sums.dtype == torch.int64}
    assert counts.keys() == {"frames", "pixels", "tables", "fractions", "similar_frames"}
    order = [parts.events.index(number) for number in whole.events]
    assert all(torch.equal(parts.sums()[name][order], sums) for name, sums in counts.items())


def test_a_perfect_forecast_has_the_ideal_value_of_every_score() -> None:
    _, o, event = sequences()
    verification = full()
    verification.add(o, o, event)
    for name, value in verification.pooled().items():
        perfect = 0.0 if name.startswith(("far", "mse", "mae", "rmse", "balanced")) else 1.0
        assert value == pytest.approx(perfect, abs=1e-12), name
    forecast, observed = verification.spectra()
    assert torch.equal(forecast, observed)


def test_a_mask_is_as_if_the_pixels_were_missing() -> None:
    f, o, event = sequences()
    mask = torch.rand(f.shape, generator=torch.Generator().manual_seed(1)) < 0.9
    masked, missing = full(), full()
    masked.add(f, o, event, mask)
    missing.add(f.where(mask, math.nan), o, event)
    assert masked.pooled() == pytest.approx(missing.pooled(), nan_ok=True)


def test_events_are_weighted_as_if_they_had_been_added_so_often() -> None:
    f, o, event = sequences()
    once, chosen = full(), full()
    once.add(f, o, event)
    for rows in ([0, 1], [0, 1], [4, 5]):  # the first event twice, the second not at all, the third once
        chosen.add(f[:, rows], o[:, rows], event[rows])
    weighted = once.weighted(torch.tensor([[2, 0, 1], [1, 1, 1]]))
    for name, values in chosen.by_lead().items():
        torch.testing.assert_close(weighted[name][0], values, rtol=1e-12, atol=0, equal_nan=True)
        torch.testing.assert_close(weighted[name][1], once.by_lead()[name], rtol=1e-12, atol=0, equal_nan=True)


def test_without_events_scores_are_undefined_counted_and_left_out_of_means() -> None:
    verification = full()
    o = torch.zeros(2, 1, 1, 1, 1)  # one pixel, where it never rains
    o[1] = 3.0
    verification.add(o, o, torch.zeros(1, dtype=torch.int64))
    by_lead = verification.by_lead()
    assert by_lead["csi_2mm_h"].isnan().tolist() == [True, False]
    assert means(by_lead, ["csi_2mm_h"]) == (1.0, 1)
    mean, undefined = means(by_lead, ["csi_30mm_h", "ssim"])
    assert math.isnan(mean)
    assert undefined == 4


def test_nothing_scored_and_frames_that_do_not_fit_are_refused() -> None:
    verification = full()
    with pytest.raises(CellwiseError, match="no sequence was scored"):
        verification.pooled()
    f, o, event = sequences()
    with pytest.raises(CellwiseError, match="must have the same shape"):
        verification.add(f, o[:2], event)
    verification.add(f, o, event)
    with pytest.raises(CellwiseError, match=r"of these frames is \(2"):
        verification.add(f[:2], o[:2], event)
