"""Where and how the runs of a sweep are executed: the group `launcher`, which is no part of what a run is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cellwise.errors import CellwiseError, unknown
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
        return _allowed(self.failures)


@dataclass(frozen=True)
class SlurmSettings:
    """Runs as jobs of a SLURM cluster; see conf/launcher/slurm.yaml."""

    name: Literal["slurm"] = "slurm"
    partition: str | None = None
    account: str | None = None
    minutes: int = bounded(60, minimum=1)
    cores: int = bounded(1, minimum=1)
    memory_gb: float | None = bounded(None, minimum=0)
    gpus: int | None = bounded(None, minimum=0)
    at_once: int = bounded(256, minimum=1)
    requeues: int = bounded(10, minimum=0)
    grace_seconds: int = bounded(120, minimum=1)
    failures: str = "end"
    wait: bool = True
    extra: Mapping[str, Any] | None = None

    @property
    def failures_allowed(self) -> float:
        """How many runs may fail before the others are cancelled."""
        return _allowed(self.failures)


Launcher = LauncherSettings | SlurmSettings
_LAUNCHERS: Mapping[str, type[Launcher]] = {"local": LauncherSettings, "slurm": SlurmSettings}
_FAILURES = {"end": math.inf, "fast": 0}


def read_launcher(group: Mapping[str, Any]) -> Launcher:
    """Return the checked settings of the group `launcher`.

    Raises:
        CellwiseError: an unknown key or a value that is not allowed.
    """
    name = str(group.get("name"))
    if name not in _LAUNCHERS:
        raise unknown("launcher.name", name, _LAUNCHERS)
    settings = parse(_LAUNCHERS[name], group, "launcher")
    kind, _, number = settings.failures.partition(":")
    if settings.failures not in _FAILURES and not (kind == "max" and number.isdecimal()):
        raise CellwiseError(
            f"launcher.failures={settings.failures} is not allowed; allowed: end, fast, max:N, for example max:3"
        )
    return settings


def _allowed(failures: str) -> float:
    return _FAILURES[failures] if failures in _FAILURES else int(failures.removeprefix("max:"))
