"""What is said of tuning beside a comparison, and which runs of a tuned study are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cellwise.records.store import RunRecord, Study
from cellwise.records.tuning import How, Tuned, TuningRecord

MOST_NAMED = 4


def chosen(study: Study, record: TuningRecord) -> tuple[Study, str]:
    """Return a study with the runs of chosen settings alone, and what is to be said of the others; "" where none are.

    With more trials tuning may choose other settings; the runs that confirmed the earlier choice stay on disk.
    """
    kept = {(tuned.cell, tuned.best.identity) for tuned in record.tuned if tuned.best is not None}
    others = sorted({f"{run.cell}-{run.identity}" for run in study.runs if (run.cell, run.identity) not in kept})
    if not others or len(others) == len({(run.cell, run.identity) for run in study.runs}):
        return study, ""  # nothing else, or nothing confirmed yet
    runs = tuple(run for run in study.runs if (run.cell, run.identity) in kept)
    return Study(
        study.path, runs, study.ignored
    ), f"Left out, as tuning does not choose their settings: {_few(others)}."


def tuned_alike(record: TuningRecord, runs: Iterable[RunRecord]) -> bool:
    """Whether the cells of some runs were all tuned, in the same way and with as many trials."""
    tuned = list(_tuned(record, runs).values())
    first = next(iter(tuned), None)
    return first is not None and all(
        each is not None and each.how == first.how and each.ended == first.ended for each in tuned
    )


def said_of_tuning(record: TuningRecord, runs: Sequence[RunRecord]) -> str | None:
    """Return how the cells of some runs were tuned, or that they were not tuned equally; None where none was."""
    shown = _tuned(record, runs)
    tuned = [each for each in shown.values() if each is not None]
    if not tuned:
        return None
    first = tuned[0]
    if tuned_alike(record, runs):
        return (
            f"Each cell was tuned alike: {first.ended} trials ({first.how.sampler}) of {_keys(first.how)}, the best on "
            "validation; the seeds shown here are fresh."
        )
    untuned = sorted(cell for (cell, _), each in shown.items() if each is None)
    trials = [f"{each.label} {_trials(each)}" for each in sorted(tuned, key=lambda each: each.label)]
    none = [f"{cell} none" for cell in untuned]
    differ = "" if _only_trials_differ(tuned) else ", of other settings or in another way"
    return (
        f"The cells were tuned unequally ({_few([*trials, *none])}{differ}): "
        "a difference between rows may come from that."
    )


def unequal_tries(runs: Iterable[RunRecord]) -> str:
    """Say that some cells are here with more configurations than others; "" where all have as many.

    Whoever takes the best of several rows has tuned the cell with more of them more.
    """
    tries = Counter(cell for cell, _ in {(run.cell, run.identity) for run in runs})
    if len(set(tries.values())) < 2:
        return ""
    counted = _few([f"{cell} {number}" for cell, number in sorted(tries.items())])
    return f"Cells are here with unequal numbers of configurations ({counted}): the best of more is tuned more."


def _tuned(record: TuningRecord, runs: Iterable[RunRecord]) -> dict[tuple[str, str], Tuned | None]:
    """By cell and identity how it was tuned; None where it was not."""
    by_identity = {(tuned.cell, tuned.best.identity): tuned for tuned in record.tuned if tuned.best is not None}
    return {(run.cell, run.identity): by_identity.get((run.cell, run.identity)) for run in runs}


def tuned_keys(record: TuningRecord) -> set[str]:
    """Return the keys that tuning chose, for any cell."""
    return {key for tuned in record.tuned for key in tuned.how.space}


def _trials(tuned: Tuned) -> str:
    return f"{tuned.ended} trial{'s' if tuned.ended != 1 else ''}"


def _only_trials_differ(tuned: list[Tuned]) -> bool:
    return len({repr((each.how.sampler, each.how.seeds, each.how.prune, each.how.space)) for each in tuned}) == 1


def _keys(how: How) -> str:
    return _few(list(how.space))


def _few(names: list[str]) -> str:
    return ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
