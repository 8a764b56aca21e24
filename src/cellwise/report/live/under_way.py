"""How far the runs of a study are while they run: what `cellwise watch` shows above the page."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from cellwise.compare.numbers import short
from cellwise.records.planned import read_plan
from cellwise.records.store import RunRecord, Study
from cellwise.report.terminal.status import state_of, told

SHOWN = ("running", "cut off")


@dataclass(frozen=True)
class Running:
    """A run that has not ended; texts are "" where nothing is known.

    ``share`` is 0 to 1, None where the steps in all are not known. ``left`` is the time that the steps still to come
    take at the pace so far: of a run that may stop early it is the longest.
    """

    label: str
    seed: int
    state: str
    step: str
    share: float | None
    loss: str
    validation: str
    left: str


@dataclass(frozen=True)
class UnderWay:
    """``told`` counts the runs by state, as `cellwise status` does."""

    told: str
    runs: tuple[Running, ...]


def under_way(study: Study) -> UnderWay:
    """Return how far a study is: its runs, and those of its plan that have not begun."""
    states = [(state_of(run), run) for run in study.runs]
    known = {f"{run.path.parent.name}/{run.path.name}" for run in study.runs}
    counts = Counter(state for state, _ in states)
    counts["waiting"] = sum(name not in known for name in read_plan(study.path))
    several = Counter(cell for cell, _ in {(run.cell, run.identity) for run in study.runs})
    runs = [
        _running(f"{run.cell}-{run.identity}" if several[run.cell] > 1 else run.cell, state, run)
        for shown in SHOWN
        for state, run in states
        if state == shown
    ]
    return UnderWay(told(counts), tuple(runs))


def _running(label: str, state: str, run: RunRecord) -> Running:
    rows = run.metrics()
    step = next((row["step"] for row in reversed(rows) if type(row.get("step")) is int), None)
    in_all = run.info.steps if run.info else None
    seconds = next((row["seconds"] for row in reversed(rows) if _is_number(row.get("seconds"))), None)
    said = "nothing logged yet" if step is None else f"{step:,}" + (f" of {in_all:,}" if in_all else "")
    share = min(step / in_all, 1.0) if step is not None and in_all else None
    left = ""
    if state == "running" and step and in_all and seconds is not None:
        left = _duration(seconds / step * max(in_all - step, 0))
    return Running(label, run.seed, state, said, share, _last(rows, "train_"), _last(rows, "validation_"), left)


def _last(rows: list[dict[str, object]], prefix: str) -> str:
    """The name and value of the first score of this kind in the last row that has one."""
    for row in reversed(rows):
        for key, value in row.items():
            if key.startswith(prefix) and _is_number(value):
                return f"{key.removeprefix(prefix).replace('_', ' ')} {short(float(str(value)))}"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
