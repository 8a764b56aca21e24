"""A folder of runs is read whatever happened to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.store import RunRecord, Study, load_study


def by_name(study: Study) -> dict[tuple[str, int], RunRecord]:
    return {(run.cell, run.seed): run for run in study.runs}


def test_every_run_of_a_study_is_found_in_order(study_folder: Path) -> None:
    study = load_study(study_folder)
    assert study.name == "made_up"
    cells = ["coupled_lstm", "gru", "lstm", "peephole_lstm", "rnn"]
    assert [(run.cell, run.seed) for run in study.runs] == [(cell, seed) for cell in cells for seed in range(5)]
    assert {run.status for run in study.runs} == {"finished"}
    assert not study.ignored


def test_a_record_gives_its_parts(study_folder: Path) -> None:
    run = load_study(study_folder).runs[0]
    assert run.info is not None
    assert run.summary is not None
    assert run.task == "language"
    assert run.config == {"cell": {"name": "made_up"}, "seed": 1}
    assert len(run.metrics()) == 40
    assert sorted(run.views()) == ["by_distance", "examples", "film", "gate", "tokens", "units"]


def test_a_failed_run_carries_its_error(troubled_folder: Path) -> None:
    runs = by_name(load_study(troubled_folder))
    assert (runs["gru", 3].status, runs["gru", 3].error) == ("failed", "RuntimeError: out of memory")
    assert runs["gru", 3].summary is None


def test_a_killed_run_is_unfinished_and_its_half_line_is_skipped(troubled_folder: Path) -> None:
    killed = by_name(load_study(troubled_folder))["lstm", 3]
    assert killed.status == "running"
    assert (killed.path / "metrics.jsonl").read_text().endswith("validation_per")
    assert [row["step"] for row in killed.metrics()] == [step for step in range(50, 301, 50) for _ in range(2)]


def test_a_half_written_summary_is_never_taken_for_finished(troubled_folder: Path) -> None:
    damaged = by_name(load_study(troubled_folder))["lstm", 4]
    assert damaged.status == "failed"
    assert "summary.json: not readable as JSON" in str(damaged.error)


def test_a_run_that_says_finished_but_has_no_summary_is_not_finished(study_folder: Path) -> None:
    (study_folder / "gru-0123abcd" / "seed-2" / "summary.json").unlink()
    assert by_name(load_study(study_folder))["gru", 2].status == "running"


def test_replaced_runs_and_foreign_files_are_left_out(troubled_folder: Path) -> None:
    study = load_study(troubled_folder)
    assert len(study.runs) == 10
    assert study.ignored == (
        "lstm-0123abcd/notes: not named seed-<number>",
        "old: not named <cell>-<8 hex digits>",
    )


def test_of_many_foreign_folders_in_one_the_first_is_named_and_the_others_are_counted(study_folder: Path) -> None:
    for number in range(40):
        (study_folder / "lstm-deadbeef" / f"part-{number:02}").mkdir(parents=True)
    assert load_study(study_folder).ignored == (
        "lstm-deadbeef/part-00 and 39 more in lstm-deadbeef: not named seed-<number>",
    )


def test_a_folder_without_a_record_is_a_failed_run(study_folder: Path) -> None:
    (study_folder / "gru-0123abcd" / "seed-9").mkdir()
    empty = by_name(load_study(study_folder))["gru", 9]
    assert empty.status == "failed"
    assert "run.json: no such file" in str(empty.error)
    assert (empty.config, empty.metrics(), empty.views()) == ({}, [], {})


def test_a_view_that_cannot_be_read_is_named_and_the_others_stay(study_folder: Path) -> None:
    run = load_study(study_folder).runs[0]
    (run.path / "views" / "gate.npz").unlink()
    views, unreadable = run.read_views()
    assert len(views) == 5
    assert len(unreadable) == 1
    assert "gate.json" in unreadable[0]


def test_a_missing_folder_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CellwiseError, match=r"no runs in nowhere: no such folder; .*`cellwise study demo`"):
        load_study(Path("nowhere"))


def test_an_empty_folder_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CellwiseError, match="nothing in it is a run; allowed: a folder of"):
        load_study(Path("empty"))


def test_a_folder_above_or_below_a_study_is_answered_with_the_study(make_study: Callable[..., Path]) -> None:
    folder = make_study("near", 1, ("lstm",))
    for wrong in (folder.parent, folder / "lstm-0123abcd", folder / "lstm-0123abcd" / "seed-0"):
        with pytest.raises(CellwiseError) as caught:
            load_study(wrong)
        assert f"`cellwise report {folder}`" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        *("[" * 100_000, '{"schema": 1, "value": 1' + "0" * 400 + "}"),
        *('{"schema": 1, "cell": "\\ud800"}', "\0", "null", '"\\'),
    ],
)
def test_whatever_stands_in_a_record_becomes_its_error(make_study: Callable[..., Path], content: str) -> None:
    study_folder = make_study("made_up", 2, ("gru",))
    run = study_folder / "gru-0123abcd" / "seed-0"
    for name in ("summary.json", "run.json"):
        (run / name).write_text(content)
        found = by_name(load_study(study_folder))["gru", 0]
        assert found.status == "failed"
        str(found.error).encode()


def test_a_configuration_of_endless_brackets_is_an_empty_one(make_study: Callable[..., Path]) -> None:
    study_folder = make_study("made_up", 1, ("gru",))
    (study_folder / "gru-0123abcd" / "seed-0" / "config.yaml").write_text("[" * 5000)
    assert by_name(load_study(study_folder))["gru", 0].config == {}


def test_halves_of_characters_become_question_marks(study_folder: Path) -> None:
    """JSON may hold them, a page cannot."""
    path = study_folder / "gru-0123abcd" / "seed-0" / "run.json"
    path.write_text(path.read_text().replace('"cellwise train', '"\\ud83d cellwise train'))
    found = by_name(load_study(study_folder))["gru", 0].info
    assert found is not None
    assert found.command.startswith("? cellwise train")
