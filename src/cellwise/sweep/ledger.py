"""Who runs which trial of a search, and what came out: a ledger that a search claims trials from and tells results to.

The ledger of a grid is this process's alone: each launcher goes through all of it, and the leases of runs share the
work, as in any sweep. Samplers of Optuna keep theirs in a journal (see `cellwise.sweep.journal`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cellwise.records.tuning import Setting, Trial
from cellwise.sweep.space import Space, Values
from cellwise.sweep.tuning import Combination


@dataclass(frozen=True, eq=False)
class Claim:
    """A trial that this process runs: of a combination, its number and settings; `held` is the ledger's own."""

    combination: Combination
    number: int
    settings: Mapping[str, Setting]
    held: Any = None


@dataclass(frozen=True)
class Outcome:
    """How a trial ended; see `cellwise.records.tuning.Trial`."""

    state: Literal["finished", "pruned", "failed"]
    validation: float | None = None
    seconds: float | None = None
    error: str | None = None


class Ledger(Protocol):
    """The trials of each combination, numbered from 0."""

    def claim(self) -> Claim | None:
        """Return a trial for this process to run; None when there is none at present."""

    def report(self, claim: Claim, step: int, value: float) -> bool:
        """Take a value of validation of a running trial; returns whether to prune it."""

    def tell(self, claim: Claim, outcome: Outcome) -> None:
        """Take the end of a trial."""

    def all_ended(self) -> bool:
        """Whether each trial has ended, whoever ran it."""

    def trials(self, combination: Combination) -> list[Trial]:
        """Return the trials of a combination by number; those that nobody has begun have no settings."""

    def close(self) -> None:
        """Let go of what is claimed and has not ended."""


class GridLedger:
    """Each combination of listed values, the same for every swept combination, which take turns.

    Args:
        combinations: what is tuned.
        space: of lists.
    """

    def __init__(self, combinations: Sequence[Combination], space: Space):
        lists = [dimension.values for dimension in space.values() if isinstance(dimension, Values)]
        self._points = [dict(zip(space, point, strict=True)) for point in itertools.product(*lists)]
        self._coming = self._claims(combinations)
        self._ended: dict[tuple[str, int], Outcome] = {}
        self._open = len(combinations) * len(self._points)

    def claim(self) -> Claim | None:
        """Return the next trial."""
        return next(self._coming, None)

    def report(self, claim: Claim, step: int, value: float) -> bool:
        """Return False: a grid prunes nothing."""
        return False

    def tell(self, claim: Claim, outcome: Outcome) -> None:
        """Take the end of a trial."""
        self._ended[claim.combination.label, claim.number] = outcome

    def all_ended(self) -> bool:
        """Whether each trial has ended."""
        return len(self._ended) == self._open

    def trials(self, combination: Combination) -> list[Trial]:
        """Return the trials of a combination by number."""
        return [self._trial(combination.label, number) for number in range(len(self._points))]

    def close(self) -> None:
        """Nothing is held."""

    def _trial(self, label: str, number: int) -> Trial:
        outcome = self._ended.get((label, number))
        if outcome is None:
            return Trial(number, self._points[number], "waiting")
        settings = self._points[number]
        return Trial(number, settings, outcome.state, outcome.validation, outcome.seconds, outcome.error)

    def _claims(self, combinations: Sequence[Combination]) -> Iterator[Claim]:
        for number, settings in enumerate(self._points):
            for combination in combinations:
                yield Claim(combination, number, settings)
