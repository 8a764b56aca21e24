"""A sweep survives its runs: one that raises, exits or is killed is that run's failure and nobody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cellwise.cli import main
from cellwise.errors import CellwiseError
from cellwise.records.lease import is_being_run
from cellwise.records.store import load_study
from cellwise.sweep import memory, pool
from cellwise.sweep.launcher import LauncherSettings
from cellwise.sweep.plan import PlannedRun, plan
from cellwise.sweep.pool import Result
from cellwise.sweep.source import PlanSource

HOARD = "globals().setdefault('hoard', [])"


def execute(
    runs: Sequence[PlannedRun],
    finished: Callable[[Result], None] = lambda result: None,
    moved: Callable[[float], None] = lambda done: None,
    **launcher: Any,
) -> list[Result]:
    return pool.execute(PlanSource(runs), LauncherSettings(**launcher), finished=finished, moved=moved)


def status(folder: Path) -> tuple[str, str | None]:
    said = json.loads((folder / "run.json").read_text())
    return said["status"], said["error"]


@pytest.fixture
def eight(write_cell: Callable[..., Path], tmp_path: Path) -> list[str]:
    """Override words of eight runs: one raises, one leaves, one hangs, one hoards, until a file says otherwise."""
    mended = f"__import__('pathlib').Path({str(tmp_path / 'mended')!r}).exists()"
    files = [
        write_cell("raising", f"assert {mended}, 'one' + chr(10) + 'two'"),
        write_cell("leaving", f"{mended} or os._exit(3)"),
        write_cell("hanging", f"{mended} or __import__('time').sleep(1000)"),
        write_cell("hoarding", f"{mended} or [{HOARD}.append(b'x' * 10**9), __import__('time').sleep(0.3)]"),
    ]
    good = "rnn,gru,lstm,peephole_lstm"
    return [f"cell_modules=[{','.join(map(str, files))}]", f"cell=raising,leaving,hanging,hoarding,{good}", "seed=1"]


def test_of_eight_runs_four_break_in_four_ways_and_are_named_and_run_again(
    eight: list[str], tiny_words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    limits = ["launcher.jobs=3", "launcher.timeout_minutes=0.4", "launcher.memory_gb=2"]
    words = ["train", "-m", *limits, *tiny_words, *eight]
    runs = {run.config["cell"]["name"]: run.folder for run in plan([*tiny_words, *eight])}

    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    out, err = capfd.readouterr()
    lines = [line.split() for line in out.splitlines() if line.split()[:1] in (["finished"], ["failed"], ["skipped"])]
    bad = ["hanging", "hoarding", "leaving", "raising"]
    assert sorted(line[1] for line in lines if line[0] == "failed") == bad
    assert sorted(line[1] for line in lines if line[0] == "finished") == sorted(set(runs) - set(bad))
    assert err.count("\n") == 1
    assert err.startswith("cellwise: 4 of 8 runs failed: raising seed 1: AssertionError: one two; leaving seed 1: ")
    assert all(f"{name} seed 1: " in err for name in bad)
    assert status(runs["raising"]) == ("failed", "AssertionError: one two")
    assert status(runs["leaving"]) == ("failed", "its process ended with exit code 3 before the run was finished")
    assert status(runs["hanging"])[1] == "timed out after 24 s; the same command goes on from its last checkpoint"
    assert str(status(runs["hoarding"])[1]).startswith("out of memory: it held ")
    assert "Traceback" in (runs["raising"] / "log.txt").read_text()  # and it is not on the screen
    stamps = {name: folder / "summary.json" for name, folder in runs.items() if name not in bad}
    finished = {name: path.stat().st_mtime_ns for name, path in stamps.items()}

    (tmp_path / "mended").touch()
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    out, err = capfd.readouterr()
    assert err == ""
    ran = [line.split()[1] for line in out.splitlines() if line.startswith("finished ")]
    assert sorted(ran) == bad
    assert sum(line.startswith("skipped ") for line in out.splitlines()) == 4
    assert {name: path.stat().st_mtime_ns for name, path in stamps.items()} == finished
    assert {status(folder) for folder in runs.values()} == {("finished", None)}


def test_a_run_that_is_killed_each_time_is_a_failure(tiny_words: list[str], write_cell: Callable[..., Path]) -> None:
    file = write_cell("dying", "os.kill(os.getpid(), signal.SIGKILL)")
    [run] = plan([*tiny_words, f"cell_modules=[{file}]", "cell=dying"])
    (result,) = execute([run])
    assert (result.status, result.note) == ("failed", "killed by SIGKILL (out of memory?)")
    assert status(run.folder) == ("failed", result.note)


def test_results_come_in_the_order_of_the_plan_and_say_how_far_it_is(tiny_words: list[str]) -> None:
    runs = plan([*tiny_words, "seed=0,1,2", "trainer.max_steps=8"])
    told: list[Result] = []
    moved: list[float] = []
    results = execute(runs, jobs=3, finished=told.append, moved=moved.append)
    assert [result.run for result in results] == list(runs)
    assert {result.status for result in results} == {"finished"}
    assert sorted(told, key=lambda result: result.run.label) == results
    assert moved == sorted(moved)
    assert moved[0] < 1 and moved[-1] == 3.0
    assert all(0 < result.seconds < 60 for result in results)
    assert execute(runs, finished=told.append)[0].note == "finished already, skipped (again=true repeats it)"


def test_a_run_has_the_result_that_it_has_alone(
    tiny: Callable[..., dict[str, Any]], tiny_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own process and its share of the threads change nothing; and the user's command is in the record."""
    from cellwise.training.train import train

    alone = json.loads((train(tiny("study=alone", "seed=5")).folder / "summary.json").read_text())
    monkeypatch.setattr(sys, "argv", ["/somewhere/cellwise", "train", "-m", "study=my study"])
    [run] = plan([*tiny_words, "study=sweep", "seed=5"])
    execute([run])
    assert json.loads((run.folder / "summary.json").read_text())["value"] == alone["value"]
    said = json.loads((run.folder / "run.json").read_text())
    assert said["threads"] == 1
    assert said["command"] == "cellwise train -m 'study=my study'"


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 2)])
def test_no_more_runs_at_a_time_than_asked(
    tiny_words: list[str], write_cell: Callable[..., Path], tmp_path: Path, jobs: int, most: int
) -> None:
    """Each run notes that it is there, looks who else is, and leaves."""
    here = tmp_path / "here"
    here.mkdir()
    note = (
        f"import time, pathlib; h = pathlib.Path({str(here)!r}); own = h / str(os.getpid()); own.touch(); "
        f"time.sleep(0.001); open({str(tmp_path / 'seen')!r}, 'a').write(f'{{len(list(h.iterdir()))}} '); own.unlink()"
    )
    file = write_cell(f"noting_{jobs}", note)
    runs = plan([*tiny_words, f"cell_modules=[{file}]", f"cell=noting_{jobs}", "seed=range(4)", "trainer.max_steps=1"])
    assert {r.status for r in execute(runs, jobs=jobs)} == {"finished"}
    assert max(int(line) for line in (tmp_path / "seen").read_text().split()) == most


def test_an_interrupted_sweep_stops_its_runs_and_says_so(
    tiny_words: list[str], write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_cell(
        "waiting", f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); __import__('time').sleep(60)"
    )
    runs = plan([*tiny_words, f"cell_modules=[{file}]", "cell=waiting"])

    def interrupt(done: float) -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execute(runs, finished=lambda result: None, moved=interrupt)
    assert time.monotonic() - started < 30  # not the minute that the step would take
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert status(runs[0].folder) == ("failed", "interrupted")


def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(tiny_words: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CellwiseError, match="can't write the study's folder "):
        execute(plan([*tiny_words, f"runs_dir={tmp_path / 'file'}"]))


def test_an_empty_plan_has_no_results() -> None:
    assert execute([]) == []


def test_a_plan_is_not_changed_by_running_it(tiny_words: list[str]) -> None:
    runs = plan(tiny_words)
    before = json.dumps(runs[0].config)
    execute(runs)
    assert json.dumps(runs[0].config) == before
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN


def test_a_run_that_was_cut_off_goes_on_with_the_threads_it_began_with(
    tiny_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellwise.training.module import TrainingModule
    from cellwise.training.train import train

    [run] = plan([*tiny_words, "trainer.max_steps=6", "trainer.checkpoint_every_seconds=0", "trainer.threads=null"])
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_end", lambda module: exec("raise KeyboardInterrupt"))
        with pytest.raises(KeyboardInterrupt):
            train(run.config, threads=1)
    (result,) = execute([run], jobs=1)
    assert result.status == "finished"
    assert json.loads((run.folder / "run.json").read_text())["threads"] == 1
    assert "goes on from step-" in (run.folder / "log.txt").read_text()


def test_when_the_launcher_is_killed_its_runs_end_and_the_same_command_goes_on(
    tiny_words: list[str], tmp_path: Path
) -> None:
    words = [*tiny_words, "cell=rnn,gru", "trainer.max_steps=400", "trainer.max_epochs=400"]
    words += ["trainer.checkpoint_every_seconds=0", "trainer.log_every_steps=1"]
    command = [sys.executable, "-m", "cellwise.cli", "train", "-m", "--jobs", "2", *words]
    folders = [run.folder for run in plan(words)]
    launcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not all(list((folder / "checkpoints").glob("step-*")) for folder in folders):
        assert launcher.poll() is None
        time.sleep(0.02)
    launcher.kill()
    launcher.wait()
    deadline = time.monotonic() + 60
    while any(is_being_run(folder) for folder in folders):
        assert time.monotonic() < deadline, "the runs of a killed launcher go on for ever"
        time.sleep(0.02)
    assert [status(folder) for folder in folders] == [("failed", "interrupted")] * 2
    results = execute(plan(words))
    assert [result.status for result in results] == ["finished"] * 2
    assert all("goes on from step-" in (folder / "log.txt").read_text() for folder in folders)


def test_a_run_that_a_signal_ended_is_tried_once_more(
    write_cell: Callable[..., Path], tiny_words: list[str], tmp_path: Path
) -> None:
    died = f"__import__('pathlib').Path({str(tmp_path / 'died')!r})"
    once = f"{died}.exists() or ({died}.touch(), os.kill(os.getpid(), signal.SIGKILL))"
    cell = write_cell("dying_once", once)
    [run] = plan([*tiny_words, f"cell_modules=[{cell}]", "cell=dying_once"])
    (result,) = execute([run])
    assert (tmp_path / "died").exists() and result.status == "finished"


def test_two_launchers_on_one_folder_share_its_runs(tiny_words: list[str], tmp_path: Path) -> None:
    words = [*tiny_words, "cell=rnn,gru", "seed=0,1", "trainer.max_steps=60"]
    command = [sys.executable, "-m", "cellwise.cli", "train", "-m", "--jobs", "1", *words]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [one.communicate(timeout=120)[0].splitlines() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    ran = [{line.split("  ")[1].strip() for line in lines if line.startswith("finished ")} for lines in told]
    assert len(ran[0]) + len(ran[1]) == 4 and not ran[0] & ran[1]  # each run once, by one of them
    for lines in told:  # and each tells of all of them
        assert sum(line.startswith(("finished ", "skipped ")) for line in lines) == 4


@pytest.mark.slow
def test_a_run_of_another_launcher_is_waited_for_and_taken_over_when_that_dies(
    tiny_words: list[str], tmp_path: Path
) -> None:
    words = [*tiny_words, "trainer.max_steps=1500", "trainer.max_epochs=1500", "trainer.checkpoint_every_seconds=0"]
    [run] = plan(words)
    other = subprocess.Popen([sys.executable, "-m", "cellwise.cli", "train", *words], stdout=subprocess.DEVNULL)
    while not list((run.folder / "checkpoints").glob("step-*")):
        assert other.poll() is None
        time.sleep(0.02)
    waited: list[float] = []

    def moved(done: float) -> None:
        waited.append(done)
        if len(waited) == 3:
            other.kill()
            other.wait()

    (result,) = execute([run], moved=moved)
    assert waited[:3] == [0, 0, 0]
    assert result.status == "finished"
    assert "goes on from step-" in (run.folder / "log.txt").read_text()


@pytest.mark.slow
def test_a_failure_of_another_launcher_is_told_and_not_tried_again(
    tiny_words: list[str], write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    """Else two launchers would run everything that fails twice."""
    count = f"open({str(tmp_path / 'tried')!r}, 'a').write('x')"
    file = write_cell("failing_once", f"{count}; __import__('time').sleep(1); assert False, 'by itself'")
    words = [*tiny_words, f"cell_modules=[{file}]", "cell=failing_once"]
    command = [sys.executable, "-m", "cellwise.cli", "train", "-m", *words]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in range(2)]
    told = [one.communicate(timeout=120)[1] for one in both]
    assert [one.returncode for one in both] == [1, 1]
    assert all("1 of 1 runs failed: failing_once seed 0: AssertionError: by itself" in said for said in told)
    assert (tmp_path / "tried").read_text() == "x"


@pytest.mark.parametrize(("failures", "ran"), [("end", 4), ("fast", 1), ("max:1", 2)])
def test_a_sweep_stops_after_as_many_failures_as_it_is_told(
    tiny_words: list[str], write_cell: Callable[..., Path], tmp_path: Path, failures: str, ran: int
) -> None:
    file = write_cell(f"failing_{ran}", "assert False")
    runs = plan([*tiny_words, f"cell_modules=[{file}]", f"cell=failing_{ran}", "seed=range(4)"])
    assert [result.status for result in execute(runs, jobs=1, failures=failures)] == ["failed"] * ran


@pytest.mark.slow
def test_a_run_that_holds_too_much_memory_is_ended_and_says_so(
    tiny_words: list[str], write_cell: Callable[..., Path]
) -> None:
    file = write_cell("hoarding", f"{HOARD}.append(b'x' * 10**8); __import__('time').sleep(0.02)")
    words = [f"cell_modules=[{file}]", "cell=hoarding,rnn", "trainer.max_steps=10000", "trainer.max_epochs=1000"]
    runs = plan([*tiny_words, *words])
    hoarding, rnn = execute(runs, jobs=2, memory_gb=2, timeout_minutes=10)
    assert hoarding.status == "failed"
    assert hoarding.note.startswith("out of memory: it held ") and "more than launcher.memory_gb=2" in hoarding.note
    assert status(runs[0].folder) == ("failed", hoarding.note)
    assert rnn.status == "finished"


def test_when_the_machine_runs_out_of_memory_the_largest_run_goes(
    tiny_words: list[str], write_cell: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_cell("large", f"{HOARD} or {HOARD}.append(b'x' * 10**9); __import__('time').sleep(0.1)")
    runs = plan([*tiny_words, f"cell_modules=[{file}]", "cell=rnn,large", "trainer.max_steps=3000"])
    held: list[int] = []  # what the larger of the two holds when it is looked at

    def held_bytes(pid: int) -> int:
        held.append(memory.held_bytes(pid))
        return held[-1]

    monkeypatch.setattr(pool, "held_bytes", held_bytes)
    monkeypatch.setattr(pool, "least_left_bytes", lambda: 2 * 10**9)
    monkeypatch.setattr(pool, "left_bytes", lambda: 10**9 if max(held[-2:]) > 10**9 else 10**10)
    rnn, large = execute(runs, jobs=2)
    assert (rnn.status, large.status) == ("finished", "failed")
    assert "when the machine had 0.9 GiB left" in large.note


def test_what_is_seen_in_a_row_can_end_a_run_early(tiny_words: list[str]) -> None:
    runs = plan([*tiny_words, "seed=0,1", "trainer.max_steps=4000", "trainer.max_epochs=4000"])

    def watch(run: PlannedRun, row: Mapping[str, Any]) -> str | None:
        return "not good enough" if run.config["seed"] == 1 and row["step"] >= 3 else None

    results = pool.execute(PlanSource(runs[1:]), LauncherSettings(), finished=lambda result: None, watch=watch)
    assert [(result.status, result.note) for result in results] == [("pruned", "not good enough")]
    assert status(runs[1].folder) == ("pruned", "not good enough")
    assert load_study(runs[1].folder.parents[1]).runs[0].status == "pruned"


@pytest.mark.parametrize(
    ("jobs", "devices", "expected"),
    [(None, 1, "5 7 5 7"), (1, 1, "5 5 5 5"), (3, 1, "5 7 5 5"), (None, 2, "5,7 5,7 5,7 5,7")],
)
def test_runs_on_gpus_have_one_each_or_as_many_as_they_have_devices(
    tiny_words: list[str], monkeypatch: pytest.MonkeyPatch, jobs: int | None, devices: int, expected: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    seen: list[str] = []

    class Ended:
        """A run that has ended well as soon as it is started; there is no GPU here."""

        share, heard, told, seconds = 1.0, True, ("finished", ""), 0.0

        def __init__(self, run: PlannedRun, place: int, threads: int, environment: Mapping[str, str]):
            self.run, self.place = run, place
            self.process = SimpleNamespace(sentinel=0, pid=0, exitcode=0, is_alive=lambda: False)
            seen.append(environment["CUDA_VISIBLE_DEVICES"])

        def listen(self) -> list[Mapping[str, Any]]:
            return []

        def kill(self, after_seconds: float) -> None:
            pass

    monkeypatch.setattr(pool, "start", Ended)
    monkeypatch.setattr(pool, "wait", lambda what, timeout: [])
    runs = plan([*tiny_words, "trainer=gpu", f"trainer.devices={devices}", "seed=range(4)"])
    execute(runs, jobs=jobs)
    assert seen == expected.split()


def test_what_a_run_says_last_is_heard_however_much_it_said_before(
    tiny_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher that is slow, on a busy machine, reads long after the run has ended."""
    [run] = plan([*tiny_words, "trainer.max_steps=300", "trainer.max_epochs=300"])
    turn = pool._Pool.turn

    def slowly(self: Any) -> bool:
        time.sleep(1.5)
        return turn(self)

    monkeypatch.setattr(pool._Pool, "turn", slowly)
    rows: list[int] = []

    def watch(run: PlannedRun, row: Mapping[str, Any]) -> None:
        rows.append(row["step"])

    (result,) = pool.execute(PlanSource([run]), LauncherSettings(), finished=lambda result: None, watch=watch)
    assert result.status == "finished"
    assert rows[-1] == 300 and set(range(1, 301)) <= set(rows)
