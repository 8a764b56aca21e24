"""`hydra/launcher=cellwise` in a Hydra application that knows nothing of cellwise: what ends one job ends no other."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

APPLICATION = """
import os, pathlib, signal, time
import hydra

@hydra.main(version_base="1.3", config_path=None)
def application(config):
    print("job", config.x)
    if config.x == "raises":
        raise ValueError("one\\ntwo")
    if config.x == "leaves":
        os._exit(9)
    if config.x == "is_killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if config.x == "hangs":
        pathlib.Path("pid").write_text(str(os.getpid()))
        time.sleep(1000)
    return int(config.x) ** 2

application()
"""

# A sweeper of somebody else's, which wants to know what its jobs returned.
SWEEPER = """
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

class Telling(BasicSweeper):
    def sweep(self, arguments):
        for batch in super().sweep(arguments):
            print([job.return_value for job in batch], [job.overrides for job in batch])
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    (tmp_path / "application.py").write_text(APPLICATION)
    options = ["hydra/launcher=cellwise", "hydra.launcher.jobs=2", "hydra.sweep.dir=jobs"]
    return [sys.executable, "application.py", "-m", *options]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=120)


def lines(out: str) -> list[str]:
    """Hydra's lines in the order of the jobs, without the time."""
    return sorted(re.sub(r"^\[.*?\]\[HYDRA\] | \([\d.]+ s\)", "", line) for line in out.splitlines())


def test_of_five_jobs_one_raises_and_one_exits_hard_and_the_others_finish(command: list[str], tmp_path: Path) -> None:
    """Of Hydra's launchers two lose jobs in this, and none names both failures."""
    done = run([*command, "+x=0,raises,2,leaves,4"], tmp_path)
    assert done.returncode == 1
    output = tmp_path / "jobs" / ".jobs"
    raised = f"ValueError: one two; {output / '1' / 'output.txt'}"
    left = f"its process ended with exit code 9 before the job was finished; {output / '3' / 'output.txt'}"
    assert lines(done.stdout) == [
        "#0 finished: +x=0",
        f"#1 failed  : +x=raises: {raised}",
        "#2 finished: +x=2",
        f"#3 failed  : +x=leaves: {left}",
        "#4 finished: +x=4",
    ]
    assert f"2 of 5 jobs failed:\n  #1 +x=raises: {raised}\n  #3 +x=leaves: {left}\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in (output / "1" / "output.txt").read_text()
    assert (output / "3" / "output.txt").exists()
    assert not (output / "0" / "job.pickle").exists()  # a finished job leaves what it printed
    assert (tmp_path / "jobs" / "4" / ".hydra" / "overrides.yaml").read_text() == "- +x=4\n"


@pytest.mark.slow
def test_a_job_that_is_killed_or_takes_too_long_has_failed(command: list[str], tmp_path: Path) -> None:
    done = run([*command, "hydra.launcher.timeout_minutes=0.05", "+x=hangs,is_killed,2"], tmp_path)
    assert done.returncode == 1
    hung, killed, finished = lines(done.stdout)
    assert hung.startswith("#0 failed  : +x=hangs: timed out after 3 s; ")
    assert killed.startswith("#1 failed  : +x=is_killed: killed by SIGKILL (out of memory?); ")
    assert finished == "#2 finished: +x=2"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_sweeper_gets_what_the_jobs_returned_in_their_order(command: list[str], tmp_path: Path) -> None:
    plugin = tmp_path / "hydra_plugins" / "telling"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text("")
    (plugin / "sweeper.py").write_text(SWEEPER)
    sweeper = "hydra.sweeper._target_=hydra_plugins.telling.sweeper.Telling"
    done = run([*command, sweeper, "+x=3,1,2"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[9, 1, 4] [['+x=3'], ['+x=1'], ['+x=2']]"


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_launcher_that_ends_takes_its_jobs_with_it(command: list[str], tmp_path: Path, sent: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    launcher = subprocess.Popen(
        [*command, "+x=hangs"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert launcher.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    launcher.send_signal(sent)
    assert launcher.wait(timeout=60) != 0
    job = Path("/proc") / (tmp_path / "pid").read_text() / "stat"
    while job.exists() and job.read_text().split(")")[-1].split()[0] != "Z":  # nobody may be there to collect it
        assert time.monotonic() < deadline, "the job goes on for ever"
        time.sleep(0.02)
