"""`launcher=slurm` where SLURM is four small scripts: what is submitted and what is not, and what is said of it.

That the jobs do what they should is tested on a real one, in tests/slurm.
"""

from __future__ import annotations

import importlib.util
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cellwise.errors import CellwiseError
from cellwise.sweep import cluster
from cellwise.sweep.execute import execute
from cellwise.sweep.plan import Plan, PlannedRun, plan
from cellwise.sweep.pool import Result
from cellwise.sweep.source import PlanSource

SCRIPTS = {
    "sbatch": 'n=$(($(ls {place}/*.sh 2>/dev/null | wc -l) + 7)); cp "$1" {place}/$n.sh; echo Submitted batch job $n',
    "squeue": "cat {place}/queue",
    "scontrol": 'if [ $2 = config ]; then echo "MaxArraySize            = 3"; else echo "JobId=7 JobState=TIMEOUT"; fi',
    "scancel": "echo $@ >> {place}/cancelled; : > {place}/queue",
    "srun": "exit 1",
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose file `queue` lists the jobs that SLURM knows; what is submitted comes there as `<number>.sh`."""
    place = tmp_path / "slurm"
    (place / "bin").mkdir(parents=True)
    (place / "queue").touch()
    for name, body in SCRIPTS.items():
        (place / "bin" / name).write_text(f"#!/bin/sh\n{body.format(place=place)}\n")
        (place / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(cluster, "_LOOK_SECONDS", (0.01, 0.01))
    return place


def run(planned: Plan) -> list[Result]:
    return execute(PlanSource(planned), planned.launcher, finished=lambda result: None)


def submitted(planned: Sequence[PlannedRun]) -> list[tuple[str, str]]:
    lines = (planned[0].folder.parents[1] / "slurm" / "jobs.jsonl").read_text().splitlines()
    return [(row["run"].split("-")[0] + row["run"][-1], row["job"]) for row in map(json.loads, lines)]


def finish(run: PlannedRun) -> None:
    """Make a run here, as its job would there."""
    from cellwise.training.train import train

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/usr/bin:/bin")  # Lightning warns of an srun that it is not called with
        train(run.config)


def test_a_job_asks_for_what_the_launcher_says(slurm: Path, tiny_words: list[str]) -> None:
    words = ["launcher=slurm", "launcher.wait=false", "seed=0,1", "study=mine"]
    settings = {"partition": "long", "account": "us", "minutes": "90", "cores": "3", "memory_gb": "1.5", "at_once": "1"}
    extra = ["launcher.grace_seconds=60", "launcher.extra={qos:high,mail-type:END}"]
    assert run(plan([*tiny_words, *words, *(f"launcher.{k}={v}" for k, v in settings.items()), *extra])) == []
    asked = dict(re.findall(r"^#SBATCH --(\S+?)(?:=(.*))?$", (slurm / "7.sh").read_text(), re.M))
    assert (asked["partition"], asked["account"], asked["time"], asked["cpus-per-task"]) == ("long", "us", "90", "3")
    assert "--cpus-per-task=3" in re.search(r"^srun .*$", (slurm / "7.sh").read_text(), re.M)[0]  # type: ignore[index]
    assert (asked["mem"], asked["array"], asked["signal"]) == ("1536MB", "0-1%1", "USR2@60")
    assert (asked["requeue"], asked["job-name"]) == ("", "cellwise-mine")
    assert (asked["qos"], asked["mail-type"]) == ("high", "END")
    assert "gpus-per-node" not in asked


@pytest.mark.parametrize(("words", "gpus"), [([], "1"), (["launcher.gpus=2"], "2"), (["launcher.gpus=0"], None)])
def test_a_run_on_a_gpu_gets_one(slurm: Path, tiny_words: list[str], words: list[str], gpus: str | None) -> None:
    run(plan([*tiny_words, "trainer.accelerator=gpu", "launcher=slurm", "launcher.wait=false", *words]))
    found = re.search(r"^#SBATCH --gpus-per-node=(.*)$", (slurm / "7.sh").read_text(), re.M)
    assert (found and found[1]) == gpus


def test_a_plan_is_as_many_arrays_as_slurm_wants(slurm: Path, tiny_words: list[str]) -> None:
    runs = plan([*tiny_words, "cell=lstm,gru", "seed=range(3)", "launcher=slurm", "launcher.wait=false"])
    run(runs)
    jobs = [("lstm0", "7_0"), ("gru0", "7_1"), ("lstm1", "8_0"), ("gru1", "8_1"), ("lstm2", "9_0"), ("gru2", "9_1")]
    assert submitted(runs) == jobs


def test_what_is_finished_or_in_the_queue_is_not_submitted(
    slurm: Path, tiny_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*tiny_words, "launcher=slurm", "launcher.wait=false"]
    run(plan([*words, "seed=0,1"]))
    finish(plan(words)[0])
    (slurm / "queue").write_text("7_1|cellwise-default\n7_0|of somebody else\n")
    runs = plan([*words, "seed=0,1,2"])
    [skipped] = run(runs)
    assert (skipped.run, skipped.status) == (runs[0], "skipped")
    assert submitted(runs) == [("lstm0", "7_0"), ("lstm1", "7_1"), ("lstm2", "8")]
    assert capsys.readouterr().out.splitlines()[-1] == "submitted 1 runs as job 8; 1 are there already"
    (slurm / "queue").write_text("7_1|of somebody else\n8|cellwise-default\n")  # a number that was given out again
    run(runs)
    assert submitted(runs)[3:] == [("lstm1", "9")]


def test_a_job_that_left_the_queue_without_a_result_has_failed(slurm: Path, tiny_words: list[str]) -> None:
    runs = plan([*tiny_words, "launcher=slurm"])
    log = runs[0].folder.parents[1] / "slurm" / "7_0_log.err"
    log.parent.mkdir(parents=True)
    log.write_text("Traceback\nModuleNotFoundError: No module named 'numpy'\nsrun: error: vm: task 0: Exited\n")
    [result] = run(runs)
    told = f"job 7 ended before the run was finished: TIMEOUT; ModuleNotFoundError: No module named 'numpy'; {log}"
    assert (result.status, result.note) == ("failed", told)


def test_a_run_is_told_of_when_its_job_has_left_the_queue(slurm: Path, tiny_words: list[str]) -> None:
    runs = plan([*tiny_words, "launcher=slurm"])
    told: list[Result] = []
    left: list[float] = []

    def moved(done: float) -> None:
        if not left:  # the job is in the queue, and then makes the run and leaves
            (slurm / "queue").write_text("7|cellwise-default\n")
            finish(runs[0])
            assert told == []
            (slurm / "queue").write_text("")
            left.append(time.time())

    [result] = execute(PlanSource(runs), runs.launcher, finished=told.append, moved=moved)
    assert told == [result]
    assert result.status == "finished" and result.note.startswith("perplexity ")
    assert 0 < result.seconds < 60


def test_a_run_that_another_process_makes_is_waited_for(slurm: Path, tiny_words: list[str]) -> None:
    from cellwise.records.lease import take_lease

    runs = plan([*tiny_words, "launcher=slurm"])
    lease = take_lease(runs[0].folder)
    asked: list[float] = []

    def moved(done: float) -> None:
        asked.append(done)
        if len(asked) == 5:
            lease.close()

    [result] = execute(PlanSource(runs), runs.launcher, finished=lambda result: None, moved=moved)
    assert not list(slurm.glob("*.sh"))
    assert (result.status, result.note) == ("failed", "the process that made it is gone")


def test_failures_may_cancel_what_is_not_done(slurm: Path, tiny_words: list[str]) -> None:
    runs = plan([*tiny_words, "seed=0,1", "launcher=slurm", "launcher.failures=fast"])
    (slurm / "queue").write_text("7_1|cellwise-default\n")
    [result] = run(runs)
    assert (result.run, result.status) == (runs[0], "failed")
    assert (slurm / "cancelled").read_text() == "7_1\n"


def test_a_search_prunes_a_run_by_the_rows_that_it_logs(
    slurm: Path, tiny_words: list[str], write_cell: Callable[..., Path]
) -> None:
    runs = plan([*tiny_words, "launcher=slurm"])
    seen: list[int] = []

    def moved(done: float) -> None:
        if not seen:
            (slurm / "queue").write_text("7|cellwise-default\n")
            runs[0].folder.mkdir(parents=True)
            (runs[0].folder / "run.json").write_text('{"status": "running"}')
            (runs[0].folder / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')

    def watch(run: PlannedRun, row: dict[str, int]) -> str | None:
        seen.append(row["step"])
        return "falls behind" if row["step"] == 2 else None

    [result] = execute(PlanSource(runs), runs.launcher, finished=lambda r: None, moved=moved, watch=watch)  # type: ignore[arg-type]
    assert seen == [1, 2]
    assert (result.status, result.note) == ("pruned", "falls behind")
    assert (slurm / "cancelled").read_text() == "7\n"


def test_a_search_has_no_more_runs_under_way_than_may_run_at_once(slurm: Path, tiny_words: list[str]) -> None:
    runs = plan([*tiny_words, "seed=range(4)", "launcher=slurm", "launcher.at_once=2"])

    class Asking:
        """A source that is no plan."""

        def __init__(self) -> None:
            self.left = list(runs)

        def take(self) -> PlannedRun | None:
            return self.left.pop(0) if self.left else None

        def exhausted(self) -> bool:
            return not self.left

        def plan_ahead(self) -> bool:
            return False

    results = execute(Asking(), runs.launcher, finished=lambda result: None)
    assert [result.run for result in results] == list(runs)
    assert [job for _, job in submitted(runs)] == ["7_0", "7_1", "8_0", "8_1"]
    with pytest.raises(CellwiseError, match=r"launcher\.wait=false is for a plan"):
        execute(Asking(), plan([*tiny_words, "launcher=slurm", "launcher.wait=false"]).launcher, finished=print)


def test_where_slurm_is_not_or_does_not_answer_nothing_is_submitted(
    slurm: Path, tiny_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = plan([*tiny_words, "launcher=slurm"])
    (slurm / "bin" / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    with pytest.raises(CellwiseError, match=r"SLURM does not answer `squeue`: Unable to contact slurm controller"):
        run(runs)
    (slurm / "bin" / "sbatch").unlink()
    with pytest.raises(CellwiseError, match=r"no sbatch here: .*; launcher=local runs here"):
        run(runs)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CellwiseError, match=r"launcher=slurm needs submitit; type `pip install 'cellwise\[slurm\]'`"):
        run(runs)
    assert not list(slurm.glob("*.sh"))
