"""What a cell *is*, as a hash: its class and what the class uses of its own module, without comments and docstrings.

A run's name holds this hash, so editing an equation makes a new run, and rewording a comment does not.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from pathlib import Path

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError


def cell_source_sha256(factory: type[Cell]) -> str:
    """Return the sha256 of a cell's code.

    Args:
        factory: the cell's class.

    Raises:
        CellwiseError: the class has no source file (typed into a prompt).
    """
    try:
        path = inspect.getsourcefile(factory)
        text = Path(path).read_text(encoding="utf-8") if path else None
    except (TypeError, OSError):
        text = None
    if text is None:
        module = sys.modules.get(factory.__module__)
        raise CellwiseError(
            f"cell class {factory.__name__!r} of {module.__name__ if module else factory.__module__!r} has no source "
            "file, so its runs could not be told apart; put it into a .py file and give cell_modules=[that file]"
        )
    return hashlib.sha256(_canonical(text, factory.__name__).encode()).hexdigest()


def _canonical(text: str, class_name: str) -> str:
    """The class and, transitively, the module-level definitions that it names, as normalised code."""
    definitions: dict[str, ast.stmt] = {}
    for node in ast.parse(text).body:
        for name in _defined(node):
            definitions[name] = node
    kept: list[ast.stmt] = []
    waiting = [class_name]
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in definitions:
            continue
        seen.add(name)
        if definitions[name] not in kept:
            kept.append(definitions[name])
            waiting += sorted(_used(definitions[name]))
    kept.sort(key=lambda node: node.lineno)
    return "\n".join(ast.unparse(_without_prose(node)) for node in kept)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [t.id for t in node.targets if isinstance(t, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _used(node: ast.stmt) -> set[str]:
    # Decorators hold the registry entry (paper, differences): prose, not equations.
    body = node.body if isinstance(node, ast.ClassDef | ast.FunctionDef) else [node]
    return {n.id for part in body for n in ast.walk(part) if isinstance(n, ast.Name)}


def _without_prose(node: ast.stmt) -> ast.stmt:
    for part in ast.walk(node):
        if isinstance(part, ast.ClassDef | ast.FunctionDef):
            part.decorator_list = []
            if ast.get_docstring(part, clean=False) is not None:
                part.body = part.body[1:] or [ast.Pass()]
    return node
