"""What tuning found, in the terminal: the best settings of each cell, and which setting matters most."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cellwise.compare.numbers import percent, short
from cellwise.records.tuning import Importance, Setting, Tuned, TuningRecord
from cellwise.settings import typed

_ENDINGS = ("pruned", "failed", "running", "waiting")


def render_tuning(record: TuningRecord, console: Console | None = None) -> None:
    """Print a table of the best settings on validation, and what the trials say of each setting.

    Args:
        record: what tuning found.
        console: where to print; standard output when None.
    """
    console = console or Console()
    better = "lower is better" if record.direction == "min" else "higher is better"
    unit = f" ({record.unit})" if record.unit else ""
    heading = f"Tuned: best validation {record.objective.replace('_', ' ')}{unit} of each cell, {better}"
    console.print(Text(heading, style="bold"))
    table = _table(record.tuned)
    # As wide as it must be: where the terminal is narrower it breaks the lines, and no name or number is cut off.
    table.width = Measurement.get(console, console.options.update(max_width=1000), table).maximum
    console.print(table, crop=False)
    for line in importance_lines(record.tuned):
        console.print(Text(line), soft_wrap=True)


def importance_lines(tuned: Sequence[Tuned]) -> list[str]:
    """Return what matters most, over all cells; or why nothing can be said."""
    known = [each.importance for each in tuned if each.importance is not None]
    if not known:
        missing = next((each.importance_missing for each in tuned if each.importance_missing), None)
        return [f"Which setting matters is not known: {missing}."] if missing else []
    shares = _mean_shares(known)
    [most, *others] = sorted(shares.items(), key=lambda item: -item[1])
    rest = "".join(f", {key} {_percent(share)}" for key, share in others)
    together = fmean(each.together for each in known)
    trials = min(each.trials for each in known)
    return [
        f"{most[0]} matters most: {_percent(most[1])} of the variance of validation{rest}, settings together "
        f"{_percent(together)} (fANOVA, {trials} finished trials or more, mean over {len(known)} tuned)."
    ]


def _mean_shares(known: Sequence[Importance]) -> dict[str, float]:
    keys = dict.fromkeys(key for each in known for key in each.alone)
    return {key: fmean(each.alone.get(key, 0.0) for each in known) for key in keys}


def _percent(share: float) -> str:
    return percent(round(share, 3), 1.0)


def _table(tuned: Sequence[Tuned]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("cell")
    endings = [state for state in _ENDINGS if any(each.counts.get(state) for each in tuned)]
    keys = list(dict.fromkeys(key for each in tuned for key in each.how.space))
    for name in ("finished", *endings, "validation", *(key.split(".")[-1] for key in keys)):
        table.add_column(name.replace("_", "\n"), justify="right")
    for each in tuned:
        counts = [str(each.counts.get(state, 0)) for state in ("finished", *endings)]
        if each.best is None:
            table.add_row(Text(each.label), *counts, "–", *["–" for _ in keys])
        else:
            settings = [_setting(each.best.settings.get(key)) for key in keys]
            table.add_row(Text(each.label), *counts, short(each.best.validation), *settings)
    return table


def _setting(value: Setting) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return short(value, 3)
    return typed(value)
