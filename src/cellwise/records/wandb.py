"""Weights & Biases as a mirror of the record: offline unless told, never a source.

Tables become `wandb.Table`, curves a `wandb.Table` in long form; the other kinds of views stay in the record. Set
WANDB_ERROR_REPORTING=false to spare even an offline run its DNS look-up of W&B's host.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import wandb

from cellwise.errors import CellwiseError
from cellwise.records.schema import Curves, Summary, Table, View


class WandbMirror:
    """One W&B run beside one run of ours.

    Args:
        folder: the run's folder; W&B's files go to `wandb/` in it.
        mode: `offline` writes files that `wandb sync` uploads later; `online` needs `wandb login`.
        project: W&B project.
        config: the run's resolved configuration.

    Raises:
        CellwiseError: W&B refuses, for example online without a login.
    """

    def __init__(self, folder: Path, mode: Literal["offline", "online"], project: str, config: Mapping[str, Any]):
        try:
            self._run = wandb.init(
                project=project,
                mode=mode,
                dir=str(folder),
                group=str(config["study"]),
                name=f"{folder.parent.name}-{folder.name}",
                config=dict(config),
                reinit="create_new",  # two runs of one process must not share one W&B run
                settings=wandb.Settings(silent=True, console="off", disable_git=True),
            )
        except Exception as error:  # wandb raises several unrelated classes
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise CellwiseError(f"W&B: {first}; run `wandb login`, or keep logger.mode=offline") from error

    def log(self, row: Mapping[str, Any]) -> None:
        """Send one row; `step` is W&B's step."""
        self._run.log({k: v for k, v in row.items() if k != "step"}, step=int(row["step"]))

    def view(self, view: View) -> None:
        """Send a table, or curves as a table in long form."""
        if isinstance(view, Table):
            table = wandb.Table(columns=[c.name for c in view.columns], data=[list(row) for row in view.rows])
        elif isinstance(view, Curves):
            rows = [[s.name, float(x), float(y)] for s in view.series for x, y in zip(s.x, s.y, strict=True)]
            table = wandb.Table(columns=["series", view.x.name, view.y.name], data=rows)
        else:
            return
        self._run.log({f"views/{view.name}": table})

    def close(self, summary: Summary | None) -> None:
        """Write the summary and finish; called however the run ended."""
        if summary is not None:
            self._run.summary.update({**summary.metrics, summary.objective: summary.value})
        self._run.finish(exit_code=0 if summary is not None else 1)
