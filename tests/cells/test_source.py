"""What of a cell's file is the cell: an edit that can change numbers changes the hash, and rewording does not."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from cellwise.cells.registry import cell_info, cell_names, import_cells
from cellwise.cells.source import cell_source_sha256
from cellwise.errors import CellwiseError

pytestmark = pytest.mark.usefixtures("own_registry")

FILE = '''"""A module."""
import math
from cellwise import Cell, register_cell
from cellwise.cells.activations import relu, sigmoid, tanh

SCALE = 1.0
LOW, HIGH = 0.0, 1.0
FLOOR = LOW
UNUSED = 3


def deeper(v, factor=SCALE):
    return v * factor


def squash(v):
    """Squash."""
    return tanh(deeper(v)) + FLOOR  # a comment


def unused(v):
    return v


@register_cell("mine", paper="none")
class Mine(Cell):
    """My cell."""

    gates = ("candidate",)
    products = {"hidden": (("candidate",), 1)}

    def step(self, x, U, s, p):
        """Do it."""
        h = squash(U("hidden", s["h"])["candidate"])
        return {"h": h}, {"candidate": h}


class Unrelated(Cell):
    gates = ("candidate",)
'''

Hash = Callable[[str], str]


@pytest.fixture
def hash_of(tmp_path: Path) -> Hash:
    """The hash of the cell `mine` in a file of this text."""
    numbers = itertools.count()

    def hashed(text: str) -> str:
        number = next(numbers)
        file = tmp_path / f"cells_{number}.py"
        file.write_text(text.replace('"mine"', f'"mine_{number}"'))
        import_cells([str(file)])
        return cell_source_sha256(cell_info(f"mine_{number}").factory)

    return hashed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# other words"),
        ('"""My cell."""', '"""Other words,\n    and more."""'),
        ('        """Do it."""\n', ""),
        ('    """Squash."""\n', ""),
        ('paper="none"', 'paper="a paper", differences=("one",)'),
        ('s["h"]', "s['h']"),
        ("UNUSED = 3", "UNUSED = 4"),
        ("def unused(v):\n    return v", "def unused(v):\n    return 2 * v"),
        ('class Unrelated(Cell):\n    gates = ("candidate",)', 'class Unrelated(Cell):\n    gates = ("forget",)'),
        ("import relu, sigmoid, tanh", "import tanh"),
        ("import math\n", ""),
    ],
)
def test_prose_layout_and_neighbours_do_not_change_the_hash(hash_of: Hash, old: str, new: str) -> None:
    assert FILE.count(old) == 1
    assert hash_of(FILE.replace(old, new)) == hash_of(FILE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("h = squash(", "h = 2 * squash("),
        ('{"hidden": (("candidate",), 1)}', '{"other": (("candidate",), 1)}'),
        ("return tanh(deeper(v))", "return tanh(2 * deeper(v))"),
        ("return v * factor", "return v / factor"),
        ("SCALE = 1.0", "SCALE = 2.0"),
        ("SCALE = 1.0", "SCALE = 1.0\nSCALE *= 2"),
        ("SCALE = 1.0", "if True:\n    SCALE = 2.0"),
        ("LOW, HIGH = 0.0, 1.0", "LOW, HIGH = 0.1, 1.0"),
        ("relu, sigmoid, tanh", "relu as tanh, sigmoid"),
        ("def squash(v):", "def twice(f):\n    return lambda v: 2 * f(v)\n\n\n@twice\ndef squash(v):"),
    ],
)
def test_an_equation_or_what_it_uses_changes_the_hash(hash_of: Hash, old: str, new: str) -> None:
    assert FILE.count(old) == 1
    assert hash_of(FILE.replace(old, new)) != hash_of(FILE)


def test_a_class_made_inside_a_function_is_told_by_its_whole_file(hash_of: Hash) -> None:
    head, cell = FILE.split("@register_cell")
    made = f"{head}def make():\n{textwrap.indent('@register_cell' + cell, '    ')}\n\nmake()\n"
    assert hash_of(made) == hash_of(made.replace("# a comment", ""))
    assert hash_of(made) != hash_of(made.replace("h = squash(", "h = 2 * squash("))


def test_every_built_in_cell_has_a_hash_of_its_own() -> None:
    infos = [cell_info(name) for name in cell_names()]
    hashes = {cell_source_sha256(info.factory, info.fixed) for info in infos}
    assert len(hashes) == len(cell_names())
    assert all(len(value) == 64 for value in hashes)


def test_a_class_without_a_file_is_refused_with_what_to_do() -> None:
    namespace: dict[str, type] = {}
    exec("from cellwise import Cell\nclass Typed(Cell): ...", {"__name__": "typed_at_a_prompt"}, namespace)
    with pytest.raises(CellwiseError, match=r"has no source file.*cell_modules="):
        cell_source_sha256(namespace["Typed"])
