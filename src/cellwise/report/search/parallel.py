"""Parallel coordinates of a search: each trial is a line through its settings, its validation and what became of it.

Drawn as plain lines: Plotly's own kind of trace compiles code as it draws, which the page's policy forbids, and needs
WebGL, which a browser on a remote machine may lack. So there is a legend, and every axis has its own scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cellwise.compare.numbers import short
from cellwise.records.tuning import Trial
from cellwise.report.search.trial_look import FATES, Fate, Trials, fate
from cellwise.report.search.tuned_axis import TunedAxis, even, of_decades, plain_number
from cellwise.report.theme import NEUTRAL, faded, literal
from cellwise.report.traces import Figure, Trace, figure, numbers

_BELOW = -0.14  # where a line goes that has no value on an axis
_FEWEST_FOR_BEST = 8  # finished trials of a cell, of which a quarter is shown alone
_APART, _MOST_APART = 0.008, 0.04  # of the lines of two cells, and of all
_MOST_WORDS = 8  # on an axis of listed values; more would overlap


@dataclass(frozen=True)
class _Validation:
    """The axis of validation, better upwards: from the worst at 0 to the best at 1."""

    values: Sequence[float]
    log: bool
    lower_is_better: bool

    def place(self, value: float | None) -> float:
        if value is None:
            return _BELOW
        low, high = self._scaled(min(self.values)), self._scaled(max(self.values))
        share = (self._scaled(value) - low) / ((high - low) or 1.0)
        return 1 - share if self.lower_is_better else share

    def ticks(self) -> list[tuple[float, str]]:
        if not self.values:
            return []
        low, high = min(self.values), max(self.values)
        ticks = of_decades(low, high) if self.log else even(low, high, whole=False)
        return [(self.place(value), plain_number(value)) for value in ticks]

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value


def parallel_coordinates(trials: Trials, axes: Sequence[TunedAxis]) -> dict[str, Figure]:
    """Draw every trial that has settings; and, of cells with enough of them, the best quarter alone.

    Random search tries the same settings with every cell: lines of different cells are drawn a little apart.

    Args:
        trials: the search.
        axes: of the tuned keys, from left to right.
    """
    every = dict(trials.by_label())
    coordinates = _coordinates(trials, axes)
    found = {"every trial": coordinates.figure(every)}
    quarter = {label: _best_quarter(trials, each) for label, each in every.items()}
    if any(len(each) >= _FEWEST_FOR_BEST // 4 for each in quarter.values()):
        found["best quarter of each cell"] = coordinates.figure(quarter)
    return found


def _best_quarter(trials: Trials, each: Sequence[Trial]) -> tuple[Trial, ...]:
    scored = [trial for trial in each if trial.state == "finished" and trial.validation is not None]
    return tuple(sorted(scored, key=trials.badness)[: len(scored) // 4])


def _coordinates(trials: Trials, axes: Sequence[TunedAxis]) -> _Coordinates:
    every = dict(trials.by_label())
    fates = [f for f in FATES if any(fate(trial) == f for each in every.values() for trial in each)]
    step = min(_APART, _MOST_APART / max(len(every), 1))
    apart = {label: step * ((len(every) - 1) / 2 - number) for number, label in enumerate(every)}
    validation = _Validation(trials.scored(), trials.log, trials.lower_is_better)
    return _Coordinates(trials, axes, validation, fates, apart)


@dataclass(frozen=True)
class _Coordinates:
    """The axes: those of the tuned keys, validation, and what became of a trial where that differs.

    `apart` moves the lines of a label on the axes of keys and states.
    """

    trials: Trials
    axes: Sequence[TunedAxis]
    validation: _Validation
    fates: Sequence[Fate]
    apart: Mapping[str, float]

    @property
    def names(self) -> list[str]:
        states = ["state"] if len(self.fates) > 1 else []
        return [axis.name for axis in self.axes] + [self.trials.axis.name] + states

    def figure(self, shown: Mapping[str, Sequence[Trial]]) -> Figure:
        count = sum(len(each) for each in shown.values())
        opacity = min(0.7, max(0.07, 4 / math.sqrt(max(count, 1))))
        data: list[Trace] = []
        for label, each in shown.items():
            of_label = []
            for one in self.fates:
                some = [trial for trial in each if fate(trial) == one]
                of_label += [self._lines(label, some, one, opacity)] if some else []
            best = self.trials.best(each)
            of_label += [self._best(label, best)] if best is not None else []
            if of_label:
                of_label[-1]["showlegend"] = True
            data += of_label
        ticks = self._ticks([trial for each in shown.values() for trial in each])
        lowest = min(place for _, place, _ in ticks) if ticks else 0.0
        return figure([*data, _tick_texts(ticks, len(self.names) - 1)], 480, **self._layout(min(lowest, 0.0)))

    def _layout(self, lowest: float) -> dict[str, Any]:
        names = self.names
        return {
            "margin": {"l": 90, "r": 84, "t": 24, "b": 16},
            "xaxis": {
                "tickvals": list(range(len(names))),
                "ticktext": [literal(name) for name in names],
                "side": "top",
                "range": [-0.35, len(names) - 0.65],
                "gridcolor": NEUTRAL,
                "zeroline": False,
                "ticks": "",
                "automargin": True,
                "fixedrange": True,
            },
            "yaxis": {"visible": False, "fixedrange": True, "range": numbers([lowest - 0.06, 1.06])},
            "hovermode": "closest",
            # A drag is not to zoom: `script/parallel.js` takes it, to keep some trials or to move an axis.
            "dragmode": False,
            "meta": {"parallel": True},
            "legend": {"orientation": "h", "y": -0.02, "yanchor": "top", "x": 0},
        }

    def _through(self, label: str, trial: Trial) -> tuple[list[float], list[str]]:
        """Where a trial's line goes through each axis, and what stands there."""
        apart = self.apart[label]
        places = [axis.place(trial.settings[axis.key]) if axis.key in trial.settings else None for axis in self.axes]
        heights = [(_BELOW if place is None else place) + apart for place in places]
        words = [
            axis.said(trial.settings[axis.key]) if axis.key in trial.settings else "not tuned" for axis in self.axes
        ]
        heights.append(self.validation.place(trial.validation))
        words.append(short(trial.validation, 5) if trial.validation is not None else "no score")
        if len(self.fates) > 1:
            heights.append(_fate_place(fate(trial), self.fates) + apart)
            words.append(fate(trial))
        return heights, words

    def _lines(self, label: str, some: Sequence[Trial], one: Fate, opacity: float) -> Trace:
        """The lines of some trials as one, with gaps between them: a trace each would be slow."""
        x: list[Any] = []
        y: list[Any] = []
        text: list[str] = []
        number: list[int] = []
        for trial in some:
            heights, words = self._through(label, trial)
            x += [*range(len(heights)), None]
            y += [*numbers(heights, 4), None]
            text += [*(literal(word) for word in words), ""]
            number += [trial.number] * (len(heights) + 1)
        colour, dash = faded(self.trials.style[label].colour, opacity), "solid" if one == "finished" else "dot"
        return {
            "type": "scatter",
            "mode": "lines",
            "name": literal(label),
            "legendgroup": literal(label),
            "showlegend": False,
            "x": x[:-1],
            "y": y[:-1],
            "text": text[:-1],
            "customdata": number[:-1],
            "line": {"color": colour, "width": 1.4, "dash": dash},
            "hovertemplate": f"{literal(label)}, trial %{{customdata}}: %{{text}}<extra></extra>",
        }

    def _best(self, label: str, best: Trial) -> Trace:
        """The best trial again, thick and with its settings marked."""
        style = self.trials.style[label]
        return {
            **self._lines(label, [best], "finished", 1.0),
            "mode": "lines+markers",
            "line": {"color": style.colour, "width": 3, "dash": style.dash},
            "marker": {"color": style.colour, "symbol": style.symbol, "size": 9},
            "hovertemplate": f"{literal(label)}, best trial (%{{customdata}}): %{{text}}<extra></extra>",
        }

    def _ticks(self, shown: Sequence[Trial]) -> list[tuple[int, float, str]]:
        """Where on which axis which value stands."""
        ticks = [(x, place, text) for x, axis in enumerate(self.axes) for place, text in _sparse(axis.ticks())]
        for x, axis in enumerate(self.axes):
            if any(axis.key not in trial.settings for trial in shown):
                ticks.append((x, _BELOW, "not tuned"))
        at = len(self.axes)
        ticks += [(at, place, text) for place, text in self.validation.ticks()]
        if any(trial.validation is None for trial in shown):
            ticks.append((at, _BELOW, "no score"))
        if len(self.fates) > 1:
            ticks += [(at + 1, _fate_place(one, self.fates), one) for one in self.fates]
        return ticks


def _fate_place(one: Fate, fates: Sequence[Fate]) -> float:
    """Finished on top."""
    return 1 - (fates.index(one) + 0.5) / len(fates)


def _tick_texts(ticks: Sequence[tuple[int, float, str]], last: int) -> Trace:
    """The values on every axis, in the page's own colour of text; beside the last axis there are no lines."""
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [x for x, _, _ in ticks],
        "y": numbers([place for _, place, _ in ticks], 4),
        "text": [f" {literal(text)} " for _, _, text in ticks],
        "textposition": ["middle right" if x == last else "middle left" for x, _, _ in ticks],
        "marker": {"symbol": "line-ew-open", "size": 7, "color": NEUTRAL},
        "showlegend": False,
        "hoverinfo": "skip",
        "cliponaxis": False,
    }


def _sparse(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """As many ticks as have room."""
    return ticks[:: math.ceil(len(ticks) / _MOST_WORDS)] if len(ticks) > _MOST_WORDS else ticks
