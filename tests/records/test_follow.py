"""A study read again and again shows what is there now, and reads no file twice that has not changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.records import follow
from cellwise.records.follow import Follower
from cellwise.records.store import RunFolder, RunRecord, load_study, parse_rows, read_run


@pytest.fixture
def study(make_study: Callable[..., Path]) -> Path:
    return make_study("followed", 2, ("lstm", "gru"), views=True)


def rows_of(follower: Follower, cell: str = "lstm", seed: int = 0) -> list[dict[str, Any]]:
    return next(run for run in follower.read().runs if (run.cell, run.seed) == (cell, seed)).metrics()


def append(path: Path, text: str | bytes) -> None:
    with open(path / "metrics.jsonl", "ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)


def test_what_is_followed_is_what_is_loaded(study: Path, troubled_folder: Path) -> None:
    for folder in (study, troubled_folder):
        loaded, followed = load_study(folder), Follower(folder).read()
        assert followed.ignored == loaded.ignored
        for one, other in zip(loaded.runs, followed.runs, strict=True):
            assert (one.path, one.status, one.error, one.info) == (other.path, other.status, other.error, other.info)
            assert repr(one.summary) == repr(other.summary)  # NaN is a value there
            assert (one.metrics(), one.config) == (other.metrics(), other.config)
            assert one.read_views()[1] == other.read_views()[1]
            assert list(one.views()) == list(other.views())


def test_a_second_look_reads_only_what_has_changed(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(study)
    first = follower.read()
    [run.read_views() for run in first.runs]
    read: list[Path] = []

    def heard(of: RunFolder) -> RunRecord:
        read.append(of.path)
        return read_run(of)

    monkeypatch.setattr(follow, "read_run", heard)
    monkeypatch.setattr(follow, "load_view", lambda path: pytest.fail(f"{path} was read twice"))
    again = follower.read()
    assert [run.read_views() for run in again.runs] == [run.read_views() for run in first.runs]
    assert (read, follower.version) == ([], 1)
    info = study / "gru-0123abcd" / "seed-1" / "run.json"
    info.write_text(info.read_text().replace('"threads": 1', '"threads": 4'))
    assert [run.info.threads for run in follower.read().runs if run.info] == [1, 4, 1, 1]
    assert (read, follower.version) == ([info.parent], 2)


def test_rows_are_read_on_and_half_a_line_waits_for_its_end(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, follower = study / "lstm-0123abcd" / "seed-0", Follower(study)
    assert len(rows_of(follower)) == 40
    parsed: list[bytes] = []

    def heard(lines: bytes) -> tuple[list[dict[str, Any]], int]:
        parsed.append(lines)
        return parse_rows(lines)

    monkeypatch.setattr(follow, "parse_rows", heard)
    append(run, '{"step": 2000}\n{"step": 20')
    assert rows_of(follower)[40:] == [{"step": 2000}]
    append(run, "50}\n")
    assert rows_of(follower)[40:] == [{"step": 2000}, {"step": 2050}]
    assert parsed == [b'{"step": 2000}\n', b'{"step": 2050}\n']
    assert rows_of(follower) == load_study(study).runs[2].metrics()


def test_a_run_that_goes_on_after_a_kill_has_the_rows_of_its_file(study: Path) -> None:
    """It cuts its rows and writes the same steps anew, with other times; the file may be longer than before."""
    run, follower = study / "lstm-0123abcd" / "seed-0", Follower(study)
    path = run / "metrics.jsonl"
    before = rows_of(follower)
    lines = path.read_text().splitlines(keepends=True)
    anew = [json.dumps({**json.loads(line), "seconds": 99.5}) + "\n" for line in lines[20:]]
    path.write_text("".join([*lines[:20], *anew, '{"step": 1050}\n']))
    assert rows_of(follower) == load_study(study).runs[2].metrics() != before
    path.write_text("".join(lines[:3]))
    assert rows_of(follower) == before[:3]
    path.unlink()
    assert rows_of(follower) == []


def test_rows_that_are_foreign_are_counted_and_named(study: Path) -> None:
    run, follower = study / "lstm-0123abcd" / "seed-0", Follower(study)
    append(run, b"\xff\xfe\x00junk\n[1, 2]\n" + b"[" * 100_000 + b"\n" + b'{"step": 1' + b"0" * 400 + b"}\n")
    append(run, '{"step": 2000}\n{"half')
    assert rows_of(follower)[40:] == [{"step": 2000}]
    assert follower.read().ignored == ("lstm-0123abcd/seed-0/metrics.jsonl: 4 lines that are no rows of metrics",)


def test_runs_come_finish_and_go(
    study: Path, add_run: Callable[..., Path], made_up_run_info: Any, made_up_summary: Any
) -> None:
    follower = Follower(study)
    assert len(follower.read().runs) == 4
    run = add_run(study / "rnn-0123abcd" / "seed-0", made_up_run_info("rnn", 0, status="running"))
    assert [(r.cell, r.status) for r in follower.read().runs][-1] == ("rnn", "running")
    (run / "summary.json").write_text(json.dumps(made_up_summary("rnn", 0, 80.0)))
    last = follower.read().runs[-1]
    assert last.status == "finished"
    assert last.summary is not None
    assert last.summary.value == 80.0
    shutil.rmtree(run.parent)
    assert len(follower.read().runs) == 4
    assert follower.version == 4


def test_a_folder_without_runs_is_a_study_without_runs_and_one_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    follower = Follower(folder)
    assert follower.read().runs == ()
    folder.rmdir()
    with pytest.raises(CellwiseError, match=r"can't read .*new: No such file"):
        follower.read()


SECRET = "root:x:0:0"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with what must not be shown: files, and a whole run."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(f'{{"schema": 1, "{SECRET}": 1}}\n')
    return folder


@pytest.mark.parametrize(
    "name", ["run.json", "summary.json", "config.yaml", "metrics.jsonl", "views/gate.json", "views/gate.npz"]
)
def test_a_file_that_leads_out_is_named_and_not_read(study: Path, outside: Path, name: str) -> None:
    run = study / "lstm-0123abcd" / "seed-0"
    (run / name).unlink()
    (run / name).symlink_to(outside / "secret")
    follower = Follower(study)
    found = follower.read()
    changed = found.runs[2]
    said = [changed.error or "", *found.ignored, *changed.read_views()[1]]
    assert [line for line in said if name in line and "leads out of the folder, not followed" in line], said
    assert SECRET not in repr((changed, changed.config, changed.metrics(), said))
    assert ("gate" in changed.views()) == ("views" not in name)
    assert follower.read().runs[2] is changed


def test_folders_that_lead_out_are_named_and_not_listed(study: Path, outside: Path) -> None:
    shutil.move(study / "lstm-0123abcd" / "seed-0", outside / "seed-0")
    (outside / "notes").mkdir()
    (study / "lstm-0123abcd" / "seed-0").symlink_to(outside / "seed-0")
    (study / "rnn-0123abcd").symlink_to(outside)
    shutil.rmtree(study / "gru-0123abcd" / "seed-0" / "views")
    (study / "gru-0123abcd" / "seed-0" / "views").symlink_to(outside / "seed-0" / "views")
    found = Follower(study).read()
    assert [(run.cell, run.seed) for run in found.runs] == [("gru", 0), ("gru", 1), ("lstm", 1)]
    assert found.ignored == (
        "lstm-0123abcd/seed-0: a link that leads out of the folder, not followed",
        "rnn-0123abcd: a link that leads out of the folder, not followed",
    )
    assert found.runs[0].views() == {}
    assert len(found.runs[0].read_views()[1]) == 1


def test_links_within_the_folder_and_to_it_are_followed(study: Path, tmp_path: Path) -> None:
    (study / "rnn-0123abcd").mkdir()
    (study / "rnn-0123abcd" / "seed-0").symlink_to(study / "lstm-0123abcd" / "seed-0")
    (tmp_path / "link").symlink_to(study)
    found = Follower(tmp_path / "link").read()
    assert [run.status for run in found.runs] == ["finished"] * 5
    assert found.ignored == ()


def test_what_is_no_file_is_not_waited_for(study: Path) -> None:
    run = study / "lstm-0123abcd" / "seed-0"
    for name in ("metrics.jsonl", "summary.json"):
        (run / name).unlink()
        os.mkfifo(run / name)
    (run / "run.json").unlink()
    (run / "run.json").symlink_to(run / "run.json")  # a circle
    found = Follower(study).read()
    assert "no file, not read" in str(found.runs[2].error) or "leads out" in str(found.runs[2].error)
    assert "lstm-0123abcd/seed-0/metrics.jsonl: no file, not read" in found.ignored


def test_tuning_that_leads_out_is_refused(study: Path, outside: Path) -> None:
    (study / "tuning").mkdir()
    (study / "tuning" / "search.json").symlink_to(outside / "secret")
    with pytest.raises(CellwiseError, match=r"search.json: a link that leads out of the folder, not followed; remove"):
        Follower(study).read()
    shutil.rmtree(study / "tuning")
    (study / "tuning").symlink_to(outside)
    with pytest.raises(CellwiseError, match="tuning: a link that leads out"):
        Follower(study).read()


def test_a_name_that_is_not_utf_8_is_named(study: Path) -> None:
    os.mkdir(os.fsencode(study) + b"/\xff\xfe-0123abcd")
    assert Follower(study).read().ignored == ("??-0123abcd: its name is not UTF-8",)
    assert load_study(study).ignored == ("??-0123abcd: its name is not UTF-8",)
