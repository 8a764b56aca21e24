"""A mirror is told all that the record holds, and its failure is a line in the log and nothing more."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.mirrors import attach as attaching
from cellwise.records.mirrors.attach import attach
from cellwise.records.mirrors.contract import Mirrored
from cellwise.records.mirrors.settings import CsvSettings, WandbSettings, read_loggers
from cellwise.records.schema import RunInfo, Summary, View
from cellwise.records.writer import RunWriter
from cellwise.tasks.objective import Objective


class Heard:
    """A mirror that remembers, and breaks where it is told to."""

    def __init__(self, breaks: str = "", *, passes_on: bool = False) -> None:
        self.name, self.breaks, self.passes_on = "heard", breaks, passes_on
        self.heard: list[Any] = []

    def _take(self, what: str, value: Any) -> None:
        if what == self.breaks:
            raise ConnectionResetError("Connection lost\nfor good")
        self.heard.append(value)

    def log(self, row: Mapping[str, Any]) -> None:
        self._take("log", dict(row))

    def view(self, view: View) -> None:
        self._take("view", view.name)

    def close(self, summary: Summary | None) -> None:
        self._take("close", "closed" if summary is None else "finished")


@pytest.fixture
def info(made_up_run_info: Callable[..., dict[str, Any]]) -> RunInfo:
    return RunInfo.from_dict(made_up_run_info("lstm", 1))


@pytest.fixture
def result(made_up_summary: Callable[..., dict[str, Any]]) -> Summary:
    return Summary.from_dict(made_up_summary("lstm", 1, 61.0))


@pytest.mark.parametrize("breaks", ["log", "view", "close"])
def test_one_that_breaks_is_left_out_and_the_others_and_the_run_go_on(
    breaks: str, tmp_path: Path, info: RunInfo, result: Summary, made_up_views: Callable[[str, int], list[View]]
) -> None:
    record, broken, sound = RunWriter(tmp_path, info, {}), Heard(breaks), Heard()
    record.mirror(broken)
    record.mirror(sound)
    record.log({"step": 1})
    record.view(made_up_views("lstm", 1)[0])
    record.log({"step": 2})
    record.finish(result)
    assert sound.heard == [{"step": 1}, "by_distance", {"step": 2}, "finished"]
    assert (tmp_path / "summary.json").exists()
    [line] = (tmp_path / "log.txt").read_text().splitlines()
    assert line.endswith(
        "warning: heard failed and is left out from here on; the record is whole "
        "(ConnectionResetError: Connection lost for good)"
    )
    assert broken.heard == {"log": ["closed"], "view": [{"step": 1}, "closed"], "close": sound.heard[:-1]}[breaks]


def test_one_that_comes_late_is_told_what_the_record_holds_already(
    tmp_path: Path, info: RunInfo, made_up_views: Callable[[str, int], list[View]]
) -> None:
    record = RunWriter(tmp_path, info, {})
    record.log({"step": 1, "loss_nats": float("nan")})
    record.view(made_up_views("lstm", 1)[0])
    late = Heard()
    record.mirror(late)
    record.log({"step": 2, "loss_nats": float("inf")})
    record.fail("it broke")
    # The same for what was read from the file and for what came: what is not finite is None.
    rows = [{"step": 1, "loss_nats": None}, {"step": 2, "loss_nats": None}]
    assert late.heard == [rows[0], "by_distance", rows[1], "closed"]
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == rows


def test_one_that_passes_on_is_not_shown_what_may_not_be_passed_on_early_or_late(
    tmp_path: Path, info: RunInfo, made_up_views: Callable[[str, int], list[View]]
) -> None:
    """Not even where it has it from the record."""
    record, first, here, late = (
        RunWriter(tmp_path, info, {}),
        Heard(passes_on=True),
        Heard(),
        Heard(passes_on=True),
    )
    record.mirror(first)
    record.mirror(here)
    curves, field = (view for view in made_up_views("lstm", 1) if view.name in ("by_distance", "units"))
    record.view(curves)
    record.view(dataclasses.replace(field, redistributable=False))
    record.mirror(late)
    record.fail("it broke")
    assert first.heard == late.heard == ["by_distance", "closed"]
    assert here.heard == ["by_distance", "units", "closed"]
    said = [line.split(" ", 1)[1] for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert said[:-1] == ["view units is not given to heard: it shows data that may not be passed on"] * 2


def test_what_fails_to_begin_is_left_out_but_what_the_user_must_see_to_is_said(
    tmp_path: Path, info: RunInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opens(error: Exception) -> Any:
        def opened(run: Any, settings: Any) -> Any:
            raise error

        return opened

    record = RunWriter(tmp_path, info, {})
    run = Mirrored(tmp_path, info, {}, Objective("perplexity", "min", "perplexity"))
    monkeypatch.setattr(attaching, "_OPEN", {"csv": opens(OSError(28, "No space left on device"))})
    attach(record, read_loggers({"csv": {}}), run)
    assert "warning: logger csv failed" in (tmp_path / "log.txt").read_text()
    monkeypatch.setattr(attaching, "_OPEN", {"csv": opens(CellwiseError("log in"))})
    with pytest.raises(CellwiseError, match="log in"):
        attach(record, read_loggers({"csv": {}}), run)
    record.fail("log in")


def test_loggers_are_read_with_their_keys_and_older_records_too() -> None:
    assert read_loggers({}) == {}
    read = read_loggers({"wandb": {"mode": "online", "project": None}, "csv": {}})
    assert read == {"wandb": WandbSettings("online", None), "csv": CsvSettings()}
    assert read_loggers({"name": "none"}) == {}
    assert read_loggers({"name": "wandb", "mode": "offline", "project": "p"}) == {
        "wandb": WandbSettings("offline", "p")
    }


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"tb": {}}, "unknown key in 'logger' 'tb'; allowed: csv, gif, tensorboard, wandb"),
        ({"wandb": {"mod": 1}}, "unknown key in 'logger.wandb' 'mod'; did you mean 'mode'? allowed: mode, project"),
        ({"wandb": {"mode": "on"}}, "logger.wandb.mode=on is not allowed; allowed: offline, online"),
        ({"csv": True}, "logger.csv=True must be a group of keys; type logger=csv"),
        ({"csv": {"every": 1}}, "unknown key in 'logger.csv' 'every'; allowed: none"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_what_is_allowed(group: dict[str, Any], said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        read_loggers(group)
    assert str(caught.value) == said
