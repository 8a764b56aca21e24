"""Where and how the runs of a sweep are executed: the group `launcher`, which is no part of what a run is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cellwise.errors import CellwiseError
from cellwise.settings import bounded, parse


@dataclass(frozen=True)
class LauncherSettings:
    """Runs on this machine; see conf/launcher/local.yaml."""

    name: Literal["local"] = "local"
    jobs: int | None = bounded(None, minimum=1)
    timeout_minutes: float | None = bounded(None, minimum=0)
    memory_gb: float | None = bounded(None, minimum=0)
    failures: str = "end"

    @property
    def failures_allowed(self) -> float:
        """How many runs may fail before the sweep stops."""
        if self.failures in _FAILURES:
            return _FAILURES[self.failures]
        return int(self.failures.removeprefix("max:"))


_FAILURES = {"end": math.inf, "fast": 0}


def read_launcher(group: Mapping[str, Any]) -> LauncherSettings:
    """Return the checked settings of the group `launcher`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    settings = parse(LauncherSettings, group, "launcher")
    kind, _, number = settings.failures.partition(":")
    if settings.failures not in _FAILURES and not (kind == "max" and number.isdecimal()):
        raise CellwiseError(
            f"launcher.failures={settings.failures} is not allowed; allowed: end, fast, max:N, for example max:3"
        )
    return settings
