"""Times things in turn, so that a machine whose speed drifts slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def medians_in_turn(things: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = 1) -> dict[str, float]:
    """Return the median seconds of each thing, calling them A B C A B C ...

    Args:
        things: by name, what is timed.
        rounds: counted calls of each.
        warm_up: calls of each before that.
    """
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for number in range(warm_up + rounds):
        for name, call in things.items():
            started = time.perf_counter()
            call()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}
