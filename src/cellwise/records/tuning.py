"""What tuning tried and chose: `tuning/trials.csv` and `tuning/search.json` of a study, readable without what searched.

Both keep what an earlier command tuned and this one did not, so that a cell can be tuned later than the others.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records.plain import as_json, from_plain, read_json, to_plain
from cellwise.settings import typed

TUNING = "tuning"
"""The folder of a study that holds the runs of tuning, which are no runs of the study."""

SCHEMA = 1
Setting: TypeAlias = bool | int | float | str | None
State: TypeAlias = Literal["waiting", "running", "finished", "pruned", "failed"]


@dataclass(frozen=True)
class Choice:
    """What could be chosen for a key: numbers from `low` to `high` on a scale, or `values`."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    log_of_one_minus: bool = False
    whole: bool = False
    values: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class How:
    """How a cell was tuned; cells of which this differs were not tuned equally.

    `trials` is the budget, `seeds` those of each trial, `overrides` what held in tuning alone.
    """

    sampler: str
    sampler_seed: int
    seeds: tuple[int, ...]
    trials: int
    prune: str | None
    overrides: tuple[str, ...]
    space: Mapping[str, Choice]


@dataclass(frozen=True)
class Trial:
    """One trial: its settings, and the objective on validation (of a pruned one the best that it had reached).

    `seconds` were spent in training, all seeds together.
    """

    number: int
    settings: Mapping[str, Setting]
    state: State
    validation: float | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it came to an end, a good one or not."""
        return self.state in ("finished", "pruned", "failed")


@dataclass(frozen=True)
class Best:
    """The chosen trial, and the identity of the configuration that it means for the confirming runs."""

    trial: int
    settings: Mapping[str, Setting]
    validation: float
    identity: str


@dataclass(frozen=True)
class Importance:
    """Shares of the variance of validation: of each key alone, and of keys together; of how many trials."""

    alone: Mapping[str, float]
    together: float
    trials: int


@dataclass(frozen=True)
class ExpectedBest:
    """The expected best validation of k = 1 ... B trials, in two forms; see `cellwise.compare.best_of_k`."""

    plug_in: tuple[float, ...]
    unbiased: tuple[float, ...]


@dataclass(frozen=True)
class Tuned:
    """What tuning found for one combination of swept keys; `label` is the cell's name where only cells are swept.

    `importance_missing` says why there is no importance.
    """

    label: str
    cell: str
    swept: Mapping[str, str]
    how: How
    counts: Mapping[str, int]
    best: Best | None
    importance: Importance | None
    importance_missing: str | None
    expected_best: ExpectedBest | None

    @property
    def ended(self) -> int:
        """How many trials came to an end, a good one or not."""
        return sum(self.counts.get(state, 0) for state in ("finished", "pruned", "failed"))


@dataclass(frozen=True)
class TuningRecord:
    """`search.json`: what tuning found for each combination."""

    objective: str
    direction: Literal["min", "max"]
    unit: str
    tuned: tuple[Tuned, ...]


def read_tuning(study: Path) -> TuningRecord | None:
    """Return what tuning found for a study; None where nothing was tuned.

    Args:
        study: its folder, `runs/<study>`.

    Raises:
        CellwiseError: a file of another schema, or a damaged one.
    """
    path = study / TUNING / "search.json"
    if not path.exists():
        return None
    plain = read_json(path)
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        raise CellwiseError(f"{path}: no search of schema {SCHEMA}; remove it, and the study's command writes it anew")
    found: TuningRecord = from_plain(TuningRecord, plain, str(path))
    return found


def write_tuning(study: Path, found: TuningRecord) -> Path:
    """Write `search.json`, with what an earlier command found for other combinations, and return its path."""
    before = read_tuning(study)
    labels = {tuned.label for tuned in found.tuned}
    kept = [tuned for tuned in before.tuned if tuned.label not in labels] if before else []
    both = TuningRecord(found.objective, found.direction, found.unit, (*kept, *found.tuned))
    path = study / TUNING / "search.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, as_json({"schema": SCHEMA, **to_plain(both)}))
    return path


def write_trials(study: Path, trials: Sequence[tuple[Mapping[str, str], Sequence[Trial]]]) -> Path:
    """Write `trials.csv`, with the rows of an earlier command for other combinations, and return its path.

    Args:
        study: its folder.
        trials: for each combination the swept keys with their values, `cell` among them, and its trials.
    """
    path = study / TUNING / "trials.csv"
    swept = list(dict.fromkeys(key for keys, _ in trials for key in keys))
    replaced = [tuple(keys.get(key, "") for key in swept) for keys, _ in trials]
    rows: list[Mapping[str, Any]] = [
        row for row in _read_rows(path) if tuple(row.get(key, "") for key in swept) not in replaced
    ]
    rows += [_row(keys, trial) for keys, each in trials for trial in each]
    settings = dict.fromkeys(key for row in rows for key in row if key not in _COLUMNS)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_COLUMNS[:2], *settings, *_COLUMNS[2:]], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())
    return path


_COLUMNS = ("cell", "trial", "validation", "state", "seconds", "error")


def _row(swept: Mapping[str, str], trial: Trial) -> dict[str, Any]:
    return {
        **swept,
        "trial": trial.number,
        **{key: typed(value) for key, value in trial.settings.items()},
        "validation": "" if trial.validation is None else repr(trial.validation),
        "state": trial.state,
        "seconds": "" if trial.seconds is None else f"{trial.seconds:.1f}",
        "error": trial.error or "",
    }


def _read_rows(path: Path) -> Iterable[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []
