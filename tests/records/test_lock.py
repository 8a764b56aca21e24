"""A run is made by one process at a time, and others can see that it is."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.lock import is_being_run, lock_run

HOLD = """
import sys, time
from pathlib import Path
from cellwise.records.lock import lock_run
held = lock_run(Path(sys.argv[1]))
Path(sys.argv[1] + ".held").touch()
time.sleep(60)
"""


def test_a_lock_is_seen_and_goes_with_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "gru-00000000" / "seed-0"
    assert not is_being_run(folder)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)])
    try:
        while not folder.with_name("seed-0.held").exists():
            assert holder.poll() is None
            time.sleep(0.01)
        assert is_being_run(folder)
        with pytest.raises(CellwiseError, match="is being run by another process"):
            lock_run(folder)
    finally:
        holder.kill()
        holder.wait()
    assert not is_being_run(folder)
    lock_run(folder).close()


def test_looking_at_a_run_does_not_stop_it_from_starting(tmp_path: Path) -> None:
    folder = tmp_path / "gru-00000000" / "seed-0"
    lock_run(folder).close()
    for _ in range(20):
        assert not is_being_run(folder)
        lock_run(folder).close()
