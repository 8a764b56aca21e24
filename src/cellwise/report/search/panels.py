"""The search of a tuned study as evidence: which settings were tried, which of them matter, and was it enough?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

from cellwise.compare.edges import EDGE
from cellwise.compare.numbers import short
from cellwise.records.store import Study
from cellwise.records.trials import read_searched
from cellwise.records.tuning import Trial, Tuned
from cellwise.report.overlay import Panel
from cellwise.report.search.figures import LEVEL, expected_best, expected_curve, importances, sensitivity
from cellwise.report.search.parallel import parallel_coordinates
from cellwise.report.search.trial_look import FATES, Trials, fate, trials_of
from cellwise.report.search.tuned_axis import TunedAxis, setting_said, tuned_axes

_EDGE = f"{100 * EDGE:g} %"
_MOST_BANDS = 4  # in one figure; more hide each other
_MOST_ERRORS = 40
_MOST_NAMED = 4  # trials of one error
_LONGEST_ERROR = 400  # characters
_CHANGING = re.compile(r"\bstep \d+|\bseed \d+: ")  # what differs between failures that are the same


def search_panels(study: Study) -> tuple[Panel, ...]:
    """Return the panels of a study's search, () where it was not tuned.

    A search that has not ended is shown as far as it is; what can't be read of it is said in the first panel's note.

    Args:
        study: its folder is read, and the scatter of its runs over seeds is what a gain by more trials is held against.
    """
    searched = read_searched(study.path)
    if searched is None:
        return ()
    trials, axes = trials_of(searched), tuned_axes(searched.record.tuned)
    panels = [_table(trials, axes)]
    if axes and any(True for _ in trials.by_label()):
        panels.append(_parallel(trials, axes))
    if axes and trials.scored():
        panels += [_sensitivity(trials, axes), _best_of_k(trials, study)]
    panels += [panel for panel in (_importance(trials, axes), _failures(trials)) if panel is not None]
    return tuple(panels)


def _table(trials: Trials, axes: Sequence[TunedAxis]) -> Panel:
    record = trials.searched.record
    fates = ["finished", *(f for f in FATES[1:] if any(_count(trials, each, f) for each in record.tuned))]
    unit = f" ({record.unit})" if record.unit else ""
    names = [axis.name for axis in axes]
    heading = ("cell", *fates, f"best {trials.axis.name}{unit}", *names, "training of trials (s)")
    rows = []
    edges: dict[tuple[str, str], list[str]] = {}
    for each in record.tuned:
        found = trials.searched.trials.get(each.label, ())
        best = _best(trials, each)
        chosen = [_chosen(each, best, axis, edges, ended=trials.searched.ended) for axis in axes]
        counts = [str(_count(trials, each, f)) for f in fates]
        seconds = short(sum(trial.seconds or 0.0 for trial in found), 3) if found else "–"
        rows.append((each.label, *counts, short(best.validation if best else None), *chosen, seconds))
    note = [*trials.searched.said, *_edges_said(edges)]
    question = "What did each cell get: how many trials, what was chosen, and is the range wide enough?"
    return Panel("Trials", question, heading=heading, rows=tuple(rows), note=" ".join(note))


def _count(trials: Trials, tuned: Tuned, wanted: str) -> int:
    """How many trials came to this; the record counts, and its trials tell who of the failed diverged."""
    diverged = sum(fate(trial) == "diverged" for trial in trials.searched.trials.get(tuned.label, ()))
    if wanted == "diverged":
        return diverged
    counted = tuned.counts.get(wanted, 0)
    return max(0, counted - diverged) if wanted == "failed" else counted


def _best(trials: Trials, tuned: Tuned) -> Trial | None:
    """The chosen trial; while a search goes on, the best so far."""
    if tuned.best is not None:
        return Trial(tuned.best.trial, tuned.best.settings, "finished", tuned.best.validation)
    return trials.best(trials.searched.trials.get(tuned.label, ()))


def _chosen(
    tuned: Tuned, best: Trial | None, axis: TunedAxis, edges: dict[tuple[str, str], list[str]], *, ended: bool
) -> str:
    """A chosen setting as the table shows it; one at the edge of its range is added to `edges`, by key and end."""
    choice = tuned.how.space.get(axis.key)
    if best is None or choice is None or axis.key not in best.settings:
        return "–"
    own = TunedAxis(axis.key, axis.name, choice)
    said = setting_said(best.settings[axis.key])
    edge = own.edge(best.settings[axis.key]) if ended else ""
    if not edge:
        return said
    edges.setdefault((f"{axis.key} ({own.range_said()})", edge), []).append(f"{tuned.label} {said}")
    return f"{said} (at the {edge} edge)"


def _edges_said(edges: Mapping[tuple[str, str], Sequence[str]]) -> list[str]:
    """A sentence for each key and end at which a best setting lies."""
    said = [
        f"The best {key} lies at the {edge} edge of its range for {', '.join(each)}: widen it "
        f"{'upwards' if edge == 'high' else 'downwards'} and search again."
        for (key, edge), each in edges.items()
    ]
    if said:
        said.append(
            f"(The edge is the outer {_EDGE} at each end, on the range's own scale, or an end of listed numbers; in a "
            "range one chosen setting in ten lies there by chance.)"
        )
    return said


def _parallel(trials: Trials, axes: Sequence[TunedAxis]) -> Panel:
    better = "lower" if trials.lower_is_better else "higher"
    note = (
        f"Each line is one trial, the thick one the best of its cell; validation has its best on top ({better} is "
        "better). Cells are drawn a little apart, as random search tries them all with the same settings. Dotted "
        "lines did not finish; a pruned trial has the best validation that it had reached. Drag along an axis "
        "to keep the trials that go through there (a click on it lifts that), and an axis by its name to move it."
    )
    question = "Which settings go together with a good validation?"
    return Panel("Trials as parallel coordinates", question, parallel_coordinates(trials, axes), note=note)


def _sensitivity(trials: Trials, axes: Sequence[TunedAxis]) -> Panel:
    note = [
        "Each mark is one trial, open where it was pruned, a cross where it failed or diverged. The line goes through "
        "the best finished trial of each part of the range; the ring is the chosen setting. All other settings vary "
        "too, so a bad trial says little of the key, and the line says what can be reached with it."
    ]
    if trials.searched.ended:
        note.append(f"Shaded: the outer {_EDGE} of the range at each end.")
    variants = {axis.name: sensitivity(trials, axis) for axis in axes}
    question = "How much does each setting decide, and how narrow is the good part of its range?"
    return Panel("Sensitivity to each setting", question, variants, note=" ".join(note))


def _best_of_k(trials: Trials, study: Study) -> Panel:
    rows = [row for tuned in trials.searched.record.tuned if (row := _doubling(trials, tuned, _scatter(study, tuned)))]
    heading = (
        "cell",
        "trials",
        "expected best of half of them",
        "of all",
        "gain",
        "scatter over seeds",
        "would more help?",
    )
    note = (
        "The mean over every draw of k of these trials without replacement (Tang et al. 2020); bands hold the middle "
        f"{100 * LEVEL:g} % of draws. At the last k one draw is left and the band closes: that is no certainty of what "
        "as many other trials would find. A trial that failed counts as the worst, a pruned one with the best that it "
        "had reached. The gain of the next doubling is mostly less than that of the last; it is held against "
        "the standard deviation of validation over the confirming seeds of the chosen setting."
    )
    variants = {"means": expected_best(trials, bands=False), "with spread": expected_best(trials, bands=True)}
    if len(rows) <= _MOST_BANDS:
        variants = {"": variants["with spread"]}
    question = "Would more trials still have helped, and what would each cell be with fewer?"
    return Panel("Expected best of k trials", question, variants, heading, tuple(rows), note=note)


def _doubling(trials: Trials, tuned: Tuned, scatter: float | None) -> tuple[str, ...] | None:
    """What the last doubling of trials brought; None where nothing is known."""
    curve: Any = expected_curve(trials, tuned)
    if not curve.size:
        return None
    last = float(curve[-1])
    seeds = short(scatter, 3) if scatter is not None else "–"
    if curve.size < 2:
        return tuned.label, "1", "–", short(last), "–", seeds, "one trial says nothing of more"
    half = float(curve[curve.size // 2 - 1])
    gain = abs(half - last)
    if scatter is None:
        said = "no two confirming seeds to hold it against"
    elif gain > scatter:
        said = "more than the seeds scatter: more trials may still help"
    else:
        said = "less than the seeds scatter: more trials would help little"
    return tuned.label, str(curve.size), short(half), short(last), short(gain, 3), seeds, said


def _scatter(study: Study, tuned: Tuned) -> float | None:
    """The standard deviation of validation over the seeds that confirm the chosen setting."""
    if tuned.best is None:
        return None
    chosen = (tuned.cell, tuned.best.identity)
    found = [run.summary.validation for run in study.runs if run.summary and (run.cell, run.identity) == chosen]
    return stdev(found) if len(found) > 1 else None


def _importance(trials: Trials, axes: Sequence[TunedAxis]) -> Panel | None:
    tuned = trials.searched.record.tuned
    known = [(each.label, each.importance) for each in tuned if each.importance is not None]
    question = "Which setting decides how well a cell does?"
    by_reason: dict[str, list[str]] = {}
    for each in tuned:
        if each.importance is None:
            by_reason.setdefault(each.importance_missing or "no reason is recorded", []).append(each.label)
    missing = "; ".join(f"{', '.join(labels)} ({reason})" for reason, labels in by_reason.items())
    if not known or not axes:
        return Panel("Which setting matters", question, note=f"Not known of {missing}.") if missing else None
    fewest = min(importance.trials for _, importance in known)
    note = (
        f"Functional ANOVA (Hutter, Hoos and Leyton-Brown 2014) of a random forest fitted to the finished trials, "
        f"{fewest} or more a cell; what is left to no setting alone is due to settings together. No intervals are "
        "known for these shares, and of few trials they are rough: read an order out of them, not digits. They hold "
        "for these ranges; a wider one makes its key matter more."
    )
    if missing:
        note = f"{note} Not known of {missing}."
    return Panel("Which setting matters", question, {"": importances(trials, known, axes)}, note=note)


def _failures(trials: Trials) -> Panel | None:
    """Failed trials by their error, those that differ in a step or seed alone together; the most frequent first."""
    found: dict[str, list[tuple[str, Trial]]] = {}
    for label, each in trials.by_label():
        for trial in each:
            if trial.state == "failed":
                found.setdefault(_CHANGING.sub("", trial.error or ""), []).append((label, trial))
    if not found:
        return None
    ordered = sorted(found.values(), key=len, reverse=True)
    rows = [(_named(same), str(len(same)), _cut(same[0][1].error or "no reason is recorded")) for same in ordered]
    note = f"{len(rows) - _MOST_ERRORS} other errors are in trials.csv." if len(rows) > _MOST_ERRORS else ""
    if any(len(same) > 1 for same in ordered):
        note = f"Where errors differ in a step or a seed alone, the first is shown. {note}"
    question = "Which trials have no score, and why?"
    heading = ("which", "trials", "error")
    return Panel("Failures of trials", question, heading=heading, rows=tuple(rows[:_MOST_ERRORS]), note=note.strip())


def _named(same: Sequence[tuple[str, Trial]]) -> str:
    by_label: dict[str, list[str]] = {}
    for label, trial in same[:_MOST_NAMED]:
        by_label.setdefault(label, []).append(str(trial.number))
    more = f" and {len(same) - _MOST_NAMED} more" if len(same) > _MOST_NAMED else ""
    return "; ".join(f"{label} {', '.join(numbers)}" for label, numbers in by_label.items()) + more


def _cut(error: str) -> str:
    return error if len(error) <= _LONGEST_ERROR else f"{error[:_LONGEST_ERROR]} ..."
