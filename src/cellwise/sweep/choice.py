"""What tuning comes to: the best settings of each combination on validation, and what the trials say beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from cellwise.compare.best_of_k import counted, plug_in, unbiased
from cellwise.errors import CellwiseError
from cellwise.records.tuning import (
    Best,
    ExpectedBest,
    Importance,
    Trial,
    Tuned,
    TuningRecord,
    write_trials,
    write_tuning,
)
from cellwise.sweep.importance import importance
from cellwise.sweep.plan import PlannedRun
from cellwise.sweep.tuning import Combination, Tuning
from cellwise.tasks.objective import Objective


def best_trial(trials: Sequence[Trial], objective: Objective) -> Trial | None:
    """Return the finished trial with the best validation, the first of equals; None where none finished."""
    best: Trial | None = None
    for trial in trials:
        if trial.state != "finished" or trial.validation is None:
            continue
        if best is None or best.validation is None or objective.better(trial.validation, best.validation):
            best = trial
    return best


def write_choice(tuning: Tuning, trials: Mapping[str, Sequence[Trial]]) -> TuningRecord:
    """Write `search.json` and `trials.csv` of tuning, and return the first.

    Args:
        tuning: as planned.
        trials: of each combination, by label.
    """
    record = conclude(tuning, trials)
    write_trials(tuning.folder, [(combination.swept, trials[combination.label]) for combination in tuning.combinations])
    write_tuning(tuning.folder, record)
    return record


def confirming(tuning: Tuning, record: TuningRecord) -> list[PlannedRun]:
    """Return the runs that confirm what was chosen, seeds varying slowest, so that every cell has a result early.

    Args:
        tuning: as planned.
        record: what tuning found; a combination of which no trial finished has no runs.
    """
    best = {tuned.label: tuned.best for tuned in record.tuned if tuned.best is not None}
    plans = [tuning.confirming(c, best[c.label].settings) for c in tuning.combinations if c.label in best]
    return [plan[number] for number in range(len(tuning.confirm_seeds)) for plan in plans]


def conclude(tuning: Tuning, trials: Mapping[str, Sequence[Trial]]) -> TuningRecord:
    """Return what tuning found.

    Args:
        tuning: as planned.
        trials: of each combination, by label.
    """
    objective = tuning.objective
    tuned = tuple(_tuned(tuning, combination, trials[combination.label]) for combination in tuning.combinations)
    return TuningRecord(objective.metric, objective.direction, objective.unit, tuned)


def _tuned(tuning: Tuning, combination: Combination, trials: Sequence[Trial]) -> Tuned:
    shares, missing = _importance(tuning, trials)
    return Tuned(
        label=combination.label,
        cell=combination.cell,
        swept=combination.swept,
        how=tuning.how,
        counts=dict(Counter(trial.state for trial in trials)),
        best=_best(tuning, combination, trials),
        importance=shares,
        importance_missing=missing,
        expected_best=_expected_best(trials, tuning.objective),
    )


def _best(tuning: Tuning, combination: Combination, trials: Sequence[Trial]) -> Best | None:
    best = best_trial(trials, tuning.objective)
    if best is None or best.validation is None:
        return None
    folder = tuning.confirming(combination, best.settings)[0].folder
    return Best(best.number, best.settings, best.validation, folder.parent.name.rpartition("-")[2])


def _importance(tuning: Tuning, trials: Sequence[Trial]) -> tuple[Importance | None, str | None]:
    try:
        return importance(tuning.tune.space, trials), None
    except CellwiseError as missing:
        return None, str(missing)


def _expected_best(trials: Sequence[Trial], objective: Objective) -> ExpectedBest | None:
    """The curves of all trials that ended: those that failed or were pruned were paid for as well."""
    values: dict[str, list[float]] = {"finished": [], "pruned": []}
    for trial in trials:
        if trial.state in values and trial.validation is not None:
            values[trial.state].append(trial.validation)
    without = sum(trial.has_ended for trial in trials) - sum(map(len, values.values()))
    x = counted(values["finished"], values["pruned"], without, objective.direction)
    if x.size == 0:
        return None
    return ExpectedBest(
        tuple(plug_in(x, objective.direction).tolist()), tuple(unbiased(x, objective.direction).tolist())
    )
