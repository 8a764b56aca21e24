"""A run with a summary is finished; the line of a skipped run says what has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.records.environment import code_sha256
from cellwise.records.finished import ended_since, finished_note, is_finished, mark_ended

SKIPPED = "finished already, skipped (again=true repeats it)"
CHANGED = "finished already, skipped; cellwise's own code has changed since (again=true repeats it)"


def test_only_a_summary_makes_a_run_finished(tmp_path: Path) -> None:
    assert not is_finished(tmp_path)
    (tmp_path / "run.json").write_text('{"status": "finished"}')
    (tmp_path / ".summary.json.17.tmp").write_text("{")  # what a killed writer may leave
    assert not is_finished(tmp_path)
    (tmp_path / "summary.json").write_text('{"value": 1.5')  # a damaged disk, a careless editor
    assert not is_finished(tmp_path)
    (tmp_path / "summary.json").write_text('{"value": 1.5}')
    assert is_finished(tmp_path)


def test_the_note_is_short_while_the_code_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"code_sha256": code_sha256()}))
    assert finished_note(tmp_path) == SKIPPED


@pytest.mark.parametrize("content", ['{"code_sha256": "0000"}', "{", "{}", None])
def test_the_note_says_that_the_code_has_changed_or_is_not_known(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    assert finished_note(tmp_path) == CHANGED


@pytest.mark.parametrize(
    ("about", "probe", "told"), [("task", "light", True), ("cell", "full", False), ("task", "off", False)]
)
def test_the_note_says_that_the_inside_of_the_cell_was_not_looked_at(
    tmp_path: Path, about: str, probe: str, told: bool
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"code_sha256": code_sha256()}))
    (tmp_path / "views").mkdir()
    for name, content in (("one", f'{{"about": "{about}"}}'), ("older", "{}"), ("damaged", "{"), ("foreign", "[]")):
        (tmp_path / "views" / f"{name}.json").write_text(content)
    unseen = f"finished already, skipped; probe={probe} has no effect: it was not probed (again=true repeats it)"
    assert finished_note(tmp_path, probe) == (unseen if told else SKIPPED)


def test_a_run_whose_process_is_gone_is_marked(tmp_path: Path, made_up_run_info: Callable[..., dict[str, Any]]) -> None:
    path = tmp_path / "run.json"
    mark_ended(tmp_path, "failed", "killed")
    assert not path.exists()  # it ended before it had a record
    running = made_up_run_info("lstm", 1, status="running", ended=None)
    path.write_text(json.dumps(running))
    mark_ended(tmp_path, "failed", "killed by SIGKILL")
    found = json.loads(path.read_text())
    assert (found["status"], found["error"]) == ("failed", "killed by SIGKILL")
    assert found["ended"] is not None
    assert {**found, "status": 0, "error": 0, "ended": 0} == {**running, "status": 0, "error": 0, "ended": 0}


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_a_record_that_says_how_it_ended_is_left_alone(
    tmp_path: Path, made_up_run_info: Callable[..., dict[str, Any]], status: str
) -> None:
    (tmp_path / "run.json").write_text(json.dumps(made_up_run_info("lstm", 1, status=status, error="its own")))
    mark_ended(tmp_path, "failed", "killed")
    assert json.loads((tmp_path / "run.json").read_text())["error"] == "its own"


def test_one_that_was_interrupted_is_told_what_interrupted_it(
    tmp_path: Path, made_up_run_info: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "run.json").write_text(json.dumps(made_up_run_info("lstm", 1, status="failed", error="interrupted")))
    mark_ended(tmp_path, "pruned", "worse than half of the others at step 40")
    found = json.loads((tmp_path / "run.json").read_text())
    assert (found["status"], found["error"]) == ("pruned", "worse than half of the others at step 40")


def test_when_a_run_ended_is_known(tmp_path: Path, made_up_run_info: Callable[..., dict[str, Any]]) -> None:
    path = tmp_path / "run.json"
    assert ended_since(tmp_path, 0) is None
    for status, error, expected in (
        ("running", None, None),
        ("failed", "interrupted", None),
        ("failed", "its own", ("failed", "its own")),
        ("finished", None, ("finished", "")),
    ):
        path.write_text(json.dumps(made_up_run_info("lstm", 1, status=status, error=error)))
        assert ended_since(tmp_path, path.stat().st_mtime - 1) == expected
        assert ended_since(tmp_path, path.stat().st_mtime + 1) is None
