"""A run of two processes learns what one learns, goes on to the same bits, and ends as one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from cellwise.errors import CellwiseError
from cellwise.records.finished import is_finished
from cellwise.sweep import pool
from cellwise.sweep.compose import compose_config
from cellwise.sweep.launcher import LauncherSettings
from cellwise.sweep.plan import plan
from cellwise.sweep.source import PlanSource
from cellwise.training.module import TrainingModule
from cellwise.training.rerun import rerun
from cellwise.training.train import train
from tests.training.cut_runs import LANGUAGE, MEMORY, bits, configured, cut_before, folder_of

Rows = Callable[[Path], list[dict[str, Any]]]

TWO = "trainer.devices=2"


@pytest.fixture
def keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Override words of a module that has every rank keep its weights as it ends training, in `<study>-<rank>.pt`."""
    monkeypatch.setattr(TrainingModule, "on_train_end", TrainingModule.on_train_end)  # so that it is undone here
    (tmp_path / "keeping.py").write_text(
        f"""import torch
from cellwise.training.module import TrainingModule
right = TrainingModule.on_train_end
def keep(module):
    right(module)
    torch.save(module.network.state_dict(), f"{tmp_path}/{{module.ranks.of}}-{{module.ranks.rank}}.pt")
TrainingModule.on_train_end = keep
"""
    )
    return f"cell_modules=[{tmp_path / 'keeping.py'}]"


# What a task's shares add up to is proven in one process, in tests/tasks/test_shares.py.
@pytest.mark.parametrize(
    "words",
    [
        pytest.param((*MEMORY, "data.train_sequences=23"), id="memory", marks=pytest.mark.slow),
        pytest.param(LANGUAGE, id="language"),
    ],
)
def test_two_processes_learn_what_one_learns_and_hold_the_same_weights(
    words: tuple[str, ...], keeping: str, tmp_path: Path, rows_of: Rows
) -> None:
    """Over an epoch and a half, in whose last batch the shares differ: 3 of 4 examples, 19 of 20 targets."""
    without_dropout = ("network.dropout=0", "network.layer.zoneout=0", "optim.clip_norm=0.1", "optim.learning_rate=0.1")
    words = (*words, *without_dropout, "trainer.max_steps=10", "trainer.validate_every_steps=4", keeping)
    one, two = (train(configured(tmp_path, *words, f"trainer.devices={of}", f"study=of_{of}")).folder for of in (1, 2))
    assert len(rows_of(one)) == len(rows_of(two)) > 5
    for alone, shared in zip(rows_of(one), rows_of(two), strict=True):
        assert shared == pytest.approx({**alone, "seconds": shared["seconds"]}, rel=1e-5)
        assert shared["examples"] == alone["examples"]
    weights = {name: torch.load(tmp_path / f"{name}.pt") for name in ("1-0", "2-0", "2-1")}
    for name, value in weights["2-0"].items():
        assert torch.equal(value, weights["2-1"][name])
        torch.testing.assert_close(value, weights["1-0"][name], rtol=1e-5, atol=1e-5)
    said = json.loads((two / "run.json").read_text())
    assert (said["devices"], said["threads"]) == (2, 1)
    assert one.parent.name == two.parent.name  # it is the same run


@pytest.mark.slow
def test_cut_off_within_an_epoch_and_after_it_two_processes_end_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def config(name: str) -> dict[str, Any]:
        return configured(tmp_path / name, *LANGUAGE, TWO)

    whole = train(config("whole")).folder
    for step in (4, 6):  # of 6 an epoch
        with monkeypatch.context() as patch:
            cut_before(patch, step)
            with pytest.raises(KeyboardInterrupt):
                train(config("cut"))
    folder = train(config("cut")).folder
    assert (folder / "log.txt").read_text().count("goes on from step-") == 2
    assert bits(folder) == bits(whole)


@pytest.mark.slow
def test_a_repetition_has_as_many_processes_and_the_same_bits(tmp_path: Path) -> None:
    early = ("trainer.patience=2", "optim.learning_rate=0", "trainer.max_epochs=9")  # and stops when all know it
    folder = train(configured(tmp_path, *LANGUAGE, *early, TWO)).folder
    assert bits(folder)[0][-1]["epoch"] == 2
    assert rerun(folder)[:2] == (None, [])


@pytest.mark.slow
def test_a_run_goes_on_with_as_many_processes_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        cut_before(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(configured(tmp_path, *MEMORY))
    with pytest.raises(CellwiseError, match=r"changed since then: trainer.devices \(1, now 2\); change it back"):
        train(configured(tmp_path, *MEMORY, TWO))


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("task.batch_size=5", "task.batch_size=5 can't be shared evenly by trainer.devices=2; type task.batch_size=6"),
        ("data.train_sequences=21", "of 21 examples an epoch's last batch has 1, too few for trainer.devices=2"),
    ],
)
def test_what_can_not_be_shared_is_refused_before_anything_is_written(word: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CellwiseError) as error:
        train(configured(tmp_path / "runs", *MEMORY, TWO, word))
    assert told in str(error.value)
    assert not (tmp_path / "runs").exists()


RANK_1 = "__import__('torch').distributed.is_initialized() and __import__('torch').distributed.get_rank() == 1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("1 / 0", "rank 1 of 2: ZeroDivisionError: division by zero"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "rank 1 of 2 was killed by SIGKILL"),
    ],
)
def test_what_ends_one_process_ends_the_run_and_is_named(
    fault: str, told: str, tiny: Callable[..., dict[str, Any]], write_cell: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_cell("faulty", f"{RANK_1} and {fault}")
    with pytest.raises(CellwiseError) as error:
        train(tiny(f"cell_modules=[{file}]", "cell=faulty", TWO))
    assert str(error.value) == told
    folder = folder_of(tmp_path)
    said = json.loads((folder / "run.json").read_text())
    assert (said["status"], said["error"]) == ("failed", told)
    assert ("Traceback" in (folder / "log.txt").read_text()) is ("Zero" in told)
    assert not ranks_of(psutil.Process())


def ranks_of(process: psutil.Process) -> list[psutil.Process]:
    """The other ranks among a process's children; multiprocessing has a tracker there too."""
    return [child for child in process.children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]


# Validated at its end alone: a run that is asked to stop within a validation keeps nothing.
LONGER = [*MEMORY, TWO, "trainer.max_epochs=80", "trainer.validate_every_steps=400"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    """What a run leaves that nobody kills."""
    return bits(train(configured(tmp_path_factory.mktemp("whole"), *LONGER)).folder)


@pytest.mark.slow
@pytest.mark.parametrize("killed_by", [signal.SIGKILL, signal.SIGTERM])
def test_killed_from_outside_it_leaves_no_process_and_ends_with_the_same_bits(
    whole: tuple[Any, ...], tmp_path: Path, killed_by: signal.Signals
) -> None:
    words = [*LONGER, f"runs_dir={tmp_path / 'runs'}"]
    command = [sys.executable, "-m", "cellwise.cli", "train", *words]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    while not list(tmp_path.glob("runs/*/*/seed-0/checkpoints/step-*")):
        assert started.poll() is None
        time.sleep(0.01)
    others = ranks_of(psutil.Process(started.pid))
    assert len(others) == 1
    started.send_signal(killed_by)
    assert started.wait() != 0
    psutil.wait_procs(others, timeout=5)
    assert not any(other.is_running() for other in others)
    folder = folder_of(tmp_path)
    assert not is_finished(folder)
    assert ("with a checkpoint: SIGTERM" in (folder / "log.txt").read_text()) is (killed_by == signal.SIGTERM)
    train(compose_config(words))
    assert "goes on from step-" in (folder / "log.txt").read_text()
    assert bits(folder) == whole


@pytest.mark.slow
def test_a_run_of_a_sweep_may_have_two_processes_too(tmp_path: Path) -> None:
    runs = plan([*MEMORY, TWO, f"runs_dir={tmp_path}"])
    (result,) = pool.execute(PlanSource(runs), LauncherSettings(jobs=1), finished=lambda result: None)
    assert (result.status, is_finished(runs[0].folder)) == ("finished", True)
    assert json.loads((runs[0].folder / "run.json").read_text())["devices"] == 2
