"""`conf/cell/` is a copy of the registry."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cellwise.cells.registry import cell_info, cell_names
from cellwise.resources import resource_folder
from cellwise.sweep.compose import cell_node
from cellwise.sweep.vocabulary import cell_yaml, write_cells

BUILT_IN = [name for name in cell_names() if cell_info(name).factory.__module__.startswith("cellwise.cells.")]


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_file_of_a_cell_is_fresh(name: str) -> None:
    path = resource_folder("conf") / "cell" / f"{name}.yaml"
    assert path.read_text(encoding="utf-8") == cell_yaml(name), "stale; type `make generate`"
    assert yaml.safe_load(cell_yaml(name)) == cell_node(name)


def test_no_file_is_of_a_cell_that_is_gone() -> None:
    assert sorted(path.stem for path in (resource_folder("conf") / "cell").glob("*")) == BUILT_IN


def test_a_file_says_what_else_an_option_may_be() -> None:
    lines = cell_yaml("gru").splitlines()
    assert lines[0].startswith("# Cho et al. 2014")
    assert lines[-1].split("#") == ["reset: after              ", " after | before"]


def test_writing_replaces_what_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellwise.sweep.vocabulary.cell_names", lambda: BUILT_IN)
    (tmp_path / "gone.yaml").write_text("name: gone\n")
    (tmp_path / "lstm.yaml").write_text("stale")
    write_cells(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == BUILT_IN
    assert (tmp_path / "lstm.yaml").read_text() == cell_yaml("lstm")
