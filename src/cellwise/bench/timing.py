"""Times things in turn, so that a machine whose speed drifts slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeVar

Name = TypeVar("Name", bound=Hashable)
LEAST_ROUNDS, MOST_ROUNDS = 5, 15
_SECONDS = 60.0  # of one comparison; more rounds than the least only as far as they fit


class Spread(NamedTuple):
    """Median seconds, the distance between the quartiles, and of how many rounds."""

    median: float
    iqr: float
    rounds: int


def medians_in_turn(things: Mapping[Name, Callable[[], Any]], rounds: int, warm_up: int = 1) -> dict[Name, float]:
    """Return the median seconds of each thing, calling them A B C A B C ...

    Args:
        things: by name, what is timed.
        rounds: counted calls of each.
        warm_up: calls of each before that.
    """
    for _ in range(warm_up):
        _round(things)
    return {name: spread.median for name, spread in _spreads([_round(things) for _ in range(rounds)]).items()}


def in_turn(things: Mapping[Name, Callable[[], Any]], *, once: bool = False) -> dict[Name, Spread]:
    """Return the spread of each thing's seconds, calling them A B C A B C ... after two rounds that don't count.

    Args:
        things: by name, what is timed.
        once: a single round, where times are not looked at; else as many as fit in a minute, 5 to 15.
    """
    if once:
        return _spreads([_round(things)])
    _round(things)
    seconds = sum(_round(things).values())
    rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, int(_SECONDS / max(seconds, 1e-9))))
    return _spreads([_round(things) for _ in range(rounds)])


def _round(things: Mapping[Name, Callable[[], Any]]) -> dict[Name, float]:
    seconds = {}
    for name, call in things.items():
        started = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - started
    return seconds


def _spreads(rounds: list[dict[Name, float]]) -> dict[Name, Spread]:
    found = {}
    for name in rounds[0]:
        values = [seconds[name] for seconds in rounds]
        first, _, third = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
        found[name] = Spread(statistics.median(values), third - first, len(values))
    return found
