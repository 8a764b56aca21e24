"""Weights & Biases as a mirror of the record: offline unless told, never a source.

A run of ours is one run of W&B's, whatever happens to it: its W&B id lies in its folder (`wandb/id`), so it stays when
the run is cut off, goes on or is moved, and a run that is repeated (`again=true`) has another. A run that goes on is
mirrored anew, from the rows that the record kept: `wandb sync` of a second offline folder with one id takes the place
of the first (wandb issues 3841 and 5865), so there is one folder, with all rows. Online, W&B is asked to go on
(`resume="allow"`), and rows that it has already are not sent again.

In the web app runs are grouped by study (`group`) and cell (`job_type`), their tags are task, cell and seed. W&B's own
environment variables are respected (WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY, WANDB_RUN_GROUP, WANDB_JOB_TYPE,
WANDB_TAGS, WANDB_NOTES), those apart that would make one run of many or tear a run's folder apart: WANDB_RUN_ID,
WANDB_NAME, WANDB_RESUME, WANDB_DIR. WANDB_ERROR_REPORTING is set to false unless it is set: else even an offline run
looks up the address of a host of W&B's.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import wandb

from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records.mirrors.contract import Mirrored, Row
from cellwise.records.mirrors.settings import WandbSettings
from cellwise.records.mirrors.wandb_views import index, media
from cellwise.records.plain import to_plain
from cellwise.records.schema import Summary, View

_VARIABLES = {
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "tags": "WANDB_TAGS",
    "notes": "WANDB_NOTES",
}
_STAGED = "data"  # in the folder of W&B's files
# Of run.json, what is not known yet when a run begins.
_LATER = ("status", "error", "ended", "times_seconds")


class WandbMirror:
    """One W&B run beside one run of ours; its files go to `wandb/` in the run's folder.

    Args:
        run: of ours.
        settings: offline or online, and W&B's project.

    Raises:
        CellwiseError: W&B wants something of the user first, for example a login for an online run.
    """

    name = "W&B"
    passes_on = True  # offline too: `wandb sync` uploads what was written

    def __init__(self, run: Mirrored, settings: WandbSettings):
        mode: Any = settings.mode or os.environ.get("WANDB_MODE") or "offline"
        folder = run.folder / "wandb"
        with _instead_of_older(folder) if mode in ("offline", "online") else nullcontext():
            self._run = _begin(run, settings, folder, mode)
        self._first = self._run.step if self._run.resumed else 0
        self._step, self._folder = self._first, folder
        self._views: dict[str, View] = {}
        try:
            self._define(run)
        except BaseException:
            self._run.finish(exit_code=1)
            raise

    def _define(self, run: Mirrored) -> None:
        """Let all be drawn over our steps, and the best validation stand in the summary, not the last."""
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        judged = f"validation_{run.objective.metric}"
        self._run.define_metric(judged, step_metric="step", summary=run.objective.direction)

    def log(self, row: Row) -> None:
        """Send one row; its `step` is W&B's step as well."""
        self._step = max(self._first, int(row["step"]))
        if row["step"] >= self._first:
            self._run.log(dict(row), step=self._step)

    def view(self, view: View) -> None:
        """Send a view as W&B's own media, beside the last row."""
        self._views[view.name] = view
        with _staged(self._folder):
            self._run.log(media(view), step=self._step)

    def close(self, summary: Summary | None) -> None:
        """Write the summary and finish; called however the run ended."""
        try:
            if self._views:
                with _staged(self._folder):
                    self._run.log({"views": index(self._views)}, step=self._step)
            if summary is not None:
                self._run.summary.update(_results(summary))
        finally:
            self._run.finish(exit_code=0 if summary is not None else 1)
        _require_whole(Path(self._run.dir).parent / "logs" / "debug-internal.log")


def _begin(run: Mirrored, settings: WandbSettings, folder: Path, mode: Any) -> Any:
    """W&B's run, under way."""
    try:
        return wandb.init(
            id=_id(folder),
            project=settings.project or os.environ.get("WANDB_PROJECT") or "cellwise",
            mode=mode,
            dir=str(run.folder),
            name=f"{run.folder.parent.name}-{run.folder.name}",
            config=_config(run),
            resume="allow" if run.goes_on and mode == "online" else None,
            reinit="create_new",  # two runs of one process must not share one W&B run
            settings=wandb.Settings(silent=True, console="off", disable_git=True),
            **{key: value for key, value in _place(run).items() if _VARIABLES[key] not in os.environ},
        )
    except (wandb.errors.UsageError, wandb.errors.AuthenticationError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise CellwiseError(f"W&B: {first}; run `wandb login`, or keep logger.wandb.mode=offline") from error


def _id(folder: Path) -> str:
    """The W&B id of the run whose files lie there; drawn at random, so that two people's runs never share one."""
    path = folder / "id"
    with suppress(OSError):
        if found := path.read_text(encoding="utf-8").strip():
            return found
    folder.mkdir(parents=True, exist_ok=True)
    drawn = secrets.token_hex(6)
    write_atomically(path, f"{drawn}\n")
    return drawn


@contextmanager
def _instead_of_older(folder: Path) -> Iterator[None]:
    """Let a run that begins here take the place of what earlier starts wrote offline; that stays if it can't begin."""
    older = {path: path.rename(path.with_name(f".{path.name}")) for path in folder.glob("offline-run-*")}
    try:
        yield
    except BaseException:
        for path, aside in older.items():
            aside.rename(path)
        raise
    for path in (*folder.glob(".offline-run-*"), folder / _STAGED):
        shutil.rmtree(path, ignore_errors=True)  # W&B's own process may live a moment longer than the run


def _require_whole(log: Path) -> None:
    """W&B's service says only in its own log that it could not write, on a full disk for example."""
    with suppress(OSError):
        said = log.read_text(encoding="utf-8", errors="replace")
        if (lost := said.count("failed to save record")) > 0:
            raise RuntimeError(f"its service could not write {lost} records, see {log}")


@contextmanager
def _staged(folder: Path) -> Iterator[None]:
    """Let what W&B keeps of tables until they are uploaded lie beside the run, too, and not in the user's home."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str((folder / _STAGED).absolute())
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]


def _config(run: Mirrored) -> dict[str, Any]:
    facts = {key: value for key, value in to_plain(run.info).items() if key not in _LATER}
    return {**run.config, "record": facts, "objective": to_plain(run.objective)}


def _place(run: Mirrored) -> dict[str, Any]:
    """Where W&B sorts the run in."""
    info, objective = run.info, run.objective
    unit = f" in {objective.unit}" if objective.unit else ""
    better = "lower" if objective.direction == "min" else "higher"
    return {
        "group": info.study,
        "job_type": info.cell,
        "tags": (info.task, info.cell, f"seed-{info.seed}"),
        "notes": f"Judged by {objective.metric}{unit}, {better} is better. Command: {info.command}",
    }


def _results(summary: Summary) -> dict[str, Any]:
    """The test scores, what validation selected, and what it cost; units in the names."""
    return {
        **{f"test_{name}": value for name, value in summary.metrics.items()},
        f"selected_validation_{summary.objective}": summary.validation,
        "selected_step": summary.selected_step,
        **{f"floor_{name}": value for name, value in summary.floors.items()},
        **({} if summary.optimum is None else {"optimum": summary.optimum}),
        "train_seconds": summary.train_seconds,
        f"throughput ({summary.throughput.unit})": summary.throughput.value,
        "peak_memory_bytes": summary.peak_memory_bytes,
    }
