"""What ends a run is named in a line in its record, in its log and to who typed the command; the same command goes on.

Disks that are full are real where an ordinary process can have one: `/dev/full` takes no byte (ENOSPC) and a limit on
the size of files cuts writes off (EFBIG). Only a file system that turns read-only is made up, by an error of `open`.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch

from cellwise.cli import main
from cellwise.errors import CellwiseError, RunFailedError
from cellwise.records.finished import is_finished
from cellwise.records.schema import RunInfo
from cellwise.records.writer import RunWriter
from cellwise.report.terminal.status import status_lines
from cellwise.sweep import pool
from cellwise.sweep.compose import compose_config
from cellwise.sweep.launcher import LauncherSettings
from cellwise.sweep.plan import PlannedRun, plan
from cellwise.sweep.source import PlanSource
from cellwise.training.module import TrainingModule
from cellwise.training.train import train
from tests.training.cut_runs import MEMORY, bits, configured, folder_of

Full = Callable[..., None]


@pytest.fixture
def whole(tmp_path: Path) -> Any:
    """What an undisturbed run leaves."""
    return bits(train(config(tmp_path / "whole")).folder)


def config(place: Path, *changes: str) -> dict[str, Any]:
    return configured(place, *MEMORY, *changes)


def info(folder: Path) -> RunInfo:
    return RunInfo.from_dict(json.loads((folder / "run.json").read_text()))


@contextmanager
def on_dev_full(*names: str) -> Iterator[None]:
    """Let whole files whose names hold one of these be written to a device that has no room."""
    right = builtins.open

    def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        written = isinstance(file, Path) and mode == "wb" and any(name in file.name for name in names)
        return right("/dev/full" if written else file, mode, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", opened)
        yield


def to_dev_full(file: IO[Any]) -> None:
    """Let what an open file takes from now on go to a device that has no room."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file.fileno())
    os.close(full)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let the system cut off every file of this process at so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def require_told(folder: Path, error: BaseException, *parts: str) -> None:
    """The same line in the record, in the log and to the caller, with these parts."""
    for part in parts:
        assert part in str(error)
    assert "\n" not in str(error)
    assert (info(folder).status, info(folder).error) == ("failed", str(error))
    assert (folder / "log.txt").read_text().splitlines()[-1].endswith(str(error))
    assert not is_finished(folder)
    assert not list(folder.rglob(".*.tmp"))


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (".selected.pt.", "checkpoints/selected.pt"),
        (".checkpoint.", "checkpoints/step-00000000"),
        (".error_by_distance.npz.", "views/error_by_distance.npz"),
        (".answer_by_sum.json.", "views/answer_by_sum.json"),
        (".summary.json.", "summary.json"),
    ],
)
def test_a_full_disk_is_named_whatever_is_written(named: str, told: str, tmp_path: Path, whole: Any) -> None:
    with on_dev_full(named), pytest.raises(RunFailedError) as raised:
        train(config(tmp_path / "runs"))
    folder = folder_of(tmp_path)
    require_told(
        folder, raised.value, f"can't write {folder / told}", "No space left on device", "the same command goes on"
    )
    assert bits(train(config(tmp_path / "runs")).folder) == whole


def test_a_full_disk_is_named_when_a_row_is_written(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = RunWriter.log

    def log(record: RunWriter, row: Any) -> None:
        if row["step"] == 6:
            to_dev_full(record._metrics)
        right(record, row)

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "log", log)
        with pytest.raises(RunFailedError) as raised:
            train(config(tmp_path / "runs"))
    folder = folder_of(tmp_path)
    require_told(folder, raised.value, f"can't write {folder / 'metrics.jsonl'}: No space left on device")
    folder = train(config(tmp_path / "runs")).folder
    assert "goes on from step-000000005" in (folder / "log.txt").read_text()
    assert bits(folder) == whole


@pytest.mark.parametrize(("size", "told"), [(1800, "metrics.jsonl"), (4000, "checkpoints/")])
def test_files_that_the_system_cuts_off_are_named(size: int, told: str, tmp_path: Path) -> None:
    often = ["trainer.log_every_steps=1", "data.train_sequences=200"]
    if told == "metrics.jsonl":
        often.append("trainer.checkpoint_every_seconds=null")
    whole = bits(train(config(tmp_path / "whole", *often)).folder)
    with files_limited_to(size), pytest.raises(RunFailedError) as raised:
        train(config(tmp_path / "runs", *often))
    folder = folder_of(tmp_path)
    require_told(folder, raised.value, f"can't write {folder}/{told}", "File too large")
    assert bits(train(config(tmp_path / "runs", *often)).folder) == whole


def test_a_second_failure_while_the_first_is_recorded_does_not_hide_it(tmp_path: Path, whole: Any) -> None:
    """No file can be written anew at all: the record says it within the room that run.json has already."""
    right = TrainingModule.on_train_start
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        def start(module: TrainingModule) -> None:
            stack.enter_context(on_dev_full(""))
            right(module)

        patch.setattr(TrainingModule, "on_train_start", start)
        with pytest.raises(RunFailedError) as raised:
            train(config(tmp_path / "runs"))
    require_told(folder_of(tmp_path), raised.value, "checkpoints/step-000000001: No space left on device")
    assert bits(train(config(tmp_path / "runs")).folder) == whole


def test_where_nothing_can_be_recorded_the_first_failure_is_what_is_told(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def log(record: RunWriter, row: Any) -> None:
        to_dev_full(record._log)
        to_dev_full(record._metrics)
        right(record, row)

    right = RunWriter.log
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "log", log)
        patch.setattr("cellwise.records.writer.write_without_room", full)
        with pytest.raises(RunFailedError, match=r"can't write .*metrics.jsonl: No space left on device"):
            train(config(tmp_path / "runs"))
    assert info(folder_of(tmp_path)).status == "running"  # readable, and nobody's: `cellwise status` says cut off
    assert "1 cut off" in status_lines(folder_of(tmp_path).parents[1])[0]
    assert bits(train(config(tmp_path / "runs")).folder) == whole


def test_a_folder_that_can_not_be_written_is_named_before_training(capsys: pytest.CaptureFixture[str]) -> None:
    """/sys takes no folder of anybody's, the superuser included."""
    with pytest.raises(SystemExit) as ended:
        main(["train", *MEMORY, "runs_dir=/sys/runs"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "can't write the run's folder /sys/runs/" in said
    assert "give a folder of yours with runs_dir=..." in said


def test_a_file_system_that_turns_read_only_is_named(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = builtins.open

    def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if ".checkpoint." in str(file) and mode == "wb":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(file))
        return right(file, mode, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", opened)
        with pytest.raises(RunFailedError) as raised:
            train(config(tmp_path / "runs"))
    require_told(folder_of(tmp_path), raised.value, "Read-only file system; give a folder of yours")
    assert bits(train(config(tmp_path / "runs")).folder) == whole


def no_room_in_torch() -> None:
    torch.empty(10**15)


def no_room_in_numpy() -> None:
    np.empty(10**17)


def no_room_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


@pytest.mark.parametrize("ask", [no_room_in_torch, no_room_in_numpy, no_room_on_a_gpu])
def test_no_memory_is_named_with_what_takes_less(
    ask: Callable[[], None], tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(module: TrainingModule, batch: Any, batch_idx: int) -> Any:
        if module.global_step == 6:
            ask()
        return right(module, batch, batch_idx)

    right = TrainingModule.training_step
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", step)
        with pytest.raises(RunFailedError) as raised:
            train(config(tmp_path / "runs"))
    require_told(folder_of(tmp_path), raised.value, "out of memory (", "give a smaller task.batch_size or network.")
    assert bits(train(config(tmp_path / "runs")).folder) == whole


def test_another_error_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(module: TrainingModule, batch: Any, batch_idx: int) -> Any:
        raise OSError(errno.ENOSPC, "elsewhere", "/another/disk")

    monkeypatch.setattr(TrainingModule, "training_step", step)
    with pytest.raises(OSError, match="elsewhere"):
        train(config(tmp_path / "runs"))
    assert info(folder_of(tmp_path)).error == "OSError: [Errno 28] elsewhere: '/another/disk'"


def test_on_the_screen_a_failed_run_is_one_line_and_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TrainingModule, "training_step", lambda module, batch, batch_idx: no_room_in_torch())
    with pytest.raises(SystemExit) as ended:
        main(["train", *MEMORY, f"runs_dir={tmp_path / 'runs'}"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("cellwise: out of memory (")


@pytest.fixture
def text_runs(tmp_path: Path) -> list[PlannedRun]:
    """Two planned runs on a text of the user's."""
    (tmp_path / "text.txt").write_text("the cat sat on the mat .\n" * 40)
    words = ["data=text", f"data.path={tmp_path / 'text.txt'}", "task.batch_size=2", "task.steps=5", "seed=0,1"]
    small = ["network.hidden_size=4", "trainer.max_epochs=1", "trainer.threads=1"]
    return plan([*words, *small, f"runs_dir={tmp_path / 'runs'}", "study=texts"])[:]


def executed(runs: list[PlannedRun]) -> list[tuple[str, str]]:
    results = pool.execute(PlanSource(runs), LauncherSettings(jobs=1), finished=lambda result: None)
    return [(result.status, result.note) for result in results]


@pytest.mark.parametrize("harm", ["changed", "gone"])
def test_a_text_that_changes_under_a_study_is_named_in_each_record_and_put_back_it_goes_on(
    harm: str, text_runs: list[PlannedRun], tmp_path: Path
) -> None:
    text, before = tmp_path / "text.txt", (tmp_path / "text.txt").read_text()
    text.unlink()
    if harm == "changed":
        text.write_text(before + "the end .\n")
    sha256 = text_runs[0].config["data"]["sha256"]
    told = {"changed": f"its sha256 was {sha256} then and is ", "gone": f"no text at {text}"}[harm]
    for run, (status, note) in zip(text_runs, executed(text_runs), strict=True):
        assert status == "failed" and told in note
        assert (info(run.folder).status, info(run.folder).error) == ("failed", note)
        assert note in (run.folder / "log.txt").read_text()
    assert "2 failed" in status_lines(tmp_path / "runs" / "texts")[0]
    text.write_text(before)
    assert [status for status, _ in executed(text_runs)] == ["finished", "finished"]


def test_a_run_that_was_cut_off_keeps_its_checkpoints_where_its_text_is_gone_for_a_while(
    text_runs: list[PlannedRun], tmp_path: Path
) -> None:
    run = text_runs[0]
    config = {**run.config, "trainer": {**run.config["trainer"], "checkpoint_every_seconds": 0}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "on_test_epoch_end", lambda module: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config)
    kept = sorted((run.folder / "checkpoints").iterdir())
    (tmp_path / "text.txt").rename(tmp_path / "away.txt")
    [(status, note)] = executed([run])
    assert status == "failed" and info(run.folder).error == note
    assert sorted((run.folder / "checkpoints").iterdir()) == kept
    (tmp_path / "away.txt").rename(tmp_path / "text.txt")
    assert executed([run])[0][0] == "finished"
    assert "goes on from step-" in (run.folder / "log.txt").read_text()


def test_a_plan_reads_a_text_once_so_that_a_later_run_is_not_planned_on_another(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the cat sat on the mat .\n" * 40)
    words = ["data=text", f"data.path={tmp_path / 'text.txt'}", "cell=gru,rnn", "network.hidden_size=4,5"]
    runs = plan(words)
    first = runs[0].config["data"]["sha256"]
    (tmp_path / "text.txt").write_text("another text .\n" * 40)
    assert {run.config["data"]["sha256"] for run in runs} == {first}
    assert plan(words)[0].config["data"]["sha256"] != first


def test_an_official_text_that_is_altered_is_named(tmp_path: Path) -> None:
    (tmp_path / "timemachine").mkdir()
    (tmp_path / "timemachine" / "timemachine.txt").write_text("The Time Traveller\n")
    words = ["data=timemachine", f"data_dir={tmp_path}", f"runs_dir={tmp_path / 'runs'}"]
    with pytest.raises(CellwiseError, match=r"timemachine.txt is altered: expected sha256 8424dbd9\w+, found \w+;"):
        train(compose_config(words))
    shutil.rmtree(tmp_path / "timemachine")
    with pytest.raises(CellwiseError, match=r"timemachine is not in .*; type `cellwise data get timemachine`"):
        train(compose_config(words))
