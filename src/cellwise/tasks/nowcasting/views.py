"""The evidence of a nowcast: skill against lead time, frames beside each other, and how much detail is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cellwise.records.schema import Axis, Column, Curves, Filmstrip, Series, Table, View
from cellwise.tasks.nowcasting.frames import Field
from cellwise.tasks.nowcasting.metrics.verification import Verification, named

RAIN_LEVELS_MM_H = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 50.0)
"""Where the colours of rain change, as on radar maps."""

TABLE_MINUTES = (30.0, 60.0, 90.0)
"""Lead times at which nowcasts are usually reported."""

_TABLED, _TABLED_SCALE = ("csi", "pod", "far", "bias", "hss", "ets"), 5
_HEADINGS = ("CSI", "POD", "FAR", "bias", "HSS", "ETS", f"FSS over {_TABLED_SCALE} pixels")
_DETAIL = 8  # waves shorter than so many pixels are detail

Numbers = npt.NDArray[np.float64]


def skill_views(model: Verification, floors: Mapping[str, Verification], field: Field) -> list[View]:
    """Return skill by lead time and threshold, errors, and the spectra.

    Args:
        model: scores of the network on the test split.
        floors: of trivial nowcasts on the same sequences, by name.
        field: what frames show.
    """
    x, lead = _lead_axis(field), _leads(field, model)
    found, given = model.by_lead(), {name: floor.by_lead() for name, floor in floors.items()}

    def curve(score: str, name: str, title: str, question: str, y: Axis) -> Curves:
        lines = [Series(floor, lead, _numbers(scores[score]), role="floor") for floor, scores in given.items()]
        lines = [line for line in lines if np.isfinite(line.y).any()]
        return Curves(name, title, question, x, y, (Series("model", lead, _numbers(found[score])), *lines))

    views: list[View] = []
    for number, threshold in enumerate(field.thresholds, 1):
        key, words = named(threshold, field), f"{threshold:g} {field.unit}".removesuffix(" 1")
        if not np.isfinite(_numbers(found[f"csi_{key}"])).any():
            continue
        views.append(
            curve(
                f"csi_{key}",
                f"csi_by_lead_time_{number}_{key}",  # numbered: views are shown by name
                f"Critical success index at {words} against lead time",
                f"How far ahead does each cell say where there is {words} or more, and is it better than the floors?",
                Axis("CSI", least=0.0, most=1.0),
            )
        )
    error, unit = ("mae_pixel_mm_h", "mm/h") if field.unit == "mm/h" else ("mse_pixel", "")
    words = "Mean absolute error" if unit else "Mean squared error of a pixel"
    views.append(
        curve(error, "error_by_lead_time", f"{words} against lead time", "How does the error grow?", _y(words, unit))
    )
    return [*views, *_spectra(model, floors, field), _table(found, field, lead)]


def film(observed: Tensor, forecast: Tensor, field: Field, *, redistributable: bool) -> Filmstrip:
    """Return one test sequence as a film: what was observed, what was forecast, and the difference.

    Args:
        observed: (lead, 1, height, width), in the unit, NaN where nothing was observed.
        forecast: the same shape.
        field: what frames show.
        redistributable: whether the data's owner allows images of them to be passed on.
    """
    frames = np.stack([v.squeeze(1).cpu().numpy() for v in (observed, forecast, forecast - observed)])
    # What rain a network forecasts of a pixel that nobody observed is part of the forecast, so it is shown.
    times = np.arange(1, len(observed) + 1) * (field.step_minutes or 1)
    rain = field.unit == "mm/h"
    return Filmstrip(
        name="film",
        title="One test sequence: observed and forecast",
        question="What does each cell get wrong: place, amount, or detail?",
        time=_lead_axis(field),
        value=Axis("rain", "mm/h") if rain else Axis("intensity", least=0.0, most=1.0),
        times=times,
        rows=("observed", "forecast", "forecast - observed"),
        frames=frames.astype(np.float16),  # three digits, at half the size
        roles=("given", "measured", "difference"),
        levels=RAIN_LEVELS_MM_H if rain else (),
        redistributable=redistributable,
    )


def _spectra(model: Verification, floors: Mapping[str, Verification], field: Field) -> list[View]:
    said, seen = (_numbers(spectrum) for spectrum in model.spectra())  # (lead, wave numbers)
    side = 2 * said.shape[1]  # of the frame in pixels; one more than there are where they are odd
    wave = np.arange(1, said.shape[1])
    unit, pixel = ("km", field.pixel_km) if field.pixel_km else ("pixels", 1.0)
    length = side * pixel / wave
    lead = _leads(field, model)
    axis, question = _lead_axis(field), "Is detail lost as the forecast goes on, so that it blurs?"
    found: list[View] = [
        Curves(
            name=f"spectrum_at_{place}",
            title=f"Power of the {words} frame by wavelength ({axis.name} {lead[step]:g} {axis.unit})",
            question="How much of what is small is left in the forecast?",
            x=Axis("wavelength", unit, "log"),
            y=Axis("power", "", "log"),
            series=(
                Series("model", length[::-1], _positive(said[step, 1:])[::-1]),
                Series("observed", length[::-1], _positive(seen[step, 1:])[::-1], role="optimum"),
            ),
        )
        for place, words, step in (("the_start", "first", 0), ("the_end", "last", len(lead) - 1))
    ]
    series = [Series("model", lead, _share(said, seen, side))]
    for name, floor in floors.items():
        share = _share(_numbers(floor.spectra()[0]), seen, side)
        if (share > 0).any():
            series.append(Series(name, lead, share, role="floor"))
    series.append(Series("observed", lead, np.ones(len(lead)), role="optimum"))
    title = f"Power of waves shorter than {_DETAIL} pixels, as a share of what was observed"
    y = Axis("power of detail, share of observed", least=0.0)
    return [*found, Curves("detail_by_lead_time", title, question, axis, y, tuple(series))]


def _share(said: Numbers, seen: Numbers, side: int) -> Numbers:
    """Power of short waves as a share of that observed, (lead,); NaN where nothing was."""
    wave = np.arange(said.shape[1])
    short = wave > side / _DETAIL
    # A ring holds as many waves as it is long.
    forecast, observed = ((spectra * wave)[:, short].sum(1) for spectra in (said, seen))
    share: Numbers = np.divide(forecast, observed, out=np.full(len(said), np.nan), where=observed > 0)
    return share


def _table(found: Mapping[str, Tensor], field: Field, lead: Numbers) -> Table:
    rows: list[tuple[str | int | float, ...]] = []
    for step in _tabled_steps(field, lead):
        for threshold in field.thresholds:
            key = named(threshold, field)
            names = [*(f"{score}_{key}" for score in _TABLED), f"fss_{key}_{_TABLED_SCALE}px"]
            scores = [float(found[name][step]) for name in names]
            words = f"{lead[step]:g} {_lead_axis(field).unit}", f"{threshold:g} {field.unit}".removesuffix(" 1")
            rows.append((*words, *scores))
    return Table(
        name="scores_by_lead_time",
        title="Scores by lead time and threshold",
        question="How good is the forecast at the lead times that people ask for?",
        columns=(Column("lead time"), Column("threshold"), *map(Column, _HEADINGS)),
        rows=tuple(rows),
    )


def _tabled_steps(field: Field, lead: Numbers) -> Sequence[int]:
    """Half an hour, an hour, an hour and a half where there is a clock; the first, the middle and the last if not."""
    if field.step_minutes:
        steps = [int(np.flatnonzero(lead == minutes)[0]) for minutes in TABLE_MINUTES if (lead == minutes).any()]
        if steps:
            return steps
    return sorted({0, (len(lead) - 1) // 2, len(lead) - 1})


def _lead_axis(field: Field) -> Axis:
    return Axis("lead time", "min") if field.step_minutes else Axis("lead time", "frames")


def _leads(field: Field, model: Verification) -> Numbers:
    count = len(model.by_lead()["correlation"])
    leads: Numbers = np.arange(1.0, count + 1) * (field.step_minutes or 1)
    return leads


def _y(name: str, unit: str) -> Axis:
    return Axis(name.lower(), unit, least=0.0)


def _numbers(values: Tensor) -> Numbers:
    numbers: Any = values.double().cpu().numpy()
    found: Numbers = numbers
    return found


def _positive(values: Numbers) -> Numbers:
    return np.where(values > 0, values, np.nan)
