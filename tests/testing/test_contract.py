"""The contract suite passes for every registered cell, and `check_cell` tells what it finds in one line a check."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from cellwise.cells import registry
from cellwise.cells.contract import Cell
from cellwise.cells.registry import build_cell, register_cell
from cellwise.errors import CellwiseError
from cellwise.testing import contract
from cellwise.testing.contract import CHECKS, STEP_CHECKS, Check, check_cell
from tests.cells.variants import variants


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors here are so small that threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("title", "check"), CHECKS, ids=[check.__name__ for _, check in CHECKS])
@pytest.mark.parametrize(("name", "options"), variants(1))
def test_every_cell_keeps_the_contract(name: str, options: dict[str, Any], title: str, check: Check) -> None:
    check(lambda: build_cell(name, options))


class Broken(Cell):
    gates = ("candidate",)

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        raise ZeroDivisionError("two\nlines " + "and much more " * 50)


def test_checking_stops_at_a_step_that_returns_nothing_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_cells", dict(registry._cells))
    register_cell("broken", Broken)
    (title, error), left_out = check_cell("broken")
    assert title == CHECKS[0][0]
    assert error is not None and error.startswith("ZeroDivisionError: two lines and")
    assert "\n" not in error and len(error) <= 300
    rest = len(CHECKS) - 1
    assert left_out == (f"the other {rest} checks", "left out; they say more once the step passes those above")


class Impure(Cell):
    gates = ("candidate",)

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        h = s["h"].mul_(0.5) + x["candidate"].tanh()
        return {"h": h}, {"candidate": h}


def test_checking_goes_on_among_the_checks_of_the_step_and_stops_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_cells", dict(registry._cells))
    register_cell("impure", Impure)
    results = list(check_cell("impure"))
    titles = [title for title, _ in STEP_CHECKS]
    assert [title for title, _ in results] == [*titles, f"the other {len(CHECKS) - len(titles)} checks"]
    failed = [title for title, error in results[:-1] if error is not None]
    assert "a step changes none of its inputs in place" in failed
    assert titles[0] not in failed


def test_checking_goes_on_after_a_failure_that_is_not_the_step_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(build: Any) -> None:
        raise AssertionError("not this one")

    checks = (*STEP_CHECKS, ("first", wrong), ("second", lambda build: None))
    monkeypatch.setattr(contract, "CHECKS", checks)
    assert list(check_cell("rnn"))[-2:] == [("first", "with nonlinearity=tanh: not this one"), ("second", None)]


def test_an_error_says_under_which_options(monkeypatch: pytest.MonkeyPatch) -> None:
    from cellwise.cells.gru import GRU

    def wrong(self: Any, x: Any, U: Any, s: Any, p: Any) -> Any:
        state, gates = kept(self, x, U, s, p)
        return ({}, gates) if self.reset == "before" else (state, gates)

    kept: Any = GRU.step
    monkeypatch.setattr(GRU, "step", wrong)
    title, error = next(check_cell("gru"))
    assert title == CHECKS[0][0]
    assert (
        error
        == "with reset=before: GRU.step returned the states none; states = ('h',) wants each of these and no other"
    )


def test_a_cell_keeps_every_check_when_run_by_name() -> None:
    assert [error for _, error in check_cell("rnn") if error is not None] == []


def test_an_unknown_cell_is_refused_before_anything_is_checked() -> None:
    with pytest.raises(CellwiseError, match="unknown cell 'lstmm'"):
        next(check_cell("lstmm"))


def test_checking_leaves_the_random_stream_and_the_threads_as_they_were() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    torch.set_num_threads(2)
    list(check_cell("rnn"))
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.rand(1), expected)


def test_the_suite_needs_torch_and_no_test_runner() -> None:
    code = (
        "import sys, cellwise.testing.contract; "
        "print([m for m in ('pytest', 'hypothesis', 'pytorch_lightning', 'hydra') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"
