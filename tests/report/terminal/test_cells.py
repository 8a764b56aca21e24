"""`cellwise cells`: the list, and everything that the registry knows of one cell."""

from __future__ import annotations

from typing import Literal

import pytest

from cellwise.cells.contract import Cell
from cellwise.cells.registry import cell_info, cell_names, register_cell
from cellwise.errors import CellwiseError
from cellwise.report.terminal.cells import describe, listing
from cellwise.settings import typed
from tests.cells.conftest import own_registry

__all__ = ["own_registry"]  # the fixture


class Everything(Cell):
    """A cell with all the data that the contract knows; its step is never called."""

    gates = ("update", "candidate")
    products = {"hidden": (("update",), 2), "turned": (("turned_part",), 1)}  # noqa: RUF012
    states = ("h", "m")
    initial = {"m": -5.0}  # noqa: RUF012
    extras = {"gain": 1.0, "drawn": (-1.0, 0.5)}  # noqa: RUF012
    parts = {"turned_part": "candidate"}  # noqa: RUF012
    part_biases = ("turned_part",)
    step_biases = ("update",)
    raw = ("candidate",)
    structure = {"turned": "antisymmetric"}  # noqa: RUF012
    retention = {"h": "update"}  # noqa: RUF012
    bias_offsets = {"update": -2.0}  # noqa: RUF012
    chrono = {"update": 1, "candidate": -1}  # noqa: RUF012
    free_states = ("h",)

    def __init__(
        self, *, form: Literal["one", "two"] = "one", rate: float = 0.5, kind: str = "any", peepholes: bool = False
    ):
        self.form, self.rate, self.kind, self.peepholes = form, rate, kind, peepholes


def test_the_list_has_a_line_for_each_cell_with_its_paper() -> None:
    lines = listing().splitlines()
    assert [line.split()[0] for line in lines] == cell_names()
    for name, line in zip(cell_names(), lines, strict=True):
        assert line.endswith(cell_info(name).paper)


@pytest.mark.parametrize("name", cell_names())
def test_a_cell_is_told_with_its_equations_paper_options_and_differences(name: str) -> None:
    info, lines = cell_info(name), describe(name).splitlines()
    assert lines[:3] == [name, f"  paper        {info.paper}", "  equations"]
    assert lines[3 : 3 + len(info.equations)] == [f"    {equation}" for equation in info.equations]
    for option in info.options:
        assert any(line.startswith(f"  option       cell.{option.name}={typed(option.default)}") for line in lines)
    for difference in info.differences:
        assert f"  differs      {difference}" in lines
    for extra in info.extras:
        assert any(line.startswith(f"  per unit     {extra}: ") for line in lines)


@pytest.mark.usefixtures("own_registry")
def test_all_that_a_cell_declares_is_told() -> None:
    register_cell("everything", Everything, fixed={"kind": "special"})
    assert (
        describe("everything")
        == """everything
  paper        not given
  equations
    not given
  gates        update, candidate
  product      hidden: of an operand 2 times as wide as a state, feeds update
  product      turned: of an operand as wide as a state, feeds turned_part, antisymmetric (M - M^T)
  part         turned_part: what a product gives candidate, apart from W x + b, with a bias of its own
  raw          candidate: x itself, with no W, where input and hidden size are equal
  late bias    update: added by the step, not to W x
  per unit     gain: starts at 1
  per unit     drawn: drawn from U(-1, 0.5)
  bias         update: drawn, then -2
  chrono       a large bias of update keeps, candidate lets go
  states       h, m (the first is the output)
  initial      m: -5
  kept by      h: update
  free states  h (zoneout, learned start)
  option       cell.form=one; allowed: one, two
  option       cell.rate=0.5
  option       cell.peepholes=false; allowed: true, false
  fixed        kind=special
  differs      nothing noted
  cost         40,500 parameters and 80,000 FLOPs a step at input 100, hidden 100"""
    )


@pytest.mark.usefixtures("own_registry")
def test_an_affine_cell_is_told_as_one() -> None:
    affine = type("Affine", (Cell,), {"gates": ("update", "candidate"), "affine": True})
    register_cell("affine", affine)
    assert "  affine       h = a * h_{t-1} + b with a and b of x alone: all steps can be computed at once" in describe(
        "affine"
    )


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(CellwiseError, match="unknown cell 'lstmm'; did you mean 'lstm'"):
        describe("lstmm")


def test_an_unknown_cell_is_said_to_need_what_the_command_takes() -> None:
    with pytest.raises(CellwiseError) as caught:
        describe("mine")
    assert str(caught.value).endswith("a cell of your own needs its module: --cell-modules my_module")
    assert "cell_modules" not in str(caught.value)


def test_a_name_of_the_field_that_is_another_cell_says_which() -> None:
    with pytest.raises(CellwiseError, match="unknown cell 'cifg'; type coupled_lstm"):
        describe("cifg")
