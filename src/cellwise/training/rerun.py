"""A finished run repeated from its record, and the first number in which the repetition differs."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from cellwise.records.finished import require_finished
from cellwise.records.plain import read_json
from cellwise.records.store import read_metrics
from cellwise.recurrent.engines import ENGINES
from cellwise.training.resume import what_changed
from cellwise.training.train import Progress, train
from cellwise.training.trained import read_config

# Measured, so never the same twice.
_MEASURED = ("seconds", "train_seconds", "throughput", "peak_memory_bytes")


class Repeated(NamedTuple):
    """What came of a repetition.

    Attributes:
        difference: the first one, in a line; None when every number is the same.
        changed: what of the environment is other than the record says, of what decides bits.
        rows: rows of `metrics.jsonl` that were compared.
    """

    difference: str | None
    changed: list[str]
    rows: int


def rerun(folder: Path, progress: Progress | None = None) -> Repeated:
    """Train a finished run again, in a temporary folder, with its seed, engine and number of threads.

    Args:
        folder: `runs/<study>/<cell>-<8 hex>/seed-<n>`, also where it was moved or copied to.
        progress: as `train`'s.

    Raises:
        CellwiseError: no finished run there, or one that can't be trained here.
    """
    config = read_config(folder)
    require_finished(folder)
    then = read_json(folder / "run.json")
    with tempfile.TemporaryDirectory() as elsewhere:
        trainer = {**config["trainer"], "threads": then["threads"]}
        if trainer["engine"] == "auto" and then["engine"] in ENGINES:
            trainer["engine"] = then["engine"]
        config |= {"trainer": trainer, "runs_dir": elsewhere, "again": False}
        config["logger"] = {}
        again = train(config, progress=progress).folder
        old, new = _rows(folder), _rows(again)
        difference = _first_difference(old, new) or _difference(
            "summary.json",
            _unmeasured(read_json(folder / "summary.json")),
            _unmeasured(read_json(again / "summary.json")),
        )
        return Repeated(difference, what_changed(then, read_json(again / "run.json")), len(old))


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [_unmeasured(row) for row in read_metrics(folder)]


def _unmeasured(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _MEASURED}


def _first_difference(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> str | None:
    for a, b in itertools.zip_longest(old, new):
        if a is None or b is None:
            return f"the record has {len(old)} rows, the repetition {len(new)}"
        found = _difference(f"step {a['step']}", a, b)
        if found:
            return found
    return None


def _difference(where: str, old: dict[str, Any], new: dict[str, Any]) -> str | None:
    for key in [*old, *(key for key in new if key not in old)]:
        if old.get(key) != new.get(key):
            return f"{where}: {key} was {old.get(key)}, now {new.get(key)}"
    return None
