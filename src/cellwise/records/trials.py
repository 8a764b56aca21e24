"""The trials of a search read back: from `trials.csv`, or from the folders of its runs while none is written.

Reading is tolerant, as that of runs is: what can't be read is said, and the rest is shown.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from cellwise.errors import CellwiseError
from cellwise.records.plain import flat
from cellwise.records.store import RunRecord, load_study
from cellwise.records.tuning import TUNING, Choice, How, Setting, State, Trial, Tuned, TuningRecord, read_tuning
from cellwise.settings import typed

# Said of a run, and no setting of it.
_NO_SETTING = ("cell.name", "seed", "study", "runs_dir", "data_dir", "again", "cell_modules", "launcher", "logger")
_NUMBERS_OF_A_RANGE = 6  # a key of which fewer values were seen is taken for a list
_WIDE = 20.0  # so many times its least value makes a range one of factors


@dataclass(frozen=True)
class Searched:
    """A search as far as it can be read.

    Attributes:
        record: what it came to; while it has not ended, the ranges are those of the values seen.
        trials: those that have begun, by label.
        ended: whether the record is that of `search.json`.
        said: what could not be read, or is missing; a line each.
    """

    record: TuningRecord
    trials: Mapping[str, tuple[Trial, ...]]
    ended: bool
    said: tuple[str, ...]


def read_searched(study: Path) -> Searched | None:
    """Return the search of a study; None where nothing was tuned.

    Args:
        study: its folder, `runs/<study>`.
    """
    said: list[str] = []
    try:
        record = read_tuning(study)
    except CellwiseError as error:
        record = None
        said.append(str(error))
    if record is None:
        return _from_folders(study / TUNING, said)
    trials, damaged = _from_table(study / TUNING / "trials.csv", record)
    said += damaged
    folders = sum(1 for path in (study / TUNING).glob("*-????????") if path.is_dir())
    more = folders - sum(len(each) for each in trials.values())
    if trials and more > 0:
        said.append(
            f"The folder of tuning holds {more} more {'configurations' if more > 1 else 'configuration'} than are "
            "shown: begun since, or of an earlier search."
        )
    return Searched(record, trials, True, tuple(said))


def _from_table(path: Path, record: TuningRecord) -> tuple[dict[str, tuple[Trial, ...]], list[str]]:
    """Return the trials of `trials.csv` by label, and what is wrong with it."""
    found: dict[str, list[Trial]] = {tuned.label: [] for tuned in record.tuned}
    damaged = 0
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return {}, [f"{path}: not there, so no single trial is shown"]
    except csv.Error as error:
        return {}, [f"{path}: no readable table ({error})"]
    for row in rows:
        tuned = _of(row, record.tuned)
        trial = _trial(row, tuned.how.space) if tuned else None
        if tuned is None or trial is None:
            damaged += 1
        elif trial.settings:
            found[tuned.label].append(trial)
    said = [f"{path}: {damaged} of {len(rows)} rows can't be read and are left out"] if damaged else []
    return {label: tuple(each) for label, each in found.items()}, said


def _of(row: Mapping[str, Any], tuned: Iterable[Tuned]) -> Tuned | None:
    """The combination that a row belongs to: of those whose swept keys it has, the one with the most."""
    fitting = [each for each in tuned if all(row.get(key) == value for key, value in each.swept.items())]
    return max(fitting, key=lambda each: len(each.swept), default=None)


def _trial(row: Mapping[str, Any], space: Mapping[str, Choice]) -> Trial | None:
    """One row; None where it is damaged."""
    state = row.get("state")
    if state not in get_args(State):
        return None
    try:
        settings = {key: _setting(row[key], choice) for key, choice in space.items()} if _begun(row, space) else {}
        validation, seconds = (_number(row[key]) for key in ("validation", "seconds"))
        return Trial(int(row["trial"]), settings, cast(State, state), validation, seconds, row["error"] or None)
    except (KeyError, ValueError, TypeError):
        return None


def _begun(row: Mapping[str, Any], space: Mapping[str, Choice]) -> bool:
    return any(row[key] for key in space)


def _setting(text: str, choice: Choice) -> Setting:
    for value in choice.values:
        if typed(value) == text:
            return value
    value = float(text)
    if choice.values or not math.isfinite(value):
        raise ValueError(text)
    return int(value) if choice.whole else value


def _number(text: str) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def _from_folders(folder: Path, said: list[str]) -> Searched | None:
    """What the runs of a search say that has not come to its end."""
    try:
        runs = load_study(folder).runs
    except CellwiseError:
        return None
    by_trial: dict[tuple[str, str], list[RunRecord]] = {}
    for run in sorted(runs, key=lambda run: (run.info.started if run.info else "~", run.seed)):
        by_trial.setdefault((run.cell, run.identity), []).append(run)
    settings = {key: _settings(each[0].config) for key, each in by_trial.items()}
    varied = _varied(settings)
    known = next((run.summary for run in runs if run.summary), None)
    direction: Literal["min", "max"] = known.direction if known else "min"
    objective = known.objective if known else ""
    trials: dict[str, list[Trial]] = {}
    for (cell, identity), each in by_trial.items():
        chosen = {key: settings[cell, identity][key] for key in varied if key in settings[cell, identity]}
        numbered = trials.setdefault(cell, [])
        numbered.append(_ended(len(numbered), chosen, each, objective, direction))
    space = {key: _seen([s[key] for s in settings.values() if key in s]) for key in varied}
    tuned = tuple(_unended(cell, each, space) for cell, each in trials.items())
    said.append(
        "The search has not ended: its trials are read from their folders, numbered as they began; what is "
        "tuned is what differs between them, and ranges are those of the values seen."
    )
    record = TuningRecord(objective, direction, known.unit if known else "", tuned)
    return Searched(record, {cell: tuple(each) for cell, each in trials.items()}, False, tuple(said))


def _unended(cell: str, trials: Sequence[Trial], space: Mapping[str, Choice]) -> Tuned:
    own = {key: choice for key, choice in space.items() if any(key in trial.settings for trial in trials)}
    how = How("", 0, (), len(trials), None, (), own)
    counts: dict[str, int] = dict(Counter(str(trial.state) for trial in trials))
    return Tuned(cell, cell, {"cell": cell}, how, counts, None, None, "the search has not ended", None)


def _ended(
    number: int, settings: Mapping[str, Setting], runs: Sequence[RunRecord], objective: str, direction: str
) -> Trial:
    """A trial out of its runs, one a seed, as a search tells it."""
    seconds = sum(run.summary.train_seconds for run in runs if run.summary)
    broken = next((run for run in runs if run.status in ("failed", "pruned")), None)
    if broken is not None and broken.status == "failed":
        return Trial(number, settings, "failed", None, seconds, broken.error)
    if broken is not None:
        rows = [row.get(f"validation_{objective}") for row in broken.metrics()]
        values = [value for value in rows if isinstance(value, int | float) and math.isfinite(value)]
        best = (min if direction == "min" else max)(values, default=None)
        return Trial(number, settings, "pruned", best, seconds, broken.error)
    scores = [run.summary.validation for run in runs if run.summary]
    if len(scores) < len(runs):
        return Trial(number, settings, "running")
    mean = sum(scores) / len(scores)
    if not math.isfinite(mean):
        return Trial(number, settings, "failed", None, seconds, "diverged: validation is no finite number")
    return Trial(number, settings, "finished", mean, seconds)


def _settings(config: Mapping[str, Any]) -> dict[str, Setting]:
    return {
        key: value
        for key, value in flat(config)
        if (value is None or isinstance(value, bool | int | float | str)) and key not in _NO_SETTING
    }


def _varied(settings: Mapping[tuple[str, str], Mapping[str, Setting]]) -> list[str]:
    """Keys that differ between the trials of one cell."""
    seen: dict[tuple[str, str], set[str]] = {}
    for (cell, _), each in settings.items():
        for key, value in each.items():
            seen.setdefault((cell, key), set()).add(typed(value))
    return list(dict.fromkeys(key for (_, key), values in seen.items() if len(values) > 1))


def _seen(values: Sequence[Setting]) -> Choice:
    """A choice that holds what was seen."""
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    distinct = {typed(value): value for value in values}
    if len(numbers) < len(values) or len(distinct) < _NUMBERS_OF_A_RANGE:
        by_size = len(numbers) == len(values)
        return Choice(values=tuple(sorted(distinct.values(), key=float if by_size else typed)))  # type: ignore[arg-type]
    low, high = min(numbers), max(numbers)
    whole = all(isinstance(value, int) for value in numbers)
    return Choice(low, high, log=low > 0 and high / low >= _WIDE, whole=whole)
