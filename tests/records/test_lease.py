"""A run is made by one process at a time, and others can see that it is, on this machine and on others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellwise.machine import machine
from cellwise.records import lease
from cellwise.records.lease import BeingRunError, is_being_run, take_lease

HOLD = """
import sys, time
from pathlib import Path
from cellwise.records.lease import take_lease
held = take_lease(Path(sys.argv[1]))
Path(sys.argv[1] + ".held").touch()
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gru-00000000" / "seed-0"


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)])
    while not folder.with_name("seed-0.held").exists():
        assert process.poll() is None
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def write_elsewhere(folder: Path, silent_seconds: float) -> None:
    """What the lease of a run of another machine looks like, that machine's locks being invisible here."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(".seed-0.lease")
    path.write_text(json.dumps({"machine": "another", "pid": 1, "token": "theirs"}))
    os.utime(path, (time.time() - silent_seconds,) * 2)


def test_a_lease_is_seen_and_goes_with_its_process(folder: Path, holder: subprocess.Popen[bytes]) -> None:
    assert is_being_run(folder)
    with pytest.raises(BeingRunError, match="is being run by another process"):
        take_lease(folder)
    holder.kill()
    holder.wait()
    assert not is_being_run(folder)
    take_lease(folder).close()


def test_looking_at_a_run_does_not_stop_it_from_starting(folder: Path) -> None:
    assert not is_being_run(folder)
    take_lease(folder).close()
    for _ in range(20):
        assert not is_being_run(folder)
        take_lease(folder).close()


def test_a_run_of_another_machine_is_its_own_while_it_beats(folder: Path) -> None:
    write_elsewhere(folder, silent_seconds=lease.SILENCE_SECONDS / 2)
    assert is_being_run(folder)
    with pytest.raises(BeingRunError, match="is being run by another process"):
        take_lease(folder)


def test_a_run_of_another_machine_that_is_silent_is_taken_over(folder: Path) -> None:
    write_elsewhere(folder, silent_seconds=lease.SILENCE_SECONDS + 5)
    assert not is_being_run(folder)
    with take_lease(folder):
        said = json.loads(folder.with_name(".seed-0.lease").read_text())
        assert said["machine"] == machine() and said["pid"] == os.getpid()


def test_a_lease_beats_while_it_is_held(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    path = folder.with_name(".seed-0.lease")
    with take_lease(folder) as held:
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 30
        while path.stat().st_mtime < 1:
            assert time.monotonic() < deadline, "no beat"
            time.sleep(0.01)
        held.require()
    assert path.read_text() == ""


def test_a_process_that_was_silent_too_long_learns_that_the_run_is_no_longer_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    with take_lease(folder) as held:
        write_elsewhere(folder, silent_seconds=0)
        deadline = time.monotonic() + 30
        while not held.lost:
            assert time.monotonic() < deadline, "never learnt"
            time.sleep(0.01)
        with pytest.raises(BeingRunError, match="being run by another process now"):
            held.require()
    assert json.loads(folder.with_name(".seed-0.lease").read_text())["token"] == "theirs"  # which stays theirs
