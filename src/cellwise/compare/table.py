"""The comparison of cells: one row per configuration, best first, floors and optimum beside them."""

from __future__ import annotations

import math
import statistics as middle
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cellwise.compare.bounds import least_value
from cellwise.compare.comparable import Ground
from cellwise.compare.coverage import worth
from cellwise.compare.edges import said_of_ends
from cellwise.compare.groups import Group, group_runs, refusals
from cellwise.compare.numbers import short
from cellwise.compare.statistics import interquartile_mean, mean_interval
from cellwise.compare.tuning import chosen, said_of_tuning, tuned_alike, tuned_keys, unequal_tries
from cellwise.compare.verdict import UNTUNED, Scale, Scores, Verdict, judge
from cellwise.records.identity import what_counts
from cellwise.records.plain import flat
from cellwise.records.schema import Direction, RunInfo, Summary
from cellwise.records.store import RunRecord, Study
from cellwise.records.tuning import TuningRecord, read_tuning


@dataclass(frozen=True)
class Row:
    """One configuration: its scores over seeds (in the objective's unit) and what it costs.

    ``values`` maps a seed to its test score. ``n`` counts them; ``failed`` counts failed and diverged runs,
    ``running`` those that are not finished. Costs are medians over seeds; bounds are those of `mean_interval` at 95 %.
    """

    label: str
    cell: str
    n: int
    failed: int
    running: int
    mean: float
    sd: float
    low: float
    high: float
    median: float
    interquartile_mean: float
    parameters_total: int | None
    parameters_recurrent: int | None
    flops_per_step: int | None
    throughput: float
    throughput_unit: str
    train_seconds: float
    peak_memory_bytes: float
    values: dict[int, float]


@dataclass(frozen=True)
class Failure:
    """A run without a score, and why."""

    label: str
    seed: int
    error: str
    path: str


@dataclass(frozen=True)
class Comparison:
    """Everything that is said about the runs of one task and objective.

    ``floors`` and ``optimum`` are means over runs; ``direction`` is ``min`` or ``max``. No score can be below
    ``least``: minus infinity where no such value is known. ``fair`` says that the cells were tuned alike and differ in
    nothing else, so that the verdict's first caveat is none.
    """

    group: Group
    direction: Direction
    unit: str
    rows: tuple[Row, ...]
    floors: dict[str, float]
    optimum: float | None
    failures: tuple[Failure, ...]
    verdict: Verdict
    least: float = -math.inf
    fair: bool = False

    @property
    def task(self) -> str:
        """The task's name."""
        return self.group.task

    @property
    def objective(self) -> str:
        """The objective's name."""
        return self.group.objective

    @property
    def title(self) -> str:
        """What is compared, in short: task, objective, and what sets the runs apart from others of it."""
        return ", ".join(word for word in (self.task, self.objective, self.group.apart) if word)

    @property
    def sized(self) -> bool:
        """Whether a budget decided the cells' hidden sizes."""
        return any(run.config.get("budget") for run in _one_each(self.group))

    def shown_interval(self, row: Row) -> tuple[float, float]:
        """Return a row's interval as it is shown: cut where no score can be."""
        return max(row.low, self.least), max(row.high, self.least)

    @property
    def cut(self) -> str:
        """Say where intervals are cut, ``cut at 0``; "" where none is."""
        return f"cut at {short(self.least)}" if any(row.low < self.least for row in self.rows) else ""

    @property
    def worth(self) -> str:
        """Say how often an interval of so few runs holds the truth; "" where no row has three."""
        return worth(min((row.n for row in self.rows if row.n > 1), default=0))

    @property
    def spread(self) -> float:
        """The typical standard deviation over seeds, NaN where no cell has two; the digits of what has none."""
        known = [row.sd for row in self.rows if math.isfinite(row.sd)]
        return middle.median(known) if known else math.nan

    @property
    def scale(self) -> str:
        """The objective with its unit and direction and what sets the runs apart, as a heading says it."""
        if not self.objective:
            return "no score yet"
        unit = f" ({self.unit})" if self.unit and self.unit != self.objective else ""
        better = "lower is better" if self.direction == "min" else "higher is better"
        apart = f"; {self.group.apart}" if self.group.apart else ""
        return f"test {self.objective.replace('_', ' ')}{unit}, {better}{apart}"


def compare(study: Study, across: Collection[Ground] = ()) -> tuple[Comparison, ...]:
    """Return one comparison per task and objective of the study, and per data, budget and code.

    Args:
        study: the runs.
        across: what runs may differ in and be compared all the same.
    """
    shown, record, left_out = _chosen(study)
    return tuple(compare_group(group, record, left_out) for group in group_runs(shown, across))


def not_compared(study: Study, across: Collection[Ground] = ()) -> tuple[str, ...]:
    """Return one line for each reason for which runs of one objective are not compared, with what to type."""
    return refusals(_chosen(study)[0], across)


def _chosen(study: Study) -> tuple[Study, TuningRecord | None, str]:
    """The runs to be compared, what tuning says of them, and of those that it did not choose."""
    record = read_tuning(study.path)
    if record is None:
        return study, None, ""
    shown, left_out = chosen(study, record)
    return shown, record, left_out


def compare_group(group: Group, record: TuningRecord | None = None, left_out: str = "") -> Comparison:
    """Compare the runs of one task and objective.

    Args:
        group: the runs.
        record: of tuning, where the study was tuned.
        left_out: what to say of runs that are not compared.
    """
    summaries = [run.summary for run in group.runs if run.summary is not None]
    started = [run.info for run in group.runs if run.info is not None and run.info.objective]
    known: list[Summary | RunInfo] = [*summaries, *started]
    direction: Direction = known[0].direction if known else "min"
    unit = known[0].unit if known else ""
    rows = [_row(group, label) for label in group.labels.values()]
    sign = 1 if direction == "min" else -1
    rows.sort(key=lambda row: (math.isnan(row.mean), sign * row.mean, row.label))
    floors = {
        name: _mean(s.floors[name] for s in summaries if name in s.floors)
        for name in sorted({name for s in summaries for name in s.floors})
    }
    optima = [s.optimum for s in summaries if s.optimum is not None]
    optimum = _mean(optima) if optima else None
    scale = Scale(group.objective, unit, direction)
    tuning, fair = _tuning(group, record)
    verdict = judge([Scores(row.label, row.values) for row in rows], scale, floors, tuning)
    if record is not None and (said := said_of_ends(record, _one_each(group))):
        verdict = verdict.with_caveat(said)
    if left_out:
        verdict = verdict.with_caveat(left_out)
    if record is None and (said := unequal_tries(_one_each(group))):
        verdict = verdict.with_caveat(said)
    for said in group.crossed:
        verdict = verdict.with_caveat(f"Compared all the same, though {said}.")
    return Comparison(
        group,
        direction,
        unit,
        tuple(rows),
        floors,
        optimum,
        tuple(_failures(group)),
        verdict,
        least_value(group.objective, direction, optimum),
        fair,
    )


def _tuning(group: Group, record: TuningRecord | None) -> tuple[str, bool]:
    """Say how the cells were tuned, or that nothing was, and which other settings differ; and whether it was fair."""
    runs = _one_each(group)
    configs = [run.config for run in runs]
    tuned = said_of_tuning(record, runs) if record is not None else None
    chosen_keys = tuned_keys(record) if record is not None and tuned is not None else set()
    differing = [key for key in settings_that_differ(configs) if key not in chosen_keys]
    if differing:
        named = ", ".join(differing[:4]) + (", ..." if len(differing) > 4 else "")
        besides = f"The runs differ in more than the cell ({named}): a difference between rows may come from that."
        return (f"{tuned} {besides}" if tuned is not None else besides), False
    budget = next((config["budget"] for config in configs if config.get("budget")), None)
    sized = "" if budget is None else f"Each cell's recurrent layers were sized to {budget}. "
    return sized + (tuned or UNTUNED), record is not None and tuned_alike(record, runs)


def _one_each(group: Group) -> list[RunRecord]:
    """One finished run of each identity: runs of one identity have the same settings, so one of each is read."""
    return list({(run.cell, run.identity): run for run in group.runs if run.summary is not None}.values())


def settings_that_differ(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the keys with several values that decide a result, besides the cell's own and what a budget found."""
    values: dict[str, set[str]] = {}
    read = list(configs)
    for config in read:
        for key, value in flat({group: value for group, value in what_counts(config).items() if group != "cell"}):
            # Of a network that a budget sized the budget was chosen, not the number of units.
            chosen = config.get("budget") if key == "network.hidden_size" else None
            values.setdefault(key, set()).add(repr(chosen or value))
    budgets = {config.get("budget") for config in read}
    values["budget"] = {repr(budget) for budget in budgets}
    return sorted(key for key, found in values.items() if len(found) > 1)


def _row(group: Group, label: str) -> Row:
    runs = [run for run in group.runs if group.label(run) == label]
    scored = [(run.seed, run.summary) for run in runs if run.summary and math.isfinite(run.summary.value)]
    values = {seed: summary.value for seed, summary in scored}
    summaries = [summary for _, summary in scored]
    scores = np.array(list(values.values()))
    mean, low, high = mean_interval(scores)
    known = [run.summary or run.info for run in runs if run.summary or run.info]
    parameters = next((k.parameters for k in known if k is not None and k.parameters is not None), None)
    return Row(
        label=label,
        cell=runs[0].cell,
        n=len(values),
        failed=sum(1 for run in runs if _why(run)),
        running=sum(run.status == "running" for run in runs),
        mean=mean,
        sd=float(scores.std(ddof=1)) if len(scores) > 1 else math.nan,
        low=low,
        high=high,
        median=float(np.median(scores)) if len(scores) else math.nan,
        interquartile_mean=interquartile_mean(scores),
        parameters_total=parameters.total if parameters else None,
        parameters_recurrent=parameters.recurrent if parameters else None,
        flops_per_step=next((k.flops_per_step for k in known if k is not None and k.flops_per_step), None),
        throughput=_median(summaries, "throughput"),
        throughput_unit=summaries[0].throughput.unit if summaries else "",
        train_seconds=_median(summaries, "train_seconds"),
        peak_memory_bytes=_median(summaries, "peak_memory_bytes"),
        values=values,
    )


def _failures(group: Group) -> list[Failure]:
    return [Failure(group.label(run), run.seed, why, str(run.path)) for run in group.runs if (why := _why(run))]


def _why(run: RunRecord) -> str:
    """Say why a run has no score; "" where it has one or is still running."""
    if run.status == "failed":
        return run.error or "failed without a message"
    if run.summary is not None and not math.isfinite(run.summary.value):
        return f"diverged: {run.summary.objective} is not a finite number"
    return ""


def _median(summaries: list[Summary], what: str) -> float:
    values = [s.throughput.value if what == "throughput" else float(getattr(s, what)) for s in summaries]
    return middle.median(values) if values else math.nan


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return middle.fmean(found) if found else math.nan
