"""How often the intervals of `cellwise.compare` hold the truth, by simulation: what "95 %" is worth at a few runs.

`coverage.csv` holds the answer for every interval, number of runs and kind of scores; `docs/statistics.md` and the
report state it from there. `make coverage` simulates it anew (about ten minutes).

Scores are normal, or skewed: lognormal with sd 1 of the logarithm, which is more than most test scores are. Two cells
have different scatter; seeds that pair correlate by 0.5.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from scipy import integrate, optimize, stats

from cellwise.compare.blocks import interval_over_events
from cellwise.compare.improvement import probability_of_improvement
from cellwise.compare.profiles import interquartile_mean_over_tasks, performance_profile
from cellwise.compare.statistics import mean_interval, paired_difference, unpaired_difference
from cellwise.compare.survival import median_time, waiting
from cellwise.compare.values import Floats

Kind: TypeAlias = Literal["normal", "lognormal"]
RUNS = (3, 5, 10, 20, 30)
_KINDS: tuple[Kind, ...] = ("normal", "lognormal")
_COLUMNS = ("interval", "scores", "n", "percent", "trials")
_OFFSETS = np.arange(4) / 2  # how much easier each task is than the first


@dataclass(frozen=True)
class Coverage:
    """Of ``trials`` simulated intervals at 95 % from ``n`` runs, ``percent`` held the truth."""

    interval: str
    scores: Kind
    n: int
    percent: float
    trials: int


@cache
def stated() -> tuple[Coverage, ...]:
    """Return what `coverage.csv` says, in its order."""
    text = (resources.files("cellwise.compare") / "coverage.csv").read_text(encoding="utf-8")
    return tuple(
        Coverage(row["interval"], _kind(row["scores"]), int(row["n"]), float(row["percent"]), int(row["trials"]))
        for row in csv.DictReader(text.splitlines())
    )


def said_of(interval: str, scores: Kind) -> str:
    """Return the whole percents of an interval for `RUNS`, as docstrings and tables have them: `95, 95, 94, 95, 95`."""
    found = {one.n: one.percent for one in stated() if (one.interval, one.scores) == (interval, scores)}
    return ", ".join(f"{found[n]:.0f}" for n in RUNS)


def worth(n: int) -> str:
    """Return in one sentence what the interval of the mean of ``n`` runs is worth; "" below the fewest simulated."""
    known = [runs for runs in RUNS if runs <= n]
    if not known:
        return ""
    percent = {
        one.scores: one.percent for one in stated() if (one.interval, one.n) == (next(iter(INTERVALS)), known[-1])
    }
    return (
        f"An interval of {known[-1]} runs holds the true mean {percent['normal']:.0f} times in 100 where scores are "
        f"normal, {percent['lognormal']:.0f} times where they are as skewed as lognormal ones."
    )


def simulate(interval: str, scores: Kind, n: int, trials: int) -> Coverage:
    """Draw ``trials`` samples of ``n`` runs and count the intervals that hold the truth."""
    one, number = INTERVALS[interval][0](scores), list(INTERVALS).index(interval)
    rng = np.random.default_rng([number, _KINDS.index(scores), n])
    held = 0
    for _ in range(trials):
        low, high, truth = one(rng, n)
        held += low <= truth <= high
    return Coverage(interval, scores, n, 100 * held / trials, trials)


Trial: TypeAlias = Callable[[np.random.Generator, int], tuple[float, float, float]]


def _scored(z: Floats, kind: Kind) -> Floats:
    return np.exp(z) if kind == "lognormal" else z


def _mean_of(kind: Kind, sd: float = 1.0) -> float:
    return math.exp(sd**2 / 2) if kind == "lognormal" else 0.0


def _mean(kind: Kind) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> tuple[float, float, float]:
        _, low, high = mean_interval(_scored(rng.normal(size=n), kind))
        return low, high, _mean_of(kind)

    return trial


def _paired(kind: Kind) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> tuple[float, float, float]:
        a, other = rng.normal(size=(2, n))
        b = (0.5 * a + math.sqrt(0.75) * other) / 2
        found = paired_difference(_scored(a, kind), _scored(b, kind))
        return found.low, found.high, _mean_of(kind) - _mean_of(kind, 0.5)

    return trial


def _unpaired(kind: Kind) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> tuple[float, float, float]:
        a, b = rng.normal(size=(2, n))
        found = unpaired_difference(_scored(a, kind), _scored(b / 2, kind))
        return found.low, found.high, _mean_of(kind) - _mean_of(kind, 0.5)

    return trial


def _improvement(truth: float) -> Callable[[Kind], Trial]:
    def of(kind: Kind) -> Trial:
        ahead = _ahead(kind, truth)

        def trial(rng: np.random.Generator, n: int) -> tuple[float, float, float]:
            a, b = _scored(rng.normal(size=(2, n)), kind)
            _, low, high = probability_of_improvement(a + ahead, b)
            return low, high, truth

        return trial

    return of


def _ahead(kind: Kind, truth: float) -> float:
    """By how much one of two equal cells must be ahead to win with a probability."""
    if kind == "normal":
        return float(stats.norm.ppf(truth)) * math.sqrt(2)

    def short_of(ahead: float) -> float:
        won = integrate.quad(lambda z: stats.norm.pdf(z) * stats.norm.cdf(math.log(math.exp(z) + ahead)), -8, 8)[0]
        return float(won) - truth

    return float(optimize.brentq(short_of, 0.0, 10.0)) if truth > 0.5 else 0.0


def _interquartile(kind: Kind) -> Trial:
    many = np.sort((_scored(np.random.default_rng(0).normal(size=(4, 500_000)), kind) + _OFFSETS[:, None]).ravel())
    truth = float(many[many.size // 4 : -(many.size // 4)].mean())

    def trial(rng: np.random.Generator, n: int) -> tuple[float, float, float]:
        scores = _scored(rng.normal(size=(4, n)), kind) + _OFFSETS[:, None]
        _, low, high = interquartile_mean_over_tasks({str(task): row for task, row in enumerate(scores)})
        return low, high, truth

    return trial


def _profile(kind: Kind) -> Trial:
    truth = float(stats.norm.cdf(_OFFSETS).mean())  # of normal and of lognormal scores alike

    def trial(rng: np.random.Generator, n: int) -> tuple[float, float, float]:
        scores = _scored(rng.normal(size=(4, n)) + _OFFSETS[:, None], kind)
        threshold = float(_scored(np.zeros(1), kind)[0])
        found = performance_profile({str(task): row for task, row in enumerate(scores)}, [threshold])
        return float(found.low[0]), float(found.high[0]), truth

    return trial


def _median_time(kind: Kind) -> Trial:
    truth, budget = (10.0 + float(_scored(np.array(z), kind)) for z in (0.0, stats.norm.ppf(0.7)))

    def trial(rng: np.random.Generator, n: int) -> tuple[float, float, float]:
        times = np.maximum(0.0, 10.0 + _scored(rng.normal(size=n), kind))  # three runs of ten are cut off
        _, low, high = median_time(waiting(np.minimum(times, budget), times > budget))
        return low, high, truth

    return trial


def _events(kind: Kind) -> Trial:
    def trial(rng: np.random.Generator, n: int) -> tuple[float, float, float]:
        event = np.repeat(np.arange(n), rng.integers(5, 16, size=n))
        values = _scored(rng.normal(size=n), kind)[event] + rng.normal(0, 0.5, size=event.size)
        _, low, high = interval_over_events(values, event)
        return low, high, _mean_of(kind)

    return trial


INTERVALS: dict[str, tuple[Callable[[Kind], Trial], int]] = {
    "mean of n runs": (_mean, 4000),
    "paired difference of n seeds": (_paired, 4000),
    "difference of n and n runs": (_unpaired, 4000),
    "probability of improvement, truth 0.5": (_improvement(0.5), 4000),
    "probability of improvement, truth 0.75": (_improvement(0.75), 4000),
    "interquartile mean over 4 tasks": (_interquartile, 2000),
    "performance profile over 4 tasks": (_profile, 4000),
    "median time to target": (_median_time, 2000),
    "mean over n events": (_events, 4000),
}
"""Each interval: how a trial is made, and how many are simulated; what takes longer is simulated less often."""


def _kind(name: str) -> Kind:
    return "lognormal" if name == "lognormal" else "normal"


def _all() -> Iterator[Coverage]:
    for interval, (_, trials) in INTERVALS.items():
        for scores in _KINDS:
            yield from (simulate(interval, scores, n, trials) for n in RUNS)


def table() -> str:
    """Return the table of `docs/statistics.md`, from `coverage.csv`."""
    lines = ["| interval at 95 % | scores | " + " | ".join(f"n = {n}" for n in RUNS) + " |"]
    lines.append("| --- | --- |" + " ---: |" * len(RUNS))
    for interval in INTERVALS:
        lines += [f"| {interval} | {scores} | {said_of(interval, scores).replace(', ', ' | ')} |" for scores in _KINDS]
    return "\n".join(lines)


def main() -> None:
    """Simulate everything and write `coverage.csv`."""
    with open(Path(__file__).with_name("coverage.csv"), "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for one in _all():
            writer.writerow(astuple(one))
            print(f"{one.interval}, {one.scores}, n = {one.n}: {one.percent:.1f} %", flush=True)


if __name__ == "__main__":
    main()
