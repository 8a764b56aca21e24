"""How fast the commands answer that need no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from cellwise.bench.parts import Found, Setting
from cellwise.bench.timing import medians_in_turn
from cellwise.records.bench import Finding

_PROMISE_SECONDS = 0.5  # for --help
_ROUNDS = 7

_COMMANDS = {
    "cellwise --help": ["--help"],
    "cellwise cells": ["cells"],
    "cellwise study": ["study"],
}


def measure(setting: Setting) -> Iterator[Found]:
    """Measure the median seconds of the whole process of each."""
    program = [sys.executable, "-m", "cellwise.cli"]
    calls = {
        name: partial(subprocess.run, [*program, *words], check=True, capture_output=True)
        for name, words in _COMMANDS.items()
    }
    goals = {"cellwise --help": _PROMISE_SECONDS}
    found = medians_in_turn(calls, _ROUNDS)
    yield Found(findings=[Finding("startup", name, value, "s", goals.get(name)) for name, value in found.items()])
