"""TensorBoard as a mirror of the record: event files in `tensorboard/` of the run's folder, written without torch.

`tensorboard --logdir runs/<study>` names runs by their folder, `<cell>-<8 hex>/seed-<n>/tensorboard`. A run that goes
on is mirrored anew, from the rows that the record kept, in a file of its own that begins at step 0: a board that
watches forgets what came after the checkpoint. The older file is emptied, not removed, for a board that had not seen
its end would wait for it for ever. (`purge_step` would spare the copy, and lose the rows of the checkpoint's own step.)
Times are the run's: its start and the seconds it has trained.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary as Proto
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from cellwise.records.mirrors.contract import Mirrored, Row
from cellwise.records.mirrors.tensorboard_views import scalar, summaries, text
from cellwise.records.plain import flat, to_plain
from cellwise.records.schema import Summary, View

_FLUSH_SECONDS = 5  # a board looks every 30 seconds


class TensorboardMirror:
    """The event file of one run.

    Args:
        run: of ours.
    """

    name = "TensorBoard"
    passes_on = False

    def __init__(self, run: Mirrored):
        folder = run.folder / "tensorboard"
        _empty(folder)
        self._began = datetime.fromisoformat(run.info.started).timestamp()
        self._step, self._seconds = 0, 0.0
        self._writer = EventFileWriter(str(folder), flush_secs=_FLUSH_SECONDS)
        try:
            self._begin(run, folder)
        except BaseException:
            self._writer.close()
            raise

    def _begin(self, run: Mirrored, folder: Path) -> None:
        self._writer.add_event(Event(step=0, session_log=SessionLog(status=SessionLog.START)))
        # No list of hyperparameters and metrics: a board makes one of all its runs, whose cells have different options.
        trial = f"{folder.parents[1].name}/{folder.parent.name}"
        self._write(summary_v2.hparams_pb(_shown(run.config), trial_id=trial, start_time_secs=self._began))
        self._write(text("config", f"```yaml\n{yaml.safe_dump(dict(run.config), sort_keys=False)}```", "config.yaml"))
        record = json.dumps(to_plain(run.info), indent=2)
        self._write(text("record", f"```json\n{record}\n```", "run.json, as the run began"))

    def log(self, row: Row) -> None:
        """Write the numbers of one row under our names."""
        self._step, self._seconds = int(row["step"]), float(row.get("seconds") or self._seconds)
        for name, value in row.items():
            if name != "step":
                self._write(scalar(name, math.nan if value is None else float(value)))

    def view(self, view: View) -> None:
        """Write a view as an image, a histogram or a text."""
        for summary in summaries(view):
            self._write(summary)

    def close(self, summary: Summary | None) -> None:
        """Write the test scores, and end the session well or not."""
        try:
            if summary is not None:
                for name, value in summary.metrics.items():
                    self._write(scalar(f"test_{name}", value))
            ended = api_pb2.STATUS_SUCCESS if summary is not None else api_pb2.STATUS_FAILURE
            self._write(_session_end(ended))
        finally:
            self._writer.close()

    def _write(self, summary: Proto) -> None:
        self._writer.add_event(Event(step=self._step, wall_time=self._began + self._seconds, summary=summary))


def _empty(folder: Path) -> None:
    """Empty what an earlier start wrote; what was emptied before that, no board waits for."""
    for old in folder.glob("events.out.tfevents.*"):
        if old.stat().st_size:
            os.truncate(old, 0)
        else:
            old.unlink()


def _session_end(status: Any) -> Proto:
    """What `tensorboard.plugins.hparams.summary` makes, which needs TensorFlow for its import."""
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    of_plugin = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=info))
    value = Proto.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=of_plugin, tensor=metadata.NULL_TENSOR)
    return Proto(value=[value])


def _shown(config: Mapping[str, Any]) -> dict[str, Any]:
    """What TensorBoard's table of hyperparameters can show of a configuration, by dotted keys."""
    return {key: value for key, value in flat(config) if isinstance(value, bool | int | float | str)}
