"""Items that other processes fetch are those that this one would, and nothing else changes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from cellwise.data.loader import SequentialLoader
from cellwise.data.shuffled import ShuffledLoader
from cellwise.errors import CellwiseError


class Squares:
    """Item k is k times k, an array, and the process that made it."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, k: int) -> tuple[Any, int]:
        return np.array([k * k]), os.getpid()


def loader(workers: int, items: Any = None) -> SequentialLoader[Any]:
    found = SequentialLoader(Squares(7) if items is None else items)
    found.workers = workers
    return found


def values(of: SequentialLoader[Any]) -> list[int]:
    return [int(item[0][0]) for item in of]


@pytest.mark.parametrize("workers", [0, 1, 2, 9])
def test_every_epoch_gives_every_item_in_order_as_it_is(workers: int) -> None:
    found = loader(workers)
    for _ in range(2):
        items = list(found)
        assert [item[0].tolist() for item in items] == [[k * k] for k in range(7)]
        assert all(isinstance(item[0], np.ndarray) for item in items)  # no tensor where there was none
        assert len({item[1] for item in items} - {os.getpid()}) == min(workers, 7)


def test_the_position_counts_what_was_handed_out_and_not_what_was_fetched() -> None:
    ahead = loader(2)
    iterator = iter(ahead)
    for _ in range(3):
        next(iterator)
    time.sleep(0.2)  # by now the workers have fetched more
    state = ahead.state_dict()
    assert state == {"position": 3, "length": 7}
    for workers in (0, 2):
        resumed = loader(workers)
        resumed.load_state_dict(state)
        assert values(resumed) == [k * k for k in range(3, 7)]
        assert values(resumed) == [k * k for k in range(7)]


def test_an_order_that_changes_with_the_epoch_reaches_the_workers() -> None:
    class Numbers:
        def __len__(self) -> int:
            return 10

        def __getitem__(self, rows: Any) -> list[int]:
            return [int(row) for row in rows]

    here, there = ShuffledLoader(Numbers(), 3, seed=1), ShuffledLoader(Numbers(), 3, seed=1)
    there.workers = 2
    epochs = [(list(here), list(there)) for _ in range(3)]
    assert all(one == other for one, other in epochs)
    assert epochs[0][0] != epochs[1][0]


def test_no_random_number_of_this_process_is_drawn() -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    list(loader(2))
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_an_item_that_says_why_not_is_one_line_and_another_error_is_told_with_its_place(tmp_path: Path) -> None:
    class Missing(Squares):
        def __getitem__(self, k: int) -> tuple[Any, int]:
            if k == 3:
                raise CellwiseError(f"{tmp_path} is damaged")
            if k == 5:
                raise ValueError("five")
            return super().__getitem__(k)

    with pytest.raises(CellwiseError) as caught:
        list(loader(2, Missing(5)))
    assert str(caught.value) == f"{tmp_path} is damaged"
    found = loader(1, Missing(7))
    found.load_state_dict({"position": 4, "length": 7})
    with pytest.raises(ValueError, match="five"):
        list(found)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_to_all_processes_of_a_run_leaves_it_its_workers(sent: signal.Signals) -> None:
    iterator = iter(loader(2))
    first = next(iterator)
    for worker in psutil.Process().children():
        worker.send_signal(sent)
    assert [int(item[0][0]) for item in (first, *iterator)] == [k * k for k in range(7)]


def test_workers_end_with_an_epoch_that_is_given_up() -> None:
    before = set(psutil.Process().children())
    iterator = iter(loader(2))
    next(iterator)
    workers = set(psutil.Process().children()) - before
    assert len(workers) == 2
    del iterator
    assert psutil.wait_procs(workers, timeout=5)[1] == []


_KEPT = """
from cellwise.data.workers import fetched
kept = fetched(range(9), range(9), 1)
next(kept)
"""


def test_a_program_ends_though_it_keeps_an_epoch_that_has_not_ended() -> None:
    done = subprocess.run([sys.executable, "-c", _KEPT], capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
