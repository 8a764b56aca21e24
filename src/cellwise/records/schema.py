"""The record of a run: ``run.json`` (what was run, where, how) and ``summary.json`` (what came out).

``summary.json`` is written last and atomically: its presence means that the run finished. The views live in
``cellwise.records.views`` and are exported here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from cellwise.errors import CellwiseError
from cellwise.records.axes import Axis
from cellwise.records.gallery import Gallery
from cellwise.records.plain import from_plain, to_plain
from cellwise.records.view_files import load_view, save_view
from cellwise.records.views import (
    KINDS,
    Column,
    Curves,
    Distribution,
    Filmstrip,
    Heatmap,
    Series,
    Table,
    Text,
    View,
    kind_of,
)

__all__ = [
    "KINDS",
    "SCHEMA",
    "Axis",
    "Column",
    "Curves",
    "Distribution",
    "Filmstrip",
    "Gallery",
    "Git",
    "Heatmap",
    "Parameters",
    "RunInfo",
    "Series",
    "Summary",
    "Table",
    "Text",
    "Throughput",
    "View",
    "kind_of",
    "load_view",
    "save_view",
]

SCHEMA = 1
Status: TypeAlias = Literal["running", "finished", "failed", "pruned"]
Direction: TypeAlias = Literal["min", "max"]


@dataclass(frozen=True)
class Git:
    """The commit of the code; both None outside a repository."""

    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class Parameters:
    """Trainable numbers of the whole network, and of its recurrent layers alone (what budgets match)."""

    total: int
    recurrent: int


@dataclass(frozen=True)
class Throughput:
    """Examples per second while training, and their unit, for example ``"tokens/s"``."""

    value: float
    unit: str


@dataclass(frozen=True)
class RunInfo:
    """``run.json``: written when a run starts, rewritten when it ends.

    ``threads`` are those of each of the ``devices`` processes. Times are ISO 8601 in UTC; ``data`` maps a file's name
    to its SHA-256; ``times_seconds`` has setup, train, test and, of a run that was looked into, probe. What is known
    only after the network is built (``parameters``, ``flops_per_step``, ``steps``: how many it takes unless it stops
    early) is None before. ``extended_from`` names the shorter run that this one went on from,
    ``<cell>-<8 hex>/seed-<n>``.
    """

    status: Status
    cell: str
    task: str
    seed: int
    study: str
    identity: str
    command: str
    started: str
    device: str
    threads: int
    engine: str
    error: str | None = None
    ended: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    git: Git = field(default_factory=Git)
    code_sha256: str = ""
    cell_sha256: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    parameters: Parameters | None = None
    flops_per_step: int | None = None
    times_seconds: Mapping[str, float] = field(default_factory=dict)
    extended_from: str | None = None
    devices: int = 1
    steps: int | None = None
    objective: str = ""
    direction: Direction = "min"
    unit: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``run.json``."""
        return {"schema": SCHEMA, **to_plain(self)}

    @classmethod
    def from_dict(cls, plain: Any, source: str = "run.json") -> RunInfo:
        """Read the content of ``run.json``.

        Raises:
            CellwiseError: another schema, a missing key or a wrong type; ``source`` names the file.
        """
        _check_schema(plain, source)
        info: RunInfo = from_plain(cls, plain, source)
        return info


@dataclass(frozen=True)
class Summary:
    """``summary.json``: the result of a finished run.

    ``value`` is the objective on the test split, from the checkpoint that ``validation`` (the objective
    on the validation split) selected at ``selected_step``. A value that is not finite (the run diverged)
    is NaN.
    ``optimum`` is the best possible value where it is known.
    """

    task: str
    cell: str
    seed: int
    objective: str
    direction: Direction
    unit: str
    value: float
    validation: float
    floors: Mapping[str, float]
    optimum: float | None
    metrics: Mapping[str, float]
    parameters: Parameters
    flops_per_step: int
    train_seconds: float
    throughput: Throughput
    peak_memory_bytes: int
    selected_step: int

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        return {"schema": SCHEMA, **to_plain(self)}

    @classmethod
    def from_dict(cls, plain: Any, source: str = "summary.json") -> Summary:
        """Read the content of ``summary.json``.

        Raises:
            CellwiseError: another schema, a missing key or a wrong type; ``source`` names the file.
        """
        _check_schema(plain, source)
        summary: Summary = from_plain(cls, plain, source)
        return summary


def _check_schema(plain: Any, source: str) -> None:
    if not isinstance(plain, dict):
        raise CellwiseError(f"{source}: expected a JSON object")
    if plain.get("schema") != SCHEMA:
        raise CellwiseError(f"{source}: schema {plain.get('schema')!r} is not known; this cellwise reads {SCHEMA}")
