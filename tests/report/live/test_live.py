"""The live page's state: made once for all who look, only when something changed, and never lost to a bad file."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellwise.compare.comparable import Ground
from cellwise.records.planned import write_plan
from cellwise.records.store import Study
from cellwise.report.live import live
from cellwise.report.live.live import Live, LiveIndex, LiveStudy, State, is_study, state, studies_of
from cellwise.report.page import Content, page_content


def told(found: State) -> dict[str, Any]:
    return dict(json.loads(found.body))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of runs of each time that a page is drawn."""
    found: list[int] = []

    def counted(study: Study, across: Collection[Ground]) -> Content:
        found.append(len(study.runs))
        return page_content(study, across)

    monkeypatch.setattr(live, "page_content", counted)
    return found


def test_a_state_is_the_pages_content_with_its_figures_apart(study_folder: Path) -> None:
    found = LiveStudy(study_folder).look()
    said = told(found)
    assert (said["title"], said["error"]) == ("made_up", None)
    assert "25 runs: 25 finished" in said["status"]
    assert 'data-figure="curves"' in said["html"]
    assert set(said["figures"].values()) == set(found.figures)
    curves = json.loads(found.figures[said["figures"]["curves"]])
    assert [variant["label"] for variant in curves] == ["training steps", "examples seen", "training time (s)"]


def test_nothing_is_drawn_again_until_something_changes(study_folder: Path, drawn: list[int]) -> None:
    page = LiveStudy(study_folder)
    first = page.look()
    assert page.look() == first
    assert drawn == [25]
    shutil.rmtree(study_folder / "rnn-0123abcd")
    second = page.look()
    assert drawn == [25, 20]
    assert second.tag != first.tag


def test_figures_that_are_the_same_keep_their_digest(make_study: Callable[..., Path]) -> None:
    folder = make_study("study", 2, ("lstm", "gru"), views=True)
    page = LiveStudy(folder)
    first = told(page.look())["figures"]
    with open(folder / "gru-0123abcd" / "seed-0" / "metrics.jsonl", "a") as file:
        file.write('{"step": 1050, "examples": 1, "seconds": 50.0, "validation_perplexity": 63.0}\n')
    second = told(page.look())["figures"]
    assert {place for place in first if first[place] != second[place]} == {"curves"}


def test_a_study_that_is_only_planned_says_nothing_yet_and_goes_on(
    tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Any
) -> None:
    folder = tmp_path / "planned"
    run = folder / "gru-0123abcd" / "seed-0"
    write_plan([run])
    page = LiveStudy(folder)
    said = told(page.look())
    assert "Nothing yet" in said["html"]
    assert (said["figures"], said["error"]) == ({}, None)
    assert "1 run: 1 waiting" in said["status"]
    add_run(run, made_up_run_info("gru", 0, status="running", parameters=None, flops_per_step=None))
    said = told(page.look())
    assert "No run has finished" in said["html"]
    assert said["error"] is None


def test_a_folder_that_goes_is_said_to_be_gone_and_the_page_stays(study_folder: Path) -> None:
    page = LiveStudy(study_folder)
    before = told(page.look())
    away = study_folder.with_name("away")
    study_folder.rename(away)
    gone = told(page.look())
    assert gone["error"] == f"can't read {study_folder}: No such file or directory"
    assert {**gone, "error": None} == before
    away.rename(study_folder)
    assert told(page.look()) == before


def test_what_cannot_be_drawn_leaves_the_last_page_with_the_reason(
    study_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = LiveStudy(study_folder)
    before = told(page.look())

    def broken(*arguments: Any) -> Any:
        raise ZeroDivisionError("by\nnothing")

    monkeypatch.setattr(live, "page_content", broken)
    shutil.rmtree(study_folder / "rnn-0123abcd")
    failed = told(page.look())
    assert failed["error"] == "cannot draw what is there now: ZeroDivisionError: by nothing"
    assert (failed["html"], failed["figures"]) == (before["html"], before["figures"])
    assert "20 runs" in failed["status"]
    assert told(page.look()) == failed
    monkeypatch.setattr(live, "page_content", page_content)
    shutil.rmtree(study_folder / "gru-0123abcd")
    after = told(page.look())
    assert after["error"] is None
    assert after["html"] != before["html"]


def test_tuning_that_is_damaged_is_told_on_the_page(study_folder: Path) -> None:
    (study_folder / "tuning").mkdir()
    (study_folder / "tuning" / "search.json").write_text('{"schema": 1, "obj')
    said = told(LiveStudy(study_folder).look())
    assert "search.json: not readable as JSON" in said["error"]
    assert "25 runs" in said["status"]


class Counting(Live):
    """Counts its looks, each of which takes a moment."""

    def __init__(self, takes: float = 0.05) -> None:
        super().__init__(rest=0.0)
        self.looks, self.takes, self.at_once, self.most = 0, takes, 0, 0

    def look(self) -> State:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        time.sleep(self.takes)
        self.looks += 1
        self.at_once -= 1
        return state({"look": self.looks}, {"digest": str(self.looks).encode()})


def test_many_who_look_at_once_share_one_look() -> None:
    page = Counting()
    assert not page.has_state
    found: list[State | None] = []
    threads = [threading.Thread(target=lambda: found.append(page.latest(10.0))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert None not in found
    assert page.looks <= 3  # those who came while the first look went on share the second
    assert page.most == 1


def test_who_waits_too_long_gets_what_is_there_and_figures_outlive_one_change() -> None:
    page = Counting(takes=0.3)
    assert page.latest(0.01) is None
    first = page.latest(10.0)
    assert first is not None
    assert page.latest(0.01) == first
    assert page.figure("digest") is not None
    assert page.figure("other") is None
    second = page.latest(10.0)
    assert second is not None
    assert second.tag != first.tag


def test_the_index_lists_what_is_a_study_and_counts_its_runs(make_study: Callable[..., Path], tmp_path: Path) -> None:
    first, second = make_study("first", 2, ("lstm",)), make_study("<b>second &?#%2e", 3, ("gru",))
    (second / "gru-0123abcd" / "seed-1" / "summary.json").unlink()
    runs = first.parent
    (runs / "notes").mkdir()
    (runs / "planned").mkdir()
    (runs / "planned" / "plan.json").write_text('{"runs": []}')
    (runs / "file").write_text("")
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(first, tmp_path / "elsewhere" / "study")
    (runs / "link").symlink_to(tmp_path / "elsewhere" / "study")
    (runs / "tuned" / "tuning").mkdir(parents=True)
    assert list(studies_of(runs)) == ["<b>second &?#%2e", "first", "planned", "tuned"]
    assert (is_study(first), is_study(runs), is_study(runs / "notes"), is_study(runs / "none")) == (
        True,
        False,
        False,
        False,
    )
    said = told(LiveIndex(runs).look())
    assert '<a href="study/first/">first</a></th><td>2</td><td>2</td><td>2</td>' in said["html"]
    assert '<a href="study/%3Cb%3Esecond%20%26%3F%23%252e/">&lt;b&gt;second &amp;' in said["html"]
    assert "<td>3</td><td>3</td><td>2</td>" in said["html"]
    shutil.rmtree(runs)
    assert "No such file or directory" in told(LiveIndex(runs).look())["error"]


def test_runs_have_their_curves_before_any_has_finished(
    tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Any
) -> None:
    measured = {"objective": "accuracy", "direction": "max", "unit": "%"}
    for cell, rows in (("gru", [1.0, 2.0]), ("lstm", [3.0])):
        info = made_up_run_info(cell, 0, status="running", **measured)
        each = [{"step": k, "examples": k, "seconds": float(k), "validation_accuracy": y} for k, y in enumerate(rows)]
        add_run(tmp_path / "s" / f"{cell}-0123abcd" / "seed-0", info, rows=each)
    found = LiveStudy(tmp_path / "s").look()
    said = told(found)
    assert "test accuracy (%), higher is better" in said["html"]
    curves = json.loads(found.figures[said["figures"]["curves"]])
    seeds = {trace["name"]: trace["y"] for trace in curves[0]["data"] if "every seed" in trace.get("name", "")}
    assert seeds == {"gru, every seed": [1.0, 2.0], "lstm, every seed": [3.0]}


def test_trials_of_tuning_are_told_while_they_run(make_study: Callable[..., Path], study_folder: Path) -> None:
    shutil.copytree(study_folder / "gru-0123abcd", study_folder / "tuning" / "gru-0123abcd")
    said = told(LiveStudy(study_folder).look())
    assert "25 runs: 25 finished" in said["status"]
    assert "Tuning: 5 runs: 5 finished" in said["status"]


def test_views_that_do_not_fit_together_are_named_and_the_others_drawn(study_folder: Path) -> None:
    path = study_folder / "gru-0123abcd" / "seed-1" / "views" / "by_distance.npz"
    with np.load(path) as stored:
        words = {**stored, "series.0.x": np.array(["a", "b", "c", "d", "e"])}
    np.savez(path, **words)
    said = told(LiveStudy(study_folder).look())
    assert said["error"] is None
    assert "View not shown: by_distance: TypeError: " in said["html"]
    assert {"view-gate", "view-film", "curves"} <= set(said["figures"])
