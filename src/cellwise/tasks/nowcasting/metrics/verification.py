"""All scores of a set of nowcasts by lead time, from sums that don't depend on how sequences were batched.

Sums are kept by independent event too, so that an interval over events is one product of weights and sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from cellwise.errors import CellwiseError
from cellwise.tasks.nowcasting.frames import Field
from cellwise.tasks.nowcasting.metrics.categorical import both_known, categorical_scores, tables
from cellwise.tasks.nowcasting.metrics.errors import (
    balancing_weights,
    correlation,
    error_sums,
    moment_sums,
)
from cellwise.tasks.nowcasting.metrics.fractions import fraction_sums, fss, require_odd
from cellwise.tasks.nowcasting.metrics.similarity import ssim
from cellwise.tasks.nowcasting.metrics.spectrum import power_spectrum

Sums = Mapping[str, Tensor]

SCALES = (1, 5, 17)
"""Sides of the squares of the fractions skill score, pixels."""


@dataclass(frozen=True)
class Scored:
    """What is summed.

    Attributes:
        field: of the frames; its thresholds and its unit.
        scales: of the fractions skill score, odd numbers of pixels; empty: without it.
        similarity: whether SSIM is computed.
        spectrum: whether power spectra are.
    """

    field: Field
    scales: tuple[int, ...] = SCALES
    similarity: bool = True
    spectrum: bool = True


class Verification:
    """Scores of nowcasts, by lead time and by event.

    Args:
        scored: what is summed.
    """

    def __init__(self, scored: Scored) -> None:
        require_odd(scored.scales)
        self.scored = scored
        self._places: dict[int, int] = {}  # event to row of the sums
        self._sums: dict[str, Tensor] = {}

    def add(self, forecast: Tensor, observed: Tensor, event: Tensor, mask: Tensor | None = None) -> None:
        """Add sequences.

        Args:
            forecast: (lead, batch, 1, height, width), in the field's unit; NaN is outside every score.
            observed: the same shape.
            event: int64 (batch,), which event each sequence is of.
            mask: bool, broadcast to that shape; pixels where it is False are outside every score.

        Raises:
            CellwiseError: shapes that differ, or other frames than those before.
        """
        if forecast.shape != observed.shape:
            raise CellwiseError(
                f"forecast {tuple(forecast.shape)} and observed {tuple(observed.shape)} must have the same shape"
            )
        if mask is not None:
            observed = observed.where(mask, torch.nan)
        lead, batch = forecast.shape[:2]
        frames = frame_sums(forecast.detach().flatten(0, 2), observed.flatten(0, 2), self.scored)
        rows = torch.tensor([self._place(int(number)) for number in event], dtype=torch.int64)
        for name, sums in frames.items():
            by_sequence = sums.cpu().view(lead, batch, *sums.shape[1:]).transpose(0, 1)
            kept = self._room(name, by_sequence)
            kept.index_add_(0, rows, by_sequence)

    @property
    def events(self) -> tuple[int, ...]:
        """The numbers of the events that were added, in the order of the sums' first dimension."""
        return tuple(self._places)

    def sums(self) -> dict[str, Tensor]:
        """Return all sums by event and lead time, (events, lead, ...).

        Raises:
            CellwiseError: nothing was added.
        """
        if not self._places:
            raise CellwiseError("no sequence was scored, so there are no scores; give at least one batch")
        return {name: sums[: len(self._places)] for name, sums in self._sums.items()}

    def by_lead(self) -> dict[str, Tensor]:
        """Return all scores by lead time, float64 (lead,); see `scores_of`."""
        return scores_of({name: sums.sum(0) for name, sums in self.sums().items()}, self.scored)

    def pooled(self) -> dict[str, float]:
        """Return all scores over all lead times together; see `scores_of`."""
        found = scores_of({name: sums.sum((0, 1)) for name, sums in self.sums().items()}, self.scored)
        return {name: float(value) for name, value in found.items()}

    def weighted(self, weights: Tensor) -> dict[str, Tensor]:
        """Return all scores by lead time for each weighting of events, float64 (weightings, lead).

        Args:
            weights: float64 (weightings, events): how often each event counts, in a bootstrap for example.
        """
        summed = {n: torch.tensordot(weights.double(), sums.double(), dims=1) for n, sums in self.sums().items()}
        return scores_of(summed, self.scored)

    def spectra(self) -> tuple[Tensor, Tensor]:
        """Return the mean power spectra by lead time, of forecasts and of what was observed, (lead, wave numbers)."""
        sums = {name: value.sum(0) for name, value in self.sums().items() if name in ("spectra", "frames")}
        mean = sums["spectra"] / sums["frames"][:, None, None]
        return mean[:, 0], mean[:, 1]

    def merge(self, other: Self) -> None:
        """Add what another one has summed, of other sequences."""
        rows = torch.tensor([self._place(number) for number in other.events], dtype=torch.int64)
        for name, sums in other.sums().items():
            self._room(name, sums).index_add_(0, rows, sums)

    def _place(self, event: int) -> int:
        return self._places.setdefault(event, len(self._places))

    def _room(self, name: str, like: Tensor) -> Tensor:
        """Return the sums of a name with a row for every event."""
        kept = self._sums.get(name, like.new_zeros(0, *like.shape[1:]))
        if kept.shape[1:] != like.shape[1:]:
            raise CellwiseError(f"{name} of these frames is {tuple(like.shape[1:])}, before {tuple(kept.shape[1:])}")
        if len(kept) < len(self._places):  # twice as many, so that adding events one by one stays cheap
            more = max(len(self._places), 2 * len(kept)) - len(kept)
            kept = torch.cat((kept, kept.new_zeros(more, *kept.shape[1:])))
        self._sums[name] = kept
        return kept


def frame_sums(forecast: Tensor, observed: Tensor, scored: Scored) -> dict[str, Tensor]:
    """Return what each frame adds to the sums, (frames, ...); forecast and observed (frames, height, width)."""
    field = scored.field
    counted = both_known(forecast, observed)
    known_f, known_o = (torch.where(counted, values, 0.0) for values in (forecast, observed))
    flat_f, flat_o, flat_counted = known_f.flatten(1), known_o.flatten(1), counted.flatten(1)
    found = {
        "frames": counted.any(-1).any(-1).long(),
        "pixels": flat_counted.sum(1),
        "tables": tables(known_f, known_o, field.thresholds, counted, (1, 2)),
        "moments": moment_sums(flat_f, flat_o, flat_counted),
        **error_sums(flat_f, flat_o, flat_counted),
    }
    scaled_f, scaled_o = field.to_network(known_f), field.to_network(known_o)
    if field.unit == "mm/h":
        weights = balancing_weights(flat_o) * flat_counted
        balanced = error_sums(scaled_f.flatten(1), scaled_o.flatten(1), weights)
        found |= {f"balanced_{name}": sums for name, sums in balanced.items()}
    if scored.scales:
        found["fractions"] = fraction_sums(known_f, known_o, field.thresholds, scored.scales, counted)
    if scored.similarity:
        index = ssim(scaled_f, scaled_o, counted)
        found |= {"similarity": index.nan_to_num(nan=0.0), "similar_frames": (~index.isnan()).long()}
    if scored.spectrum:  # what is missing in one is no rain in both
        found["spectra"] = torch.stack((power_spectrum(scaled_f), power_spectrum(scaled_o)), dim=1)
    return found


def scores_of(sums: Sums, scored: Scored) -> dict[str, Tensor]:
    """Return scores from sums of any leading shape, float64 of that shape, NaN where undefined; units in the names.

    `csi_0.5mm_h`, `pod_`, `far_`, `bias_`, `hss_`, `ets_` by threshold; `fss_0.5mm_h_5px` by threshold and scale;
    `mse_pixel` and `mae_pixel`, the means over pixels, and `mse_frame_sum` and `mae_frame_sum`, summed over a frame's
    pixels and averaged over frames (both conventions are published); `rmse`; `correlation`; `ssim`; `balanced_mse` and
    `balanced_mae` as HKO-7 has them. Where frames are of rain, errors are in mm/h and say so.
    """
    thresholds = [named(threshold, scored.field) for threshold in scored.field.thresholds]
    found: dict[str, Tensor] = {}
    for score, values in categorical_scores(sums["tables"]).items():
        found |= {f"{score}_{name}": values[..., k] for k, name in enumerate(thresholds)}
    if "fractions" in sums:
        values = fss(sums["fractions"])
        for k, name in enumerate(thresholds):
            found |= {f"fss_{name}_{scale}px": values[..., k, s] for s, scale in enumerate(scored.scales)}
    pixels, frames = sums["pixels"].double(), sums["frames"].double()
    once, twice = ("_mm_h", "_mm2_h2") if scored.field.unit == "mm/h" else ("", "")
    found |= {
        f"mse_pixel{twice}": sums["squared"] / pixels,
        f"mae_pixel{once}": sums["absolute"] / pixels,
        f"mse_frame_sum{twice}": sums["squared"] / frames,
        f"mae_frame_sum{once}": sums["absolute"] / frames,
        f"rmse{once}": (sums["squared"] / pixels).sqrt(),
        "correlation": correlation(sums["moments"], pixels),
    }
    if "balanced_squared" in sums:
        found["balanced_mse"] = sums["balanced_squared"] / frames
        found["balanced_mae"] = sums["balanced_absolute"] / frames
    if "similarity" in sums:
        found["ssim"] = sums["similarity"] / sums["similar_frames"]
    return found


def named(threshold: float, field: Field) -> str:
    """Return a threshold as it stands in the name of a score: ``0.5mm_h``, or ``0.5`` of pixels."""
    return f"{threshold:g}{'mm_h' if field.unit == 'mm/h' else ''}"


def means(by_lead: Mapping[str, Tensor], names: Sequence[str]) -> tuple[float, int]:
    """Return the mean of scores over lead times, and how many were undefined and left out."""
    values = torch.stack([by_lead[name] for name in names])
    return float(values.nanmean()), int(values.isnan().sum())
