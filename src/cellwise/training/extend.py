"""More epochs for a finished run: the run of the longer configuration, which goes on where the shorter one ended."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellwise.errors import CellwiseError
from cellwise.records.finished import require_finished
from cellwise.training.train import Outcome, Progress, train
from cellwise.training.trained import read_config


def extend(
    folder: Path, *, epochs: int | None = None, steps: int | None = None, progress: Progress | None = None
) -> Outcome:
    """Train a finished run on, to the bits that so many epochs from the start would have given.

    The longer run has its own identity, hence its own folder, in the study of the shorter one, which stays as it is.

    Args:
        folder: `runs/<study>/<cell>-<8 hex>/seed-<n>`, also where it was moved or copied to; elsewhere than in a study,
            the longer run goes into a study beside it.
        epochs: in all; None: as before.
        steps: in all; None: as before.
        progress: as `train`'s.

    Raises:
        CellwiseError: no finished run there, or one that can't go on to the same bits.
    """
    config = read_config(folder)
    require_finished(folder)
    asked = {key: value for key, value in (("max_epochs", epochs), ("max_steps", steps)) if value is not None}
    if not asked:
        raise CellwiseError(f"how long? type `cellwise extend {folder} --epochs N`, N in all, or --steps N")
    for key, value in asked.items():
        before = config["trainer"].get(key)
        if before is not None and value <= before:
            raise CellwiseError(
                f"{folder} has trainer.{key}={before}; --{key.removeprefix('max_')} counts in all, so give more"
            )
    schedule = config["optim"].get("schedule")
    if schedule in ("cosine", "linear"):
        raise CellwiseError(
            f"{folder} has optim.schedule={schedule}, whose rates depend on the number of steps in all, so a longer "
            "run differs from the first step on; train it from the start: the command in run.json with another length"
        )
    trainer = {**config["trainer"], **asked}
    longer = {**config, **_place(folder, config), "trainer": trainer, "again": False}
    return train(longer, progress=progress, extends=folder)


def _place(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The study and the folder of studies that a run lies in, wherever that is now."""
    run = Path(os.path.abspath(folder))  # not resolved: who reaches a study by a link means the link's place
    if not (re.fullmatch(r"seed-\d+", run.name) and re.fullmatch(r".+-[0-9a-f]{8}", run.parent.name)):
        return {"runs_dir": str(run.parent), "study": config["study"]}
    runs_dir = run.parents[2]
    same = runs_dir == Path(os.path.abspath(str(config["runs_dir"])))
    return {"runs_dir": str(config["runs_dir"]) if same else str(runs_dir), "study": run.parents[1].name}
