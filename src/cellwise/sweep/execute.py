"""Executes runs where the group `launcher` says: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable

from cellwise.sweep import pool
from cellwise.sweep.launcher import Launcher, SlurmSettings
from cellwise.sweep.pool import Result, Watch
from cellwise.sweep.source import Source


def execute(
    source: Source,
    launcher: Launcher,
    *,
    finished: Callable[[Result], None],
    moved: Callable[[float], None] = lambda done: None,
    watch: Watch = lambda run, row: None,
) -> list[Result]:
    """Run what a source gives; see `pool.execute` and `cluster.execute`."""
    if isinstance(launcher, SlurmSettings):
        from cellwise.sweep import cluster

        return cluster.execute(source, launcher, finished=finished, moved=moved, watch=watch)
    return pool.execute(source, launcher, finished=finished, moved=moved, watch=watch)
