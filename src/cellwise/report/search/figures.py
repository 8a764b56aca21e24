"""What a search says of its settings and its size: sensitivity to a key, expected best of k, which key matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cellwise.compare.best_of_k import counted, spread, unbiased
from cellwise.compare.edges import EDGE
from cellwise.records.schema import Axis
from cellwise.records.tuning import Importance, Trial, Tuned
from cellwise.report.search.trial_look import FATES, Trials, fate, marker
from cellwise.report.search.tuned_axis import TunedAxis
from cellwise.report.theme import NEUTRAL, Style, faded, literal
from cellwise.report.traces import Figure, Trace, axis, band, figure, jitter, line, numbers, thinned

LEVEL = 0.8
"""Of the band around the expected best of k: the middle 80 % of draws."""

_MOST_BINS = 10
_MOST_COUNTED = 20  # trials of which each number has a tick


def sensitivity(trials: Trials, of: TunedAxis) -> Figure:
    """Draw validation against one key: every trial a dot, per cell a line through the best of each part of the range.

    Trials without a score stand in a strip of their own above.
    """
    data: list[Trace] = []
    for label, each in trials.by_label():
        with_key = [trial for trial in each if of.key in trial.settings]
        data += _dots(label, with_key, of, trials.style[label])
        best_of_parts = _best_of_parts(trials, with_key, of)
        best = trials.best(with_key)
        x = [of.drawn(trial.settings[of.key]) for trial in best_of_parts]
        y = [trial.validation for trial in best_of_parts]
        data.append(line(label, x, y, trials.style[label], hoverinfo="skip", hovertemplate=None))
        if best is not None:
            data.append(_chosen(label, best, of, trials.style[label]))
    lost = any(trace["yaxis"] == "y2" for trace in data if "yaxis" in trace)
    layout: dict[str, Any] = {"xaxis": of.layout(), "yaxis": axis(trials.axis), "hovermode": "closest"}
    if lost:
        layout["yaxis"]["domain"] = [0, 0.88]
        layout["yaxis2"] = {
            "domain": [0.91, 1],
            "range": [-1, 1],
            "tickvals": [0],
            "ticktext": ["no score"],
            "showgrid": False,
            "zeroline": False,
            "automargin": True,
        }
    if not of.choice.values and trials.searched.ended:
        layout["shapes"] = _edges(layout["xaxis"])
    return figure(data, 440, **layout)


def _dots(label: str, each: Sequence[Trial], of: TunedAxis, style: Style) -> list[Trace]:
    traces: list[Trace] = []
    for trial_fate in FATES:
        some = [trial for trial in each if fate(trial) == trial_fate]
        for scored in (True, False):
            here = [trial for trial in some if (trial.validation is not None) == scored]
            if not here or (trial_fate in ("running", "waiting") and not scored):
                continue
            said = trial_fate if scored else f"{trial_fate}, no score"
            words = [literal(f"{of.name} {of.said(trial.settings[of.key])}") for trial in here]
            height: Any = [trial.validation for trial in here] if scored else jitter(len(here), 1.0)
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": literal(label),
                    "legendgroup": literal(label),
                    "showlegend": False,
                    "x": numbers([of.drawn(trial.settings[of.key]) for trial in here], 10),
                    "y": numbers(height),
                    "text": words,
                    "customdata": [trial.number for trial in here],
                    "marker": marker(style, trial_fate),
                    "hovertemplate": f"{literal(label)}, trial %{{customdata}} ({said}): %{{text}}"
                    f"{', %{y:.5~g}' if scored else ''}<extra></extra>",
                    **({} if scored else {"yaxis": "y2"}),
                }
            )
    return traces


def _best_of_parts(trials: Trials, each: Sequence[Trial], of: TunedAxis) -> list[Trial]:
    """Return the best finished trial of each listed value, or of each part of a range, from low to high.

    Parts are of equal width on the key's own scale, about the root of the number of trials.
    """
    finished = [trial for trial in each if trial.state == "finished" and trial.validation is not None]
    parts = min(_MOST_BINS, max(2, round(math.sqrt(len(finished)))))
    found: dict[float, Trial] = {}
    for trial in finished:
        place = of.place(trial.settings[of.key])
        if place is not None:
            part = place if of.choice.values else min(parts - 1, max(0, math.floor(place * parts)))
            if part not in found or trials.badness(trial) < trials.badness(found[part]):
                found[part] = trial
    return sorted(found.values(), key=lambda trial: of.place(trial.settings[of.key]) or 0.0)


def _chosen(label: str, best: Trial, of: TunedAxis, style: Style) -> Trace:
    """The chosen setting, ringed."""
    ring = {"symbol": "circle-open", "size": 17, "color": style.colour, "line": {"width": 2.5, "color": style.colour}}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": literal(label),
        "legendgroup": literal(label),
        "showlegend": False,
        "x": numbers([of.drawn(best.settings[of.key])], 10),
        "y": numbers([best.validation]),
        "text": [literal(f"{of.name} {of.said(best.settings[of.key])}")],
        "marker": ring,
        "hovertemplate": f"{literal(label)}, chosen: %{{text}}, %{{y:.5~g}}<extra></extra>",
    }


def _edges(xaxis: dict[str, Any]) -> list[dict[str, Any]]:
    """Shade the outer twentieth of the range at each end."""
    low, high = xaxis["range"]
    inner = (high - low) / 1.06  # the range has a margin of 3 % at each end
    log = xaxis["type"] == "log"
    shapes = []
    for end, inwards in ((low, low + (0.03 + EDGE) * inner), (high, high - (0.03 + EDGE) * inner)):
        ends = numbers([10**v for v in (end, inwards)] if log else [end, inwards])
        shapes.append(
            {
                "type": "rect",
                "xref": "x",
                "yref": "paper",
                "x0": ends[0],
                "x1": ends[1],
                "y0": 0,
                "y1": 1,
                "fillcolor": faded(NEUTRAL, 0.13),
                "line": {"width": 0},
                "layer": "below",
            }
        )
    return shapes


def expected_best(trials: Trials, *, bands: bool) -> Figure:
    """Draw the expected best validation of k trials per cell; `bands` hold the middle `LEVEL` of draws."""
    data: list[Trace] = []
    most = 1
    for tuned in trials.searched.record.tuned:
        values = values_counted(trials, tuned)
        curve = expected_curve(trials, tuned)
        if not curve.size:
            continue
        most = max(most, curve.size)
        k, style = np.arange(1, curve.size + 1), trials.style[tuned.label]
        keep = thinned(curve.size)
        if bands and values.size == curve.size > 1:
            worse, better = spread(values, trials.searched.record.direction, LEVEL)
            data.append(band(tuned.label, k[keep], worse[keep], better[keep], style))
        points = {"mode": "lines+markers", "marker": {"size": 6, "symbol": style.symbol}} if curve.size <= 30 else {}
        hover = f"{literal(tuned.label)}, best of %{{x}}: %{{y:.5~g}}<extra></extra>"
        data.append(line(tuned.label, k[keep], curve[keep], style, hovertemplate=hover, **points))
    heights = [y for trace in data for y in trace["y"] if y is not None and trace.get("fill") is None]
    wide = bool(heights) and min(heights) > 0 and max(heights) > 8 * min(heights)
    y = Axis(f"expected best {trials.axis.name}", trials.axis.unit, "log" if wide else "linear")
    x = {"title": {"text": "trials, k"}, "automargin": True, "range": numbers([0.5, most + 0.5])}
    if most <= _MOST_COUNTED:
        x["dtick"] = 1
    return figure(data, 400, xaxis=x, yaxis=axis(y), hovermode="closest")


def values_counted(trials: Trials, tuned: Tuned) -> Any:
    """Return the value that each ended trial of a label counts with, ``(B,)``."""
    ended = [trial for trial in trials.searched.trials.get(tuned.label, ()) if trial.has_ended]
    by_state = {
        state: [t.validation for t in ended if t.state == state and t.validation is not None]
        for state in ("finished", "pruned")
    }
    without = len(ended) - sum(len(each) for each in by_state.values())
    return counted(by_state["finished"], by_state["pruned"], without, trials.searched.record.direction)


def expected_curve(trials: Trials, tuned: Tuned) -> Any:
    """Return the expected best of k = 1 ... B trials without replacement, ``(B,)``: as recorded, else of the trials."""
    if tuned.expected_best is not None:
        return np.asarray(tuned.expected_best.unbiased, dtype=np.float64)
    return unbiased(values_counted(trials, tuned), trials.searched.record.direction)


def importances(trials: Trials, known: Sequence[tuple[str, Importance]], axes: Sequence[TunedAxis]) -> Figure:
    """Draw the share of validation's variance that is due to each key, a dot a cell; what matters most on top.

    Args:
        trials: give the looks.
        known: labels with what is known of them.
        axes: of the tuned keys.
    """
    mean = {of.key: float(np.mean([importance.alone.get(of.key, 0.0) for _, importance in known])) for of in axes}
    rows = [(of.key, literal(of.key)) for of in sorted(axes, key=lambda of: mean[of.key])]
    rows = [("", "settings together"), *rows]
    data: list[Trace] = []
    for number, (label, importance) in enumerate(known):
        style = trials.style[label]
        offset = 0.5 * (0.5 - (number + 0.5) / len(known))
        shares = [(p, importance.together if not key else importance.alone.get(key)) for p, (key, _) in enumerate(rows)]
        there = [(place, share) for place, share in shares if share is not None]
        trace = line(label, [share for _, share in there], [place + offset for place, _ in there], style)
        dots = {"color": style.colour, "symbol": style.symbol, "size": 10, "opacity": 0.85}
        hover = f"{literal(label)}: %{{x:.1%}}<extra></extra>"
        data.append({**trace, "mode": "markers", "marker": dots, "hovertemplate": hover})
    x = {
        "title": {"text": "share of the variance of validation"},
        "range": [-0.02, 1.02],
        "tickformat": ".0%",
        "automargin": True,
    }
    y = {
        "tickvals": list(range(len(rows))),
        "ticktext": [text for _, text in rows],
        "range": [-0.5, len(rows) - 0.5],
        "automargin": True,
        "zeroline": False,
    }
    return figure(data, 130 + 46 * len(rows), xaxis=x, yaxis=y, hovermode="closest")
