"""A running SLURM for the tests of this folder, and commands typed on its one machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slurm.one_node import NoSlurmError, OneNode

SECONDS = 300  # several times what any of these needs on a machine that others use too


@pytest.fixture(scope="session")
def slurm() -> Iterator[OneNode]:
    """One node for all tests, stopped at the end; where it can't be set up, one line says why."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    try:
        node = OneNode(folder)
    except NoSlurmError as error:
        shutil.rmtree(folder)
        pytest.exit(f"make slurm-test: {error}", returncode=1)
    yield node
    node.stop()
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def empty_queue(slurm: OneNode) -> Iterator[None]:
    """No job of one test is there in the next."""
    yield
    slurm.cancel_all()


@pytest.fixture
def start(slurm: OneNode, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``start("-m", "cellwise.cli", ...)``: Python in the temporary folder, on the cluster's machine."""
    processes = []

    def started(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=tmp_path,
            env=slurm.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """The same, to its end: exit code, output, errors."""

    def ended(*words: str) -> tuple[int, str, str]:
        process = start(*words)
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err

    return ended


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait until something is so, for the time of a test at most."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
