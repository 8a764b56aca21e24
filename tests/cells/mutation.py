"""Every single-point mistake in a cell's equations, made from its source.

A mutant changes one expression of the step, or of a function or method of the cell's module that the step uses: another
operator, a term or factor left out, another nonlinearity or none, another gate, state or parameter, the old state for
the new value and the new for the old, another number. Expressions that do not run under the cell's options have no
mutants, and neither have conditions: they are about options, which have references of their own.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any

from cellwise.cells import activations
from cellwise.cells.contract import Cell
from tests.cells.replacements import Scope, replacements

Seen = Callable[[int, Any], Any]


@dataclass(frozen=True)
class _Function:
    """One function that computes a cell's equations; `site` numbers its expressions in reading order."""

    name: str
    tree: ast.FunctionDef
    method: bool
    scope: Scope

    def code(self) -> CodeType:
        module = ast.fix_missing_locations(ast.Module(body=[self.tree], type_ignores=[]))
        return compile(module, f"<mutant of {self.name}>", "exec")


@dataclass(frozen=True)
class Mutant:
    """A cell's functions with one expression changed; `name` is the changed statement."""

    name: str
    functions: tuple[_Function, ...]


def mutants(cell: Cell, run: Callable[[], object]) -> list[Mutant]:
    """Return the mutants of a cell, each once.

    Args:
        cell: a cell that `run` uses.
        run: runs the cell, so that the expressions that its options leave out are known.
    """
    functions = _functions_of(cell)
    found: dict[str, Mutant] = {}
    for place, function in enumerate(functions):
        for site in sorted(_executed(cell, functions, place, run)):
            for number in range(_alternatives(function, site)):
                change = _Change(function.scope, site, number)
                tree = change.visit(copy.deepcopy(function.tree))
                prefix = "" if function.name == "step" else f"{function.name}: "
                changed = (*functions[:place], replace(function, tree=tree), *functions[place + 1 :])
                found.setdefault(prefix + ast.unparse(tree), Mutant(prefix + change.told(), changed))
    return list(found.values())


@contextmanager
def installed(cell: Cell, functions: tuple[_Function, ...], seen: Seen | None = None) -> Iterator[None]:
    """Let the cell compute with these functions."""
    namespace = dict(inspect.unwrap(type(cell).step).__globals__)
    namespace |= {"sigmoid": activations.sigmoid, "tanh": activations.tanh, "relu": activations.relu, "_seen": seen}
    before = dict(vars(cell))
    for function in functions:
        made: dict[str, Any] = {}
        exec(function.code(), namespace, made)
        if function.method:
            vars(cell)[function.name] = types.MethodType(made[function.name], cell)
        else:
            namespace[function.name] = made[function.name]
    try:
        yield
    finally:
        vars(cell).clear()
        vars(cell).update(before)


def unchanged(cell: Cell) -> Mutant:
    """Return the cell's own functions, compiled as a mutant's are."""
    return Mutant("", _functions_of(cell))


def _functions_of(cell: Cell) -> tuple[_Function, ...]:
    """The step and what it uses of its own class and module, transitively."""
    scope_of_module = type(cell).step.__globals__
    found: dict[str, _Function] = {}
    waiting = [("step", type(cell).step, True)]
    while waiting:
        name, function, method = waiting.pop()
        if name in found:
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        assert isinstance(tree, ast.FunctionDef)
        tree.decorator_list = []
        found[name] = _Function(name, tree, method, Scope.of(cell, tree, scope_of_module))
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                used = scope_of_module.get(node.id)
                if inspect.isfunction(used) and used.__module__ == type(cell).__module__:
                    waiting.append((node.id, used, False))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                used = getattr(type(cell), node.attr, None)
                if inspect.isfunction(used):
                    waiting.append((node.attr, used, True))
    return tuple(found.values())


def _executed(cell: Cell, functions: tuple[_Function, ...], place: int, run: Callable[[], object]) -> set[int]:
    """The sites of one function that run."""
    seen: set[int] = set()

    def see(site: int, value: Any) -> Any:
        seen.add(site)
        return value

    tree = _Watch().visit(copy.deepcopy(functions[place].tree))
    watched = (*functions[:place], replace(functions[place], tree=tree), *functions[place + 1 :])
    with installed(cell, watched, see):
        run()
    return seen


def _alternatives(function: _Function, site: int) -> int:
    """How many changes there are at a site."""
    change = _Change(function.scope, site, None)
    change.visit(copy.deepcopy(function.tree))
    return change.possible


class _Sites(ast.NodeTransformer):
    """Visits the expressions that compute something, in reading order, and may replace them.

    Left out: conditions, patterns, formatted names, keys of dictionaries, defaults and annotations.
    """

    def __init__(self) -> None:
        self._next = 0
        self._statement: ast.stmt | None = None

    def at(self, site: int, node: ast.expr) -> ast.expr | None:
        """Return what takes the node's place, or None to look inside it."""
        raise NotImplementedError

    def inside(self, site: int, node: ast.expr) -> ast.expr:
        """Return what takes the node's place once its inside was visited."""
        return node

    def visit(self, node: ast.AST) -> Any:
        """Visit one node."""
        if isinstance(node, ast.stmt):
            self._statement = node
        if isinstance(node, ast.JoinedStr | ast.pattern | ast.arguments) or _is_docstring(node):
            return node
        if not isinstance(node, _KINDS) or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            return self._into(node)
        site = self._next
        self._next += 1
        replaced = self.at(site, node)
        if replaced is not None:
            return replaced
        self._into(node)
        return self.inside(site, node)

    def _into(self, node: ast.AST) -> ast.AST:
        """Visit what is inside a node, but for the parts that compute nothing."""
        match node:
            case ast.Call(func=ast.Name()):
                node.args = [self.visit(argument) for argument in node.args]
                node.keywords = [self.visit(keyword) for keyword in node.keywords]
            case ast.Call(func=ast.Attribute() as func):
                func.value = self.visit(func.value)
                node.args = [self.visit(argument) for argument in node.args]
                node.keywords = [self.visit(keyword) for keyword in node.keywords]
            case ast.IfExp():
                node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
            case ast.If():
                node.body = [self.visit(part) for part in node.body]
                node.orelse = [self.visit(part) for part in node.orelse]
            case ast.Match():
                node.cases = [self.visit(case) for case in node.cases]
            case ast.match_case():
                node.body = [self.visit(part) for part in node.body]
            case ast.Dict():
                node.values = [self.visit(value) for value in node.values]
            case ast.comprehension():
                node.iter = self.visit(node.iter)
            case ast.FunctionDef():
                node.body = [self.visit(part) for part in node.body]
            case _:
                self.generic_visit(node)
        return node


class _Watch(_Sites):
    """Makes every site say that it ran."""

    def at(self, site: int, node: ast.expr) -> None:
        return None

    def inside(self, site: int, node: ast.expr) -> ast.expr:
        return ast.Call(ast.Name("_seen", ast.Load()), [ast.Constant(site), node], [])


class _Change(_Sites):
    """Makes the change `number` at one site; None only counts those that are possible."""

    def __init__(self, scope: Scope, site: int, number: int | None):
        super().__init__()
        self._scope, self._site, self._number = scope, site, number
        self._changed: ast.stmt | None = None
        self.possible = 0

    def at(self, site: int, node: ast.expr) -> ast.expr | None:
        if site != self._site:
            return None
        found = replacements(node, self._scope)
        self.possible = len(found)
        self._changed = self._statement
        return None if self._number is None else found[self._number]

    def told(self) -> str:
        """Return the changed statement."""
        assert self._changed is not None
        return ast.unparse(self._changed)


_KINDS = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Subscript, ast.Name, ast.Constant, ast.Attribute, ast.Dict)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
