"""`launcher=slurm` on a real SLURM of one node: arrays, failures, a killed launcher, preemption. `make slurm-test`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.sweep.plan import plan
from tests.conftest import write_outside_cell
from tests.slurm.conftest import SECONDS, wait_for
from tests.slurm.one_node import OneNode

pytestmark = pytest.mark.slurm

Run = Callable[..., tuple[int, str, str]]
CLUSTER = ("launcher=slurm", "launcher.partition=debug", "launcher.minutes=5")
# Steps that take long on the cluster alone, so that there is time to disturb them; the results are the same.
SLOWLY = "os.environ.get('SLURM_JOB_ID') and __import__('time').sleep(0.005)"

STUDY = """
question: Which is better?
sweep: {cell: [rnn, gru]}
tune:
  seeds: [0]
  sampler: random
  trials: 3
  space:
    optim.learning_rate: {low: 1e-4, high: 1e-2, log: true}
confirm:
  seeds: [10, 11]
"""


def typed(*words: str) -> list[str]:
    return ["-m", "cellwise.cli", "train", "-m", *words, *CLUSTER]


def jobs(study: Path) -> list[dict[str, Any]]:
    """What was submitted, in order."""
    return [json.loads(line) for line in (study / "slurm" / "jobs.jsonl").read_text().splitlines()]


def ends(out: str) -> list[tuple[str, str]]:
    """Status and cell of each run that was told of."""
    lines = [line.split() for line in out.splitlines()]
    return sorted((line[0], line[1]) for line in lines if line[:1] in (["finished"], ["failed"], ["skipped"]))


def rows(folder: Path) -> int:
    try:
        return len((folder / "metrics.jsonl").read_text().splitlines())
    except OSError:
        return 0


@pytest.fixture
def slow_words(tiny_words: list[str], write_cell: Callable[..., Path]) -> list[str]:
    """A run that takes about ten seconds on the cluster, two epochs."""
    words = [
        "cell=slow",
        f"cell_modules=[{write_cell('slow', SLOWLY)}]",
        "trainer.max_steps=100",
        "trainer.max_epochs=100",
    ]
    return [*tiny_words, *words, "trainer.log_every_steps=5"]


def test_runs_that_break_are_named_and_the_same_command_submits_those_alone(
    run: Run, tiny_words: list[str], tmp_path: Path
) -> None:
    mended = f"__import__('pathlib').Path({str(tmp_path / 'mended')!r}).exists()"
    broken = {
        "raising": f"assert {mended}, 'one' + chr(10) + 'two'",
        "leaving": f"{mended} or os._exit(3)",
        "killed": f"{mended} or os.kill(os.getpid(), signal.SIGKILL)",
    }
    files = [str(write_outside_cell(tmp_path / f"{name}.py", name, step)) for name, step in broken.items()]
    words = typed(*tiny_words, f"cell_modules=[{','.join(files)}]", "cell=raising,rnn,leaving,gru,killed")

    code, out, err = run(*words)
    assert code == 1
    failed = [("failed", name) for name in sorted(broken)]
    assert ends(out) == [*failed, ("finished", "gru"), ("finished", "rnn")]
    study = tmp_path / "runs" / "default"
    submitted = jobs(study)
    assert len({job["job"].split("_")[0] for job in submitted}) == 1  # one array
    assert [job["job"].split("_")[1] for job in submitted] == ["0", "1", "2", "3", "4"]
    assert "raising seed 0: AssertionError: one two" in err
    assert re.search(r"leaving seed 0: job \d+_2 ended before the run was finished: FAILED; ", err)
    assert re.search(r"killed seed 0: job \d+_4 ended before the run was finished: FAILED; ", err)
    assert "Traceback" not in err
    assert (study / "report.html").exists()

    (tmp_path / "mended").touch()
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert ends(out) == [*(("finished", name) for name in sorted(broken)), ("skipped", "gru"), ("skipped", "rnn")]
    assert len(jobs(study)) == 8


def test_a_killed_launcher_leaves_its_jobs_and_the_same_command_waits_for_them(
    run: Run, start: Callable[..., subprocess.Popen[str]], slow_words: list[str], tmp_path: Path
) -> None:
    words = typed(*slow_words, "seed=0,1,2", "launcher.at_once=1")  # the others are in the queue
    study = tmp_path / "runs" / "default"
    launcher = start(*words)
    wait_for(lambda: list(study.glob("slow-*/seed-0/metrics.jsonl")), "the first run")
    launcher.kill()
    launcher.communicate()
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert ends(out) == [("finished", "slow")] * 3
    assert len(jobs(study)) == 3


def test_one_run_and_not_waiting_for_it(run: Run, slurm: OneNode, tiny_words: list[str], tmp_path: Path) -> None:
    words = ["-m", "cellwise.cli", "train", *tiny_words, *CLUSTER]
    code, out, err = run(*words, "launcher.wait=false")
    assert (code, err) == (0, "")
    assert re.match(r"submitted 1 runs as job \d+\n`cellwise status \S+runs/default` tells ", out)
    wait_for(lambda: not slurm.run("squeue", "-h").strip(), "the end of the job")
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert ends(out) == [("skipped", "lstm")]


def test_a_run_that_must_leave_is_started_again_and_ends_with_the_same_bits(
    run: Run, start: Callable[..., subprocess.Popen[str]], slurm: OneNode, slow_words: list[str], tmp_path: Path
) -> None:
    """SIGUSR2, as SLURM sends it before it takes a machine or when time is nearly up."""
    launcher = start(*typed(*slow_words, "trainer.checkpoint_every_seconds=1000"))  # so there is the one it leaves
    [folder] = [planned.folder for planned in plan(slow_words)]
    wait_for(lambda: rows(folder) > 3, "some steps")
    [job] = jobs(folder.parents[1])
    slurm.run("scancel", "--signal=USR2", job["job"])
    wait_for(lambda: "interrupted" in (folder / "log.txt").read_text(), "the run to leave")
    assert [path.name for path in (folder / "checkpoints").glob("step-*")]
    _, err = launcher.communicate(timeout=SECONDS)
    assert (launcher.returncode, err) == (0, "")
    assert "goes on from step-" in (folder / "log.txt").read_text()
    assert len(jobs(folder.parents[1])) == 1
    assert run("-m", "cellwise.cli", "rerun", str(folder))[1].startswith("identical: ")


def test_a_run_whose_machine_is_taken_without_warning_goes_on_from_its_last_checkpoint(
    run: Run, start: Callable[..., subprocess.Popen[str]], slurm: OneNode, slow_words: list[str], tmp_path: Path
) -> None:
    """Preempted by a job of the other partition: SIGTERM, some seconds, SIGKILL; SLURM itself starts it again."""
    launcher = start(*typed(*slow_words, "trainer.checkpoint_every_seconds=0.5"))
    [folder] = [planned.folder for planned in plan(slow_words)]
    wait_for(lambda: list((folder / "checkpoints").glob("step-*")), "a checkpoint")
    cores = str(os.cpu_count())
    slurm.run("sbatch", "--partition=urgent", f"--cpus-per-task={cores}", "--output=/dev/null", "--wrap=sleep 1")
    _, err = launcher.communicate(timeout=SECONDS)
    assert (launcher.returncode, err) == (0, "")
    log = (folder / "log.txt").read_text()
    assert "goes on from step-" in log
    assert "interrupted" not in log  # it was killed
    assert run("-m", "cellwise.cli", "rerun", str(folder))[1].startswith("identical: ")


def test_a_run_that_is_out_of_time_too_often_says_so_and_the_same_command_goes_on_with_it(
    run: Run, start: Callable[..., subprocess.Popen[str]], slurm: OneNode, slow_words: list[str], tmp_path: Path
) -> None:
    """submitit takes a job of a few minutes for one that is out of time."""
    words = typed(*slow_words, "launcher.requeues=0")
    launcher = start(*words)
    [folder] = [planned.folder for planned in plan(slow_words)]
    wait_for(lambda: rows(folder) > 3, "some steps")
    slurm.run("scancel", "--signal=USR2", jobs(folder.parents[1])[0]["job"])
    _, err = launcher.communicate(timeout=SECONDS)
    assert launcher.returncode == 1
    told = "slow seed 0: Job not requeued because: timed-out too many times."
    assert f"{told} Give launcher.minutes or launcher.requeues more; the same command goes on with it" in err
    assert run(*words)[0] == 0
    assert "goes on from step-" in (folder / "log.txt").read_text()


def test_a_cancelled_run_has_failed_and_a_launcher_that_stops_at_the_first_cancels_the_others(
    start: Callable[..., subprocess.Popen[str]], slurm: OneNode, slow_words: list[str], tmp_path: Path
) -> None:
    launcher = start(*typed(*slow_words, "seed=0,1,2,3", "launcher.at_once=1", "launcher.failures=fast"))
    study = tmp_path / "runs" / "default"
    wait_for(lambda: list(study.glob("slow-*/seed-0/metrics.jsonl")), "the first run")
    slurm.run("scancel", jobs(study)[0]["job"])
    _, err = launcher.communicate(timeout=SECONDS)
    assert launcher.returncode == 1
    assert "1 of 4 runs failed: slow seed 0: job " in err and "CANCELLED" in err
    assert "stopped before 3 others, which the same command runs" in err
    wait_for(lambda: not slurm.run("squeue", "-h").strip(), "an empty queue")


@pytest.mark.parametrize("cores", [1, 2])
def test_a_run_has_as_many_cores_and_threads_as_it_is_given(
    run: Run, tiny_words: list[str], tmp_path: Path, cores: int
) -> None:
    seen = tmp_path / "seen"
    told = "{len(os.sched_getaffinity(0))} {__import__('torch').get_num_threads()}"
    look = f"open({str(seen)!r}, 'w').write(f\"{told}\")"
    words = [f"cell_modules=[{write_outside_cell(tmp_path / 'looking.py', 'looking', look)}]", "cell=looking"]
    code, _, err = run(*typed(*tiny_words, *words), "trainer.threads=null", f"launcher.cores={cores}")
    assert (code, err) == (0, "")
    assert seen.read_text() == f"{cores} {cores}"


def test_what_slurm_refuses_is_one_line(run: Run, tiny_words: list[str]) -> None:
    code, _, err = run(*typed(*tiny_words), "launcher.partition=nowhere")
    assert code == 2
    assert err.startswith("cellwise: SLURM refuses the runs: ") and "Invalid partition" in err
    assert err.count("\n") == 1


def test_any_hydra_launcher_drives_cellwise(run: Run, tiny_words: list[str], tmp_path: Path) -> None:
    """The one of submitit here; when a job is killed it waits for ever where SLURM keeps no accounts."""
    options = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=debug", "hydra.launcher.timeout_min=5"]
    code, _, _ = run("-m", "cellwise.sweep.hydra_app", "-m", *tiny_words, "cell=rnn,gru", *options)
    assert code == 0
    finished = [path.parents[1].name.split("-")[0] for path in tmp_path.glob("runs/default/*/seed-0/summary.json")]
    assert sorted(finished) == ["gru", "rnn"]


def test_a_study_of_two_phases_tunes_and_confirms(run: Run, tiny_words: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "study.yaml").write_text(STUDY)
    words = [*tiny_words, *CLUSTER, "launcher.at_once=2"]
    code, out, err = run("-m", "cellwise.cli", "study", "mine", *words)
    assert (code, err) == (0, "")
    assert sum(line.startswith("finished  ") for line in out.splitlines()) == 2 * 3 + 2 * 2
    assert "trial" in out and "submitted 4 runs as job " in out  # the confirming ones, all at once
    code, out, err = run("-m", "cellwise.cli", "study", "mine", *words)
    assert (code, err) == (0, "")
    assert "submitted" not in out


def test_ctrl_c_leaves_the_jobs_and_says_how_to_end_them(
    start: Callable[..., subprocess.Popen[str]], slurm: OneNode, slow_words: list[str], tmp_path: Path
) -> None:
    launcher = start(*typed(*slow_words))
    [folder] = [planned.folder for planned in plan(slow_words)]
    wait_for(lambda: rows(folder) > 1, "some steps")
    launcher.send_signal(signal.SIGINT)
    _, err = launcher.communicate(timeout=SECONDS)
    assert launcher.returncode == 130
    assert err.startswith("the jobs go on; `scancel --name=cellwise-default` ends them\n")
    assert slurm.run("squeue", "-h").strip()
