"""A run's folder while it is made: every row on disk at once, the summary last, what was there before set aside."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records import writer
from cellwise.records.schema import Axis, Column, Heatmap, RunInfo, Summary, Table, View
from cellwise.records.store import load_study
from cellwise.records.writer import RunWriter

Info = Callable[..., dict[str, Any]]
CONFIG = {"cell": {"name": "lstm"}, "seed": 1, "data": {"pairs": 20, "path": None}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "mine" / "lstm-0123abcd" / "seed-1"


@pytest.fixture
def info(made_up_run_info: Info) -> RunInfo:
    return RunInfo.from_dict(made_up_run_info("lstm", 1, status="running", ended=None))


@pytest.fixture
def result(made_up_summary: Info) -> Summary:
    return Summary.from_dict(made_up_summary("lstm", 1, 61.5))


def status(folder: Path) -> tuple[str, str | None]:
    said = json.loads((folder / "run.json").read_text())
    return said["status"], said["error"]


def test_a_run_is_running_with_its_configuration_as_soon_as_it_starts(folder: Path, info: RunInfo) -> None:
    record = RunWriter(folder, info, CONFIG)
    assert status(folder) == ("running", None)
    assert yaml.safe_load((folder / "config.yaml").read_text()) == CONFIG
    assert list(CONFIG) == list(yaml.safe_load((folder / "config.yaml").read_text()))  # in the order it was given
    assert not (folder / "summary.json").exists()
    record.fail("end of the test")


def test_a_row_is_on_disk_when_log_returns(folder: Path, info: RunInfo) -> None:
    record = RunWriter(folder, info, CONFIG)
    for step in range(1, 4):
        record.log({"step": step, "train_nll_nats": step / 3})
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(1, step + 1))
    assert json.loads(lines[-1]) == {"step": 3, "train_nll_nats": 1.0}
    record.fail("end of the test")


def test_a_number_that_is_none_is_null(folder: Path, info: RunInfo) -> None:
    record = RunWriter(folder, info, CONFIG)
    record.log({"step": 1, "a": math.nan, "b": math.inf, "c": -math.inf})
    assert json.loads((folder / "metrics.jsonl").read_text(), parse_constant=pytest.fail) == {
        "step": 1,
        "a": None,
        "b": None,
        "c": None,
    }
    record.fail("end of the test")


def test_the_summary_is_written_last(
    folder: Path, info: RunInfo, result: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def watched(path: Path, content: str | bytes) -> None:
        written.append(path.name)
        write_atomically(path, content)

    monkeypatch.setattr(writer, "write_atomically", watched)
    record = RunWriter(folder, info, CONFIG)
    record.update(engine="native, reference")
    record.finish(result)
    assert written == ["config.yaml", "run.json", "run.json", "run.json", "summary.json"]
    assert status(folder) == ("finished", None)
    assert json.loads((folder / "run.json").read_text())["engine"] == "native, reference"
    assert Summary.from_dict(json.loads((folder / "summary.json").read_text())) == result


def test_a_failed_run_has_its_error_and_no_summary(folder: Path, info: RunInfo) -> None:
    record = RunWriter(folder, info, CONFIG)
    record.log({"step": 1})
    record.fail("it broke")
    assert status(folder) == ("failed", "it broke")
    assert json.loads((folder / "run.json").read_text())["ended"] is not None
    assert not (folder / "summary.json").exists()
    assert (folder / "log.txt").read_text().endswith(" it broke\n")
    [run] = load_study(folder.parents[1]).runs
    assert (run.status, len(run.metrics())) == ("failed", 1)


def test_what_an_unfinished_start_left_is_removed_but_for_its_log(folder: Path, info: RunInfo) -> None:
    record = RunWriter(folder, info, CONFIG)
    record.log({"step": 99})
    record.view(Table("old_view", "t", "q", (Column("a"),), ((1,),)))
    (folder / "checkpoints" / "selected.pt").write_bytes(b"old")
    record.fail("first start broke")
    again = RunWriter(folder, info, {**CONFIG, "seed": 2})
    again.log({"step": 1})
    assert [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] == [{"step": 1}]
    assert list((folder / "views").iterdir()) == []
    assert list((folder / "checkpoints").iterdir()) == []
    assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == 2
    assert "first start broke" in (folder / "log.txt").read_text()
    again.fail("end of the test")


def test_a_finished_record_is_kept_beside(folder: Path, info: RunInfo, result: Summary) -> None:
    for value in (1, 2, 3):
        record = RunWriter(folder, info, {**CONFIG, "mark": value})
        record.log({"step": value})
        record.finish(result)
    marks = {
        path.name: yaml.safe_load((path / "config.yaml").read_text())["mark"] for path in folder.parent.glob("seed-*")
    }
    assert marks == {"seed-1.replaced-1": 1, "seed-1.replaced-2": 2, "seed-1": 3}
    assert (folder.with_name("seed-1.replaced-1") / "summary.json").exists()
    assert [run.seed for run in load_study(folder.parents[1]).runs] == [1]  # a report sees the new one alone


def test_a_run_that_another_process_makes_is_left_alone(folder: Path, info: RunInfo, result: Summary) -> None:
    first = RunWriter(folder, info, CONFIG)
    first.log({"step": 1})
    with pytest.raises(CellwiseError, match="is being run by another process"):
        RunWriter(folder, info, CONFIG)
    assert (folder / "metrics.jsonl").read_text() == '{"step": 1}\n'
    first.finish(result)
    RunWriter(folder, info, CONFIG).fail("the lock ends with the run")


@pytest.mark.parametrize("where", ["file", "file/below", "read/only"])
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, info: RunInfo, where: str) -> None:
    (tmp_path / "file").write_text("")
    if where == "read/only":
        if os.geteuid() == 0:
            where = "/proc/1/runs"  # root may write everywhere but there
        else:
            (tmp_path / "read").mkdir(mode=0o500)
    with pytest.raises(CellwiseError) as caught:
        RunWriter(tmp_path / where / "mine" / "lstm-0123abcd" / "seed-1", info, CONFIG)
    assert str(caught.value).startswith("can't write the run's folder ")
    assert str(caught.value).endswith("; give a folder of yours with runs_dir=...")
    assert "\n" not in str(caught.value)


class Heard:
    """A mirror that remembers."""

    name = "heard"
    passes_on = False

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.views: list[str] = []
        self.closed: list[Summary | None] = []

    def log(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)

    def view(self, view: View) -> None:
        self.views.append(view.name)

    def close(self, summary: Summary | None) -> None:
        self.closed.append(summary)


def test_a_mirror_hears_what_the_record_holds(folder: Path, info: RunInfo, result: Summary) -> None:
    record, mirror = RunWriter(folder, info, CONFIG), Heard()
    record.mirror(mirror)
    record.log({"step": 1, "train_nll_nats": 2.0})
    axis = Axis("a")
    record.view(Heatmap("field", "t", "q", axis, axis, axis, [0, 1], [0], [[1, 2]]))  # type: ignore[arg-type]
    record.finish(result)
    assert mirror.rows == [json.loads((folder / "metrics.jsonl").read_text())]
    assert mirror.views == [path.stem for path in (folder / "views").glob("*.json")] == ["field"]
    assert mirror.closed == [result]


def test_a_mirror_is_closed_when_the_run_fails(folder: Path, info: RunInfo) -> None:
    record, mirror = RunWriter(folder, info, CONFIG), Heard()
    record.mirror(mirror)
    record.fail("it broke")
    assert mirror.closed == [None]


KILLED = """
import json, os, signal, sys
from pathlib import Path
from cellwise.records.schema import RunInfo
from cellwise.records.writer import RunWriter
record = RunWriter(Path(sys.argv[1]), RunInfo.from_dict(json.loads(sys.argv[2])), {"seed": 1})
record.capture_output()
print("printed by python", flush=True)
os.system("echo printed by a child")
for step in range(50):
    record.log({"step": step})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_keeps_every_row_and_is_not_finished(folder: Path, info: RunInfo) -> None:
    words = [sys.executable, "-c", KILLED, str(folder), json.dumps(info.to_dict())]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    assert (done.stdout, done.stderr) == ("", "")
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 50
    assert "printed by python\nprinted by a child\n" in (folder / "log.txt").read_text()
    [run] = load_study(folder.parents[1]).runs
    assert run.status != "finished"


def test_a_run_that_has_become_anothers_writes_nothing_more_into_its_record(folder: Path, info: RunInfo) -> None:
    record = RunWriter(folder, info, CONFIG)
    record.log({"step": 1})
    folder.with_name(".seed-1.lease").write_text('{"token": "theirs"}')
    record._lease._look()
    (folder / "run.json").write_text("theirs")
    with pytest.raises(CellwiseError, match="is being run by another process now"):
        record.log({"step": 2})
    record.fail("it has become another's")
    assert (folder / "run.json").read_text() == "theirs"
    assert (folder / "metrics.jsonl").read_text().count("\n") == 1


def test_half_a_file_that_a_killed_process_left_is_removed(folder: Path, info: RunInfo) -> None:
    halves = [folder / "checkpoints" / ".checkpoint.123.tmp", folder / ".run.json.123.tmp"]
    halves[0].parent.mkdir(parents=True)
    for half in halves:
        half.write_text("ha")
    RunWriter(folder, info, CONFIG, rows=0).fail("end of the test")
    assert not any(half.exists() for half in halves)
