"""Verdicts in plain sentences: which cells are told apart by the seeds at hand, and what more would take."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cellwise.compare.improvement import probability_of_improvement
from cellwise.compare.numbers import decimals, percent, short
from cellwise.compare.power import seeds_needed, smallest_detectable_difference
from cellwise.compare.statistics import Difference, Interval, holm, paired_difference, unpaired_difference
from cellwise.records.schema import Direction

ALPHA = 0.05
POWER = 0.8
# Beyond this the exact number is of no use: nobody runs it.
MOST_SEEDS_NAMED = 1000
FEWEST_TO_PLAN_BY = 4
"""Below so many seeds the scatter is not known well enough to say how many seeds would tell."""

UNTUNED = "All cells ran with the same settings and none was tuned: a tuned comparison may come out otherwise."


@dataclass(frozen=True)
class Scale:
    """The objective's name, unit and direction (``min`` or ``max``)."""

    objective: str
    unit: str
    direction: Direction

    @property
    def word(self) -> str:
        """What follows a number: the unit, or the objective where it has none."""
        return self.unit or self.objective.replace("_", " ")


@dataclass(frozen=True)
class Scores:
    """The test scores of one configuration by seed."""

    label: str
    values: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return float(np.mean(list(self.values.values())))


@dataclass(frozen=True)
class Pair:
    """Two configurations: ``better`` leads, ``p`` is Holm-corrected, ``told_apart`` is the verdict.

    ``wins`` is the chance that a run of ``better`` beats one of ``other``; ``smallest`` the smallest difference that so
    many seeds with this scatter show, corrected for the number of pairs.
    """

    better: str
    other: str
    difference: Difference
    p: float
    told_apart: bool
    wins: Interval
    smallest: float
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """``separation``: what this number of seeds can tell apart; ``pairs``: those of two seeds or more."""

    separation: str
    pairs: tuple[Pair, ...]
    caveats: tuple[str, ...]

    @property
    def apart(self) -> tuple[Pair, ...]:
        """The pairs that are told apart."""
        return tuple(pair for pair in self.pairs if pair.told_apart)

    @property
    def undecided(self) -> tuple[Pair, ...]:
        """The pairs that are not."""
        return tuple(pair for pair in self.pairs if not pair.told_apart)

    def with_caveat(self, caveat: str) -> Verdict:
        """Return the verdict with one more caveat."""
        return dataclasses.replace(self, caveats=(*self.caveats, caveat))


def judge(scores: Sequence[Scores], scale: Scale, floors: Mapping[str, float], tuning: str = UNTUNED) -> Verdict:
    """Compare every pair of configurations.

    Args:
        scores: one entry per configuration; those without a score are passed over.
        scale: what the scores mean.
        floors: trivial answers, by name, in the same unit.
        tuning: what to say of how the settings were chosen.
    """
    sign = 1 if scale.direction == "min" else -1
    scored = sorted((s for s in scores if s.values), key=lambda s: sign * s.mean)
    every = [(a, b, _difference(a, b)) for a, b in itertools.combinations(scored, 2)]
    couples = [(first, second) for first, second, d in every if d.n >= 2]
    differences = [d for _, _, d in every if d.n >= 2]
    corrected = holm([d.p for d in differences])
    pairs = tuple(
        _pair(first, second, difference, float(p), scale, len(couples))
        for (first, second), difference, p in zip(couples, differences, corrected, strict=True)
    )
    caveats = [tuning, *_below_floor(scored, scale, floors)]
    separation = _separation(scored, differences, scale)
    if differences and not any(pair.told_apart for pair in pairs):
        separation = _nothing_here(scored, differences, scale, floors) or separation
    return Verdict(separation, pairs, tuple(caveats))


def _difference(first: Scores, second: Scores) -> Difference:
    """Pair by seed where at least two seeds are shared, else compare the means."""
    shared = sorted(first.values.keys() & second.values.keys())
    if len(shared) >= 2:
        return paired_difference([first.values[s] for s in shared], [second.values[s] for s in shared])
    return unpaired_difference(list(first.values.values()), list(second.values.values()))


def _pair(first: Scores, second: Scores, d: Difference, p: float, scale: Scale, pairs: int) -> Pair:
    # By mean ``first`` leads; over the shared seeds alone it may not.
    ahead = d.mean <= 0 if scale.direction == "min" else d.mean >= 0
    better, other = (first, second) if ahead else (second, first)
    wins = probability_of_improvement(
        list(better.values.values()), list(other.values.values()), direction=scale.direction
    )
    smallest = smallest_detectable_difference(d.sd, d.n, POWER, ALPHA / pairs)
    told_apart = p < ALPHA
    said = _told_apart(other, d, p, wins, scale, pairs) if told_apart else _undecided(other, d, scale, pairs)
    return Pair(better.label, other.label, d, p, told_apart, wins, smallest, f"{better.label} {said}")


def _told_apart(other: Scores, d: Difference, p: float, wins: Interval, scale: Scale, pairs: int) -> str:
    low, high = sorted((abs(d.low), abs(d.high)))
    places = decimals(high - low) if high > low else 4
    correction = ", Holm" if pairs > 1 else ""
    shown = f"{abs(d.mean):,.{places}f} [{low:,.{places}f}, {high:,.{places}f}] {scale.word}"
    won = f"{100 * wins.value:.0f} % [{100 * wins.low:.0f}, {100 * wins.high:.0f}]"
    return f"is better than {other.label} by {shown} (p {_p(p)}{correction}) and wins {won} of single runs."


def _undecided(other: Scores, d: Difference, scale: Scale, pairs: int) -> str:
    if d.mean == 0 and d.sd == 0:
        return f"and {other.label} gave the same {scale.word} with every seed."
    needed = _about(seeds_needed(d.mean, d.sd, POWER, ALPHA / pairs))
    observed = f"the difference observed{_share(d.mean, other.mean)}"
    still = f"is not distinguishable from {other.label} with {d.n} seeds"
    if d.sd == 0:  # t has no scatter to measure by, and so few signs may all be the same by chance
        still = (
            f"is ahead of {other.label} by the same {short(abs(d.mean))} with each of {d.n} seeds, too few to be sure"
        )
    if d.sd > 0 and d.n < FEWEST_TO_PLAN_BY:
        return f"{still}, too few to say how many would be needed."
    return f"{still}; {needed} would be needed to see {observed}."


def _separation(scored: Sequence[Scores], differences: Sequence[Difference], scale: Scale) -> str:
    """Say in one line what this number of seeds can and cannot separate."""
    if not scored:
        return "No run has finished: there is nothing to compare yet."
    if len(scored) == 1:
        return f"Only {scored[0].label} has a score: there is nothing to compare it with."
    if not differences:
        return "One seed separates nothing: the order of the cells may be chance. Run at least 5 seeds each."
    n, smallest, corrected = _smallest(differences)
    typical = float(np.median([s.mean for s in scored]))
    return (
        f"{n} seeds can separate cells that differ by about {short(smallest, 2)} {scale.word}"
        f"{_share(smallest, typical)} or more at the scatter typical here (80 % power{corrected}); "
        f"they cannot separate closer ones, unless those scatter less.{_alone(scored)}"
    )


def _nothing_here(
    scored: Sequence[Scores], differences: Sequence[Difference], scale: Scale, floors: Mapping[str, float]
) -> str:
    """Say that no difference which this task has room for can be seen; "" where one can, or no floor tells."""
    known = {name: value for name, value in floors.items() if math.isfinite(value)}
    if not known:
        return ""
    pick = max if scale.direction == "min" else min
    name, floor = pick(known.items(), key=lambda item: item[1])
    n, smallest, corrected = _smallest(differences)
    room = floor - scored[0].mean if scale.direction == "min" else scored[0].mean - floor
    if smallest <= room or room <= 0:  # where no cell beats any floor, cells may be as far apart as they like
        return ""
    return (
        f"{n} seeds separate nothing here: at the scatter typical here two cells would have to differ by about "
        f"{short(smallest, 2)} {scale.word} (80 % power{corrected}), and from the best cell to the worst floor "
        f"({name}) it is no more than {short(room, 2)}.{_alone(scored)}"
    )


def _smallest(differences: Sequence[Difference]) -> tuple[int, float, str]:
    """The number of seeds, the smallest difference that they show at the typical scatter, how it was corrected."""
    n = min(d.n for d in differences)
    sd = float(np.median([d.sd for d in differences]))
    corrected = f", corrected for {len(differences)} pairs" if len(differences) > 1 else ""
    return n, smallest_detectable_difference(sd, n, POWER, ALPHA / len(differences)), corrected


def _alone(scored: Sequence[Scores]) -> str:
    alone = [s.label for s in scored if len(s.values) < 2]
    return f" One seed alone separates nothing: {', '.join(alone)}." if alone else ""


def _below_floor(scored: Sequence[Scores], scale: Scale, floors: Mapping[str, float]) -> list[str]:
    """Name the cells that do not beat the best trivial answer."""
    known = {name: value for name, value in floors.items() if math.isfinite(value)}
    if not known:
        return []
    pick = min if scale.direction == "min" else max
    name, floor = pick(known.items(), key=lambda item: item[1])
    sign = 1 if scale.direction == "min" else -1
    losers = [s.label for s in scored if sign * s.mean >= sign * floor]
    if not losers:
        return []
    return [f"Not better than the best floor ({name}, {short(floor)}): {', '.join(losers)}."]


def _share(part: float, whole: float) -> str:
    """In percent, where that says something: near an optimum of 0 it does not."""
    return f" ({percent(part, whole)})" if abs(part) < abs(whole) else ""


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _about(seeds: int | None) -> str:
    if seeds is None or seeds > MOST_SEEDS_NAMED:
        return f"more than {MOST_SEEDS_NAMED:,}"
    return f"about {seeds}"
