"""What processes hold and what is left, also inside a container, whose limit the machine's numbers do not show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cellwise.sweep import memory
from cellwise.sweep.memory import gib, held_bytes, left_bytes


def test_a_process_holds_what_its_children_hold_too() -> None:
    hold = "hoard = b'x' * 200_000_000; print('here', flush=True); __import__('time').sleep(60)"
    parent = (
        f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {hold!r}]); "
        "__import__('time').sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        assert 200_000_000 < held_bytes(process.pid) < 400_000_000
    finally:
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.kill()
        process.stdout.close()
        process.wait()
    assert held_bytes(process.pid) == 0


@pytest.mark.parametrize(
    ("files", "left"),
    [
        (
            {"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 5\ninactive_file 100\n"},
            400,
        ),
        (
            {
                "memory/memory.limit_in_bytes": "900",
                "memory/memory.usage_in_bytes": "700",
                "memory/memory.stat": "total_inactive_file 50\n",
            },
            250,
        ),
        ({"memory.max": "max", "memory.current": "1", "memory.stat": "anon 5\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], left: int | None
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    whole = psutil.virtual_memory().available
    assert left_bytes() == left if left is not None else abs(left_bytes() - whole) < 2**30


def test_a_size_is_told_in_gib() -> None:
    assert gib(1.5 * 2**30) == "1.5 GiB"
    assert held_bytes(os.getpid()) > 0
