"""How fast the commands answer that need no torch."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from cellwise.bench.timing import medians_in_turn

_PROMISE_SECONDS = 0.5  # for --help

_COMMANDS = {
    "cellwise --help": ["--help"],
    "cellwise cells": ["cells"],
    "cellwise study": ["study"],
}


def lines(rounds: int = 7) -> list[str]:
    """Return a line a command: median seconds of the whole process."""
    program = [sys.executable, "-m", "cellwise.cli"]
    calls = {
        name: partial(subprocess.run, [*program, *words], check=True, capture_output=True)
        for name, words in _COMMANDS.items()
    }
    found = medians_in_turn(calls, rounds)
    promised = f" (promised: under {_PROMISE_SECONDS} s)"
    return [f"{name:20} {seconds:.3f} s" + (promised if "help" in name else "") for name, seconds in found.items()]
