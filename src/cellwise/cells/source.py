"""What a cell *is*, as a hash: its class and what the class uses of its own module, without comments and docstrings.

A run's name holds this hash, so editing an equation makes a new run, and rewording a comment does not.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellwise.cells.contract import Cell
from cellwise.errors import CellwiseError


def cell_source_sha256(factory: type[Cell], fixed: Mapping[str, Any] | None = None) -> str:
    """Return the sha256 of a cell's code.

    Args:
        factory: the cell's class.
        fixed: the constructor arguments that make a cell out of a family's class, as the registry holds them.

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
    member = f"\n{sorted(fixed.items())}" if fixed else ""
    return hashlib.sha256((_canonical(text, factory.__qualname__) + member).encode()).hexdigest()


def _canonical(text: str, class_name: str) -> str:
    """The class and, transitively, the module-level code that it names, normalised; a nested class: its whole file."""
    body = [part for node in ast.parse(text).body for part in _one_name_each(node)]
    definitions: dict[str, list[ast.stmt]] = {}
    for node in body:
        for name in _defined(node):
            definitions.setdefault(name, []).append(node)
    waiting = [class_name] if class_name in definitions else list(definitions)
    kept: set[ast.stmt] = set()
    while waiting:
        for node in definitions.pop(waiting.pop(), []):
            if node not in kept:
                kept.add(node)
                _strip_prose(node)
                waiting += _used(node)
    return "\n".join(ast.unparse(node) for node in body if node in kept)


def _one_name_each(node: ast.stmt) -> list[ast.stmt]:
    """Split an import, so that a cell's hash holds the names it uses and not their neighbours."""
    if isinstance(node, ast.Import):
        return [ast.Import([alias]) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [ast.ImportFrom(node.module, [alias], node.level) for alias in node.names]
    return [node]


def _defined(node: ast.stmt) -> set[str]:
    """The names a statement gives at module level: itself, what it imports or assigns, also inside `if` and `try`."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    inside = (part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt))
    return names.union(*(_defined(part) for part in inside))


def _used(node: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _strip_prose(node: ast.stmt) -> None:
    """Drop docstrings, and a class's decorators: they hold the registry entry (paper, differences), no equations."""
    for part in ast.walk(node):
        if isinstance(part, ast.ClassDef):
            part.decorator_list = []
        if (
            isinstance(part, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(part) is not None
        ):
            part.body = part.body[1:] or [ast.Pass()]
