"""Where a study stands: planned, running, finished, cut off and failed runs, for `cellwise status`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from cellwise.errors import CellwiseError
from cellwise.records.lease import is_being_run
from cellwise.records.planned import read_plan
from cellwise.records.store import RunRecord, load_study

ORDER = ("running", "failed", "cut off", "pruned", "finished", "waiting")
MEANINGS = {
    "cut off": "the same command goes on with them",
    "failed": "the same command tries them again",
    "pruned": "ended early by the search",
    "waiting": "planned, not begun",
}


def status_lines(folder: Path) -> list[str]:
    """Return a line of counts, and one line for each run that is not simply finished or waiting.

    Args:
        folder: `runs/<study>`.

    Raises:
        CellwiseError: no such folder, or nothing in it is a run or planned.
    """
    planned = read_plan(folder)
    try:
        runs = load_study(folder).runs
    except CellwiseError:
        if not planned:
            raise
        runs = ()
    known = {f"{run.path.parent.name}/{run.path.name}" for run in runs}
    states = [(state_of(run), run) for run in runs]
    counts = Counter(state for state, _ in states)
    counts["waiting"] = sum(name not in known for name in planned)
    lines = [f"{folder}: {told(counts)}"]
    for state in ORDER[:3]:
        lines += [f"{state:8}  {run.cell} seed {run.seed}: {_said(state, run)}" for of, run in states if of == state]
    return lines + [f"({state}: {MEANINGS[state]})" for state in ORDER if counts[state] and state in MEANINGS]


def told(counts: Mapping[str, int]) -> str:
    """Say how many runs there are, and how many in each state."""
    each = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts.get(state))
    total = sum(counts.values())
    return f"{total} run{'' if total == 1 else 's'}: {each}" if total else "no runs yet"


def state_of(run: RunRecord) -> str:
    """Return where a run stands, one of `ORDER` but waiting."""
    if run.status in ("finished", "pruned"):
        return run.status
    if is_being_run(run.path):
        return "running"
    interrupted = run.status == "running" or run.error == "interrupted"
    return "cut off" if interrupted else "failed"


def _said(state: str, run: RunRecord) -> str:
    if state == "failed":
        return run.error or "failed without a message"
    return ", ".join(_last(run)) or "nothing logged yet"


def _last(run: RunRecord) -> Iterator[str]:
    """The last step that was logged, and the last score of validation."""
    rows = run.metrics()
    if rows:
        yield f"step {rows[-1].get('step', 0):,}"
    for row in reversed(rows):
        scores = [(key, value) for key, value in row.items() if key.startswith("validation_") and value is not None]
        if scores:
            yield f"{scores[0][0]} {scores[0][1]:.4g}"
            return
