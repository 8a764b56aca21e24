"""Every registered cell solves the adding problem with the settings of the study `every_cell`: over 8 steps in each run
of the tests, over 20, as the study has it, in the slow ones.

So a cell whose equations, initial values or gradients are wrong in a way that shapes and small gradients do not show
is found: it can't learn to store a number and keep it. Training stops as soon as validation says that it is solved.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from cellwise.cells.registry import build_cell, cell_info, cell_names
from cellwise.sweep.plan import plan
from cellwise.sweep.study import load_study_file
from cellwise.tasks import build_task
from cellwise.tasks.contract import Split, Task
from cellwise.training.optim import make_optimizer
from cellwise.training.seeds import reseed
from cellwise.training.settings import read

STUDY = load_study_file("every_cell")
CELLS = [name for name in cell_names() if cell_info(name).factory.__module__.startswith("cellwise.cells.")]

SOLVED_MSE = 0.01  # one sixteenth of what always answering the mean costs
VALIDATION_MSE = 0.008  # stop here: with 1,000 sequences, validation and test differ by less than a fifth
EVERY_UPDATES = 100
UPDATES = 1_500  # the slowest of the cells that are not named needs 700 (three seeds each)
NAMED_UPDATES = 3_000  # the slowest of the named ones needs 1,800
SHORT = "data.length=8"
SHORT_UPDATES = 2_000  # the slowest, cornn, needs 1,200, the others 700 and fewer (two seeds each)
NOT_BEFORE_UPDATES = 1_000  # with the study's settings the fastest of the named ones needs 1,800


class Named(NamedTuple):
    """Why a cell does not solve it as fast as the others, and with what settings it does."""

    reason: str
    overrides: tuple[str, ...]


NAMED = {
    "rnn": Named(
        "tanh at every step wears down what is kept: about 2,000 updates; rectified units keep it",
        ("cell.nonlinearity=relu",),
    ),
    "antisymmetric_rnn": Named(
        "without a gate it adds to its state whatever the marker says: about 2,400 updates; gated, it chooses",
        ("cell.gated=true",),
    ),
    "indrnn": Named(
        "its units do not see each other, so one layer can't both read the marker and keep the number; two can",
        ("network.num_layers=2",),
    ),
    "cornn": Named(
        "its default step of 0.042 is for 784 steps: in 20 of them an oscillator hardly moves",
        ("cell.dt=0.3", "cell.epsilon=2.0"),
    ),
    "scrn": Named(
        "its context takes in a twentieth of the input a step: about 2,500 updates; a greater rate makes up for it",
        ("optim.learning_rate=0.03",),
    ),
}


class Trained(NamedTuple):
    """After how many updates validation said solved (None: it did not), and the test error then."""

    updates: int | None
    test_mse: float
    floor: float


def trained(cell: str, most_updates: int, *overrides: str, seed: int = 0) -> Trained:
    """Train a cell on the study's problem until it is solved."""
    [run] = plan([*STUDY.overrides, f"cell={cell}", f"seed={seed}", *overrides])
    settings = read(run.config)
    task = build_task("memory", settings.task)
    reseed(seed, "initialisation")
    network = task.network(build_cell(cell, settings.cell_options), "auto")
    optimizer = make_optimizer(settings.optim, network.parameters())
    batches = task.loader("train")
    updates, solved = 0, None
    assert settings.optim.clip_norm is not None
    while solved is None and updates < most_updates:
        for batch in batches:
            optimizer.zero_grad()
            task.learn(network, batch, None).loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), settings.optim.clip_norm)
            optimizer.step()
            updates += 1
            if updates % EVERY_UPDATES == 0 and mse(task, network, "valid") < VALIDATION_MSE:
                solved = updates
            if solved is not None or updates == most_updates:
                break
    return Trained(solved, mse(task, network, "test"), task.floors()["mean"])


def mse(task: Task, network: nn.Module, split: Split) -> float:
    """The objective on a split."""
    scores, state = task.scores(), None
    with torch.no_grad():
        for batch in task.loader(split):
            state = scores.update(network, batch, state)
    return scores.compute()["mse"]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Sizes are so small that a second thread costs time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_solves_it_over_few_steps(cell: str) -> None:
    own = NAMED[cell].overrides if cell in NAMED else ()
    found = trained(cell, SHORT_UPDATES, SHORT, *own)
    assert found.updates is not None, f"{cell} is at {found.test_mse:.4f} after {SHORT_UPDATES} updates"
    assert found.test_mse < SOLVED_MSE < found.floor / 16


@pytest.mark.slow
@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in NAMED])
def test_a_cell_solves_it(cell: str) -> None:
    found = trained(cell, UPDATES)
    assert found.updates is not None, f"{cell} is at {found.test_mse:.4f} after {UPDATES} updates"
    assert found.test_mse < SOLVED_MSE < found.floor / 16


@pytest.mark.slow
@pytest.mark.parametrize("cell", NAMED)
def test_a_named_cell_solves_it_with_settings_of_its_own(cell: str) -> None:
    found = trained(cell, NAMED_UPDATES, *NAMED[cell].overrides)
    assert found.updates is not None, f"{cell} is at {found.test_mse:.4f} after {NAMED_UPDATES} updates"
    assert found.test_mse < SOLVED_MSE


@pytest.mark.slow
@pytest.mark.parametrize("cell", NAMED)
def test_a_named_cell_is_named_for_a_reason(cell: str) -> None:
    """It has not solved it when the others have long since; where it has, its name is to be struck off."""
    assert trained(cell, NOT_BEFORE_UPDATES).updates is None


def test_a_cell_that_forgets_is_found(write_cell: Callable[..., Path]) -> None:
    path = write_cell("forgetful", 's = {"h": 0.0 * s["h"]}')
    found = trained("forgetful", 500, f"cell_modules=[{path}]")
    assert found.updates is None
    assert found.test_mse > 0.85 * found.floor


def test_the_named_cells_are_registered_and_few() -> None:
    assert set(NAMED) <= set(CELLS)
    assert len(NAMED) < len(CELLS) / 4
    assert all(one.reason and one.overrides for one in NAMED.values())


def test_the_study_has_every_registered_cell() -> None:
    assert STUDY.sweep["cell"] == CELLS
    assert STUDY.sweep["seed"] == [0, 1, 2]
