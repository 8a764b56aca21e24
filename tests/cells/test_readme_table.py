"""The README's table of cells is what the registry and the tests say."""

from __future__ import annotations

import pytest

from cellwise.cells.registry import cell_info
from tests.cells.oracles import BUILT_IN, ORACLES, cells_of, oracles_of
from tests.cells.readme_table import END, README, START, compact, table, with_table


def test_the_table_is_fresh() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == with_table(text), "stale; type `make generate`"


def test_every_cell_has_a_row_with_paper_equations_and_an_independent_reference() -> None:
    rows = table().splitlines()[2:]
    assert len(rows) == len(BUILT_IN)
    for name, row in zip(BUILT_IN, rows, strict=True):
        told = row.replace(r"\|", "").split("|")
        assert [told[0], told[-1], len(told)] == ["", "", 6]
        assert told[1] == f" `{name}` "
        assert cell_info(name).paper and cell_info(name).equations
        assert told[4].startswith(" NumPy float64")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lstm", {"NumPy float64", "onnxruntime", "torch.nn", "keras (images)"}),
        ("peephole_lstm", {"NumPy float64", "onnxruntime"}),
    ],
)
def test_the_oracles_are_those_that_the_tests_compare_with(name: str, expected: set[str]) -> None:
    assert set(oracles_of(name)) == expected


@pytest.mark.parametrize("label", ORACLES)
def test_an_oracle_is_of_some_cell(label: str) -> None:
    for test in ORACLES[label]:
        assert cells_of(test)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("(1) forget gate  f = sigmoid(W_f x)", "f = sigmoid(W_f x)"),
        ("(12) log gate    log f = W x   forget=exponential: other", "log f = W x; forget=exponential: other"),
        ("               n = tanh(U (r * h))   reset=before", "n = tanh(U (r * h)); reset=before"),
        ("output     h", "output h"),
        ("h = tanh(W x)", "h = tanh(W x)"),
    ],
)
def test_an_equation_loses_its_number_and_title(line: str, told: str) -> None:
    assert compact(line) == told


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    assert with_table(f"a\n{START}\nold\n{END}\nb") == f"a\n{START}\n{table()}\n{END}\nb"
    for text in ("", START, END, f"{END}{START}", f"{START}{END}{END}", f"{START}{START}{END}"):
        with pytest.raises(ValueError, match="once each"):
            with_table(text)
