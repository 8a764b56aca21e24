"""What may be registered, what the registry tells, and what it answers to a wrong name or option."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

import cellwise
from cellwise import Cell, CellwiseError, cell_info, cell_names, register_cell
from cellwise.cells.registry import build_cell, import_cells

pytestmark = pytest.mark.usefixtures("own_registry")

BUILT_IN = cell_names()  # when nothing else was registered yet
NAMES = [
    "rnn",
    "lstm",
    "peephole_lstm",
    "coupled_lstm",
    "gru",
    "mgu",
    "mut1",
    "mut2",
    "mut3",
    "ugrnn",
    "janet",
    "indrnn",
    "layer_norm_lstm",
    "layer_norm_gru",
    "minimal_gru",
    "minimal_lstm",
    "slstm",
    "lem",
    "cornn",
    "antisymmetric_rnn",
    "scrn",
    "star",
    "ligru",
    "no_input_gate_lstm",
    "no_forget_gate_lstm",
    "no_output_gate_lstm",
    "no_input_activation_lstm",
    "no_output_activation_lstm",
    "full_gate_recurrence_lstm",
]

MY_CELL = """
from cellwise import Cell, register_cell
from cellwise.cells.activations import tanh


@register_cell("mine", paper="none")
class Mine(Cell):
    gates = ("candidate",)
    products = {"hidden": (("candidate",), 1)}

    def step(self, x, U, s, p):
        h = tanh(U("hidden", s["h"])["candidate"])
        return {"h": h}, {"candidate": h}
"""


ONE_PRODUCT = {"hidden": (("candidate",), 1)}


class Plain(Cell):
    gates = ("candidate",)
    products = ONE_PRODUCT


class Other(Cell):
    gates = ("candidate",)
    products = ONE_PRODUCT


def declared(**data: Any) -> type[Cell]:
    """A cell class with these data."""
    return type("Declared", (Cell,), {"gates": ("candidate",), "products": ONE_PRODUCT} | data)


def refused(error: pytest.ExceptionInfo[CellwiseError]) -> str:
    line = str(error.value)
    assert "\n" not in line
    return line


def test_the_built_in_cells_are_there_in_order() -> None:
    assert cell_names() == sorted(NAMES)


def test_a_class_is_registered_by_call_and_by_decorator() -> None:
    assert register_cell("by_call", Plain, paper="a paper") is Plain
    assert register_cell("by_decorator")(Other) is Other
    assert cell_names() == sorted([*BUILT_IN, "by_call", "by_decorator"])
    assert cell_info("by_call").paper == "a paper"
    assert isinstance(build_cell("by_decorator"), Other)


def test_the_same_class_may_come_again_and_another_may_not() -> None:
    register_cell("mine", Plain)
    register_cell("mine", Plain)
    with pytest.raises(CellwiseError, match=r"'mine' is registered already, by .*; choose another name"):
        register_cell("mine", Other)
    with pytest.raises(CellwiseError, match=r"'lstm' is registered already, by cellwise\.cells\.lstm"):
        register_cell("lstm", Plain)


@pytest.mark.parametrize("name", ["", "MyCell", "my-cell", "1st", "my cell", "_mine", "mine/"])
def test_an_ill_formed_name_is_refused(name: str) -> None:
    with pytest.raises(CellwiseError, match="must be lower_snake, for example 'my_cell'"):
        register_cell(name, Plain)


def test_only_a_cell_can_be_registered() -> None:
    not_a_cell: Any = dict
    with pytest.raises(CellwiseError, match=r"must be a class derived from cellwise\.Cell"):
        register_cell("mine", not_a_cell)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"gates": "candidate"}, "gates must be a tuple of names, not 'candidate'"),
        ({"gates": ("a b",)}, "gates must be a tuple of names"),
        ({"gates": ("candidate", "candidate")}, "gates names one twice"),
        ({"states": ()}, "states must name at least the output, for example ('h',)"),
        ({"products": {"hidden": ("candidate",)}}, "must be ((names it feeds), operand width in hiddens)"),
        ({"products": {"hidden": ("candidate", 1)}}, "must be ((names it feeds), operand width in hiddens)"),
        ({"products": {"hidden": ((), 1)}}, "must be ((names it feeds), operand width in hiddens)"),
        ({"products": {"hidden": (("forget",), 1)}}, "feeds 'forget', which is neither in gates"),
        ({"products": {"hidden": (("candidate",), 0)}}, "has operand width 0; it must be a whole number"),
        ({"products": {"a.b": (("candidate",), 1)}}, "products has the key 'a.b'; it must be a name"),
        (
            {"products": {"one": (("candidate",), 1), "two": (("candidate",), 1)}},
            "'candidate' is fed by two products; name a part for one of them",
        ),
        ({"parts": {"more": "candidate"}}, "part 'more' is fed by no product"),
        ({"parts": {"more": "forget"}}, "parts maps 'more' to 'forget'; it must map a name that is no gate to one of"),
        ({"part_biases": ("more",)}, "part_biases names 'more', which is not in parts"),
        ({"extras": {"my gain": 1.0}}, "extras has the key 'my gain'; it must be a name"),
        ({"extras": {"gain": float("inf")}}, "extras['gain'] is inf; it must be a finite number"),
        ({"initial": {"c": 0.0}}, "initial names 'c'; allowed: h"),
        ({"initial": {"h": float("nan")}}, "initial['h'] is nan; it must be a finite number"),
        ({"retention": {"c": "forget"}}, "retention names 'c'; allowed: h"),
        ({"bias_offsets": {"forget": 1.0}}, "bias_offsets names 'forget'; allowed: candidate"),
        ({"products": ["hidden"]}, "products must be a mapping, for example products = {"),
        ({"extras": ["gain"]}, "extras must be a mapping, for example extras = {"),
        ({"initial": [0.0]}, "initial must be a mapping"),
        ({"retention": ["update"]}, 'retention must be a mapping, for example retention = {"h": "update"}, not [\'up'),
        ({"parts": ("more",)}, "parts must be a mapping"),
        ({"structure": "antisymmetric"}, "structure must be a mapping"),
        ({"bias_offsets": 1.0}, "bias_offsets must be a mapping"),
        ({"chrono": ["candidate"]}, "chrono must be a mapping"),
        ({"free_states": "h"}, "free_states must be a tuple of names, not 'h'"),
        ({"affine": 1}, "affine must be True or False, not 1"),
        ({"products": {"hidden": (("candidate",), True)}}, "has operand width True; it must be a whole number"),
        ({"chrono": {"candidate": True}}, "chrono['candidate'] is True; allowed: 1 (a large bias keeps), -1"),
        ({"initial": {"h": True}}, "initial['h'] is True; it must be a finite number"),
        ({"extras": {"gain": (1.0, 1.0)}}, "extras['gain'] is (1.0, 1.0); it must be a finite number, or two: (low"),
        ({"extras": {"gain": (1.0, 0.0)}}, "(low, high) with low < high"),
        ({"retention": {"h": None}}, "retention['h'] is None; it must be the name of a gate"),
        ({"structure": {"hidden": "symmetric"}}, "structure['hidden'] is 'symmetric'; allowed: antisymmetric"),
        ({"products": {}, "structure": {"hidden": "antisymmetric"}}, "structure names 'hidden'; allowed: none"),
        ({"retantion": {"h": "candidate"}}, "no attribute 'retantion'; did you mean 'retention'?"),
        ({"initial_state": {"h": 1.0}}, "no attribute 'initial_state'; did you mean 'initial'?"),
        ({"product": {}}, "no attribute 'product'; did you mean 'products'?"),
    ],
)
def test_data_that_contradict_each_other_are_refused_by_name(data: dict[str, Any], told: str) -> None:
    with pytest.raises(CellwiseError) as error:
        register_cell("mine", declared(**data))
    assert refused(error).startswith("cell 'mine': ")
    assert told in refused(error)
    assert "mine" not in cell_names()


def test_a_misspelt_attribute_of_the_constructor_is_refused_and_one_of_the_cell_s_own_is_not() -> None:
    def misspelt(self: Any) -> None:
        self.bias_offset = {"candidate": 1.0}

    def own(self: Any, *, gated: bool = False) -> None:
        self.gated, self.scale, self._product = gated, 0.5, 1

    with pytest.raises(
        CellwiseError, match=r"'bias_offset'; did you mean 'bias_offsets'\? \(one of your own may begin"
    ):
        register_cell("mine", declared(__init__=misspelt))
    register_cell("mine", declared(__init__=own, paper="mine", beta=1.0, gates_of=lambda self: self.gates))
    assert "mine" in cell_names()


def test_options_are_read_from_the_constructor() -> None:
    def construct(self: Cell, *, form: Literal["a", "b"] = "a", deep: bool = False, scale: float = 0.5) -> None: ...

    register_cell("mine", declared(__init__=construct))
    options = {option.name: (option.default, option.allowed) for option in cell_info("mine").options}
    assert options == {"form": ("a", ("a", "b")), "deep": (False, (True, False)), "scale": (0.5, None)}


def test_an_option_must_be_keyword_only_with_a_default() -> None:
    def positional(self: Cell, scale: float = 1.0) -> None: ...

    def without_default(self: Cell, *, scale: float) -> None: ...

    for init in (positional, without_default):
        with pytest.raises(CellwiseError, match="option 'scale' must be keyword-only and have a default"):
            register_cell("mine", declared(__init__=init))


def test_the_entry_of_a_cell_says_what_it_is() -> None:
    info = cell_info("peephole_lstm")
    assert info.name == "peephole_lstm"
    assert "Gers" in info.paper and "Shi" in info.paper
    assert len(info.equations) == 6 and info.equations[0].startswith("(1) forget gate")
    assert info.gates == ("input", "forget", "candidate", "output")
    assert info.products == {"hidden": (info.gates, 1)}
    assert info.states == ("h", "c")
    assert list(info.extras) == ["peephole_input", "peephole_forget", "peephole_output"]
    assert [option.name for option in info.options] == ["forget_bias"]
    assert any("torch.nn.LSTM" in line for line in info.differences)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_cell_has_paper_equations_and_differences(name: str) -> None:
    info = cell_info(name)
    assert info.paper and info.equations and info.differences
    assert set(build_cell(name).retention) <= set(info.states)


def test_an_unknown_cell_is_answered_with_the_nearest_and_with_all() -> None:
    with pytest.raises(CellwiseError, match=r"unknown cell 'lstmm'; did you mean 'lstm'\?") as error:
        cell_info("lstmm")
    assert all(name in refused(error) for name in BUILT_IN)
    assert "cell_modules" in refused(error)


@pytest.mark.parametrize(
    ("name", "instead"),
    [("conv_lstm", "cw.ConvRecurrent('peephole_lstm', ...)"), ("cifg", "coupled_lstm"), ("vanilla", "rnn")],
)
def test_a_name_that_is_another_cell_or_layer_is_answered_with_what_to_type(name: str, instead: str) -> None:
    with pytest.raises(CellwiseError) as error:
        build_cell(name)
    assert instead in refused(error)
    assert "did you mean" not in refused(error)


def test_an_unknown_option_lists_the_allowed() -> None:
    with pytest.raises(CellwiseError, match="option of cell 'gru' 'rest'; did you mean 'reset'") as error:
        build_cell("gru", {"rest": "after"})
    assert refused(error)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("coupled_lstm", {"peepholes": 1}, "cell.peepholes=1 is not an option of 'coupled_lstm'; allowed: True, False"),
        ("gru", {"reset": "during"}, "cell.reset=during is not an option of 'gru'; allowed: after, before"),
        ("coupled_lstm", {"peepholes": "yes"}, "allowed: True, False"),
        ("lstm", {"forget_bias": "one"}, "cell.forget_bias='one' of 'lstm' must be a float, like 1.0"),
        ("lstm", {"forget_bias": True}, "must be a float"),
    ],
)
def test_a_wrong_value_lists_the_allowed(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(CellwiseError) as error:
        build_cell(name, options)
    assert told in refused(error)


def test_a_whole_number_does_for_a_float() -> None:
    cell = build_cell("lstm", {"forget_bias": 2})
    assert cell.bias_offsets == {"forget": 2.0}
    assert isinstance(cell.bias_offsets["forget"], float)


def test_a_cell_comes_from_a_python_file(tmp_path: Path) -> None:
    file = tmp_path / "cells.py"
    file.write_text(MY_CELL)
    import_cells([str(file)])
    import_cells([str(file)])
    assert "mine" in cell_names()


def test_a_cell_comes_from_a_module_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells_of_this_test.py").write_text(MY_CELL)
    monkeypatch.chdir(tmp_path)
    import_cells(["cells_of_this_test"])
    assert "mine" in cell_names()


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    for folder, name in (("a", "mine"), ("b", "yours")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cells.py").write_text(MY_CELL.replace('"mine"', f'"{name}"'))
        import_cells([str(tmp_path / folder / "cells.py")])
    assert cell_info("mine").factory is not cell_info("yours").factory
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "cells.py").write_text(MY_CELL)
    with pytest.raises(CellwiseError, match="'mine' is registered already"):
        import_cells([str(tmp_path / "c" / "cells.py")])


def test_a_file_that_failed_is_read_again_once_mended(tmp_path: Path) -> None:
    file = tmp_path / "cells.py"
    file.write_text(MY_CELL.replace("tanh(U", "tanh(U("))
    with pytest.raises(CellwiseError, match=r"can't import .*SyntaxError") as error:
        import_cells([str(file)])
    assert refused(error)
    file.write_text(MY_CELL)
    import_cells([str(file)])
    assert "mine" in cell_names()


@pytest.mark.parametrize("module", ["no_such_module_here", "no/such/file.py"])
def test_a_module_that_is_not_there_is_named(module: str) -> None:
    with pytest.raises(CellwiseError, match=f"cell_modules: can't import '{module}'") as error:
        import_cells([module])
    assert refused(error)


def test_listing_cells_imports_no_torch() -> None:
    code = "import cellwise, sys; print(cellwise.cell_names(), cellwise.cell_info('gru').paper, 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip().endswith("False")


def test_the_public_names_are_there() -> None:
    for name in cellwise.__all__:
        assert getattr(cellwise, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = cellwise.no_such_name
