"""What may be written by mistake in place of one expression of a cell's equations."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cellwise.cells import activations
from cellwise.cells.contract import Cell

NONLINEARITIES = ("sigmoid", "tanh", "relu")

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
}
_METHODS = {"mean": "sum", "sum": "mean", "maximum": "minimum", "minimum": "maximum"}


@dataclass(frozen=True)
class Scope:
    """What the names of one function mean.

    Attributes:
        kinds: names that could be taken for each other: gates, parts, states, parameters, products.
        states: the cell's states.
        arguments: of the step: x, U, s and p by position; empty for other functions.
        local: names that the function gives.
        module: names of its module.
        options: numbers that the cell keeps as attributes, by name.
    """

    kinds: tuple[tuple[str, ...], ...]
    states: tuple[str, ...]
    arguments: tuple[str, ...]
    local: frozenset[str]
    module: Mapping[str, Any]
    options: Mapping[str, float]

    @classmethod
    def of(cls, cell: Cell, tree: ast.FunctionDef, module: Mapping[str, Any]) -> Scope:
        """Return the scope of one function of a cell."""
        parameters = (*cell.extras, *(f"bias_{gate}" for gate in cell.step_biases))
        inner = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda)]
        given = {a.arg for node in inner for a in node.args.args}
        stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        return cls(
            kinds=(cell.gates, tuple(cell.parts), cell.states, parameters, tuple(cell.products)),
            states=cell.states,
            arguments=tuple(a.arg for a in tree.args.args[1:]) if tree.name == "step" else (),
            local=frozenset(given | stored),
            module=module,
            options={name: value for name, value in vars(cell).items() if _is_number(value)},
        )

    def nonlinearity(self, name: str) -> bool:
        """Return whether a name is one of the activations of one argument."""
        value = None if name in self.local else self.module.get(name)
        return value is not None and _is_activation(value) and len(inspect.signature(value).parameters) == 1


def replacements(node: ast.expr, scope: Scope) -> list[ast.expr]:
    """Return what may stand in place of an expression; copies, the expression itself is left alone."""
    match node:
        case ast.BinOp():
            found = _of_operation(node)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = [operand]
        case ast.Call():
            found = _of_call(node, scope)
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))):
            found = _of_lookup(name, key, scope)
        case ast.Constant(value=value):
            found = [ast.Constant(other) for other in _other_constants(value, scope)]
        case ast.Name(id=name):
            found = _of_name(name, scope)
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if name in scope.options:
            found = [ast.Constant(_other_number(scope.options[name]))]
        case ast.Dict():
            found = _of_dictionary(node)
        case _:
            found = []
    return [copy.deepcopy(other) for other in found]


def _of_operation(node: ast.BinOp) -> list[ast.expr]:
    """Another operator, and each side left out."""
    other = _OPERATORS.get(type(node.op))
    if other is None:
        return []
    found: list[ast.expr] = [ast.BinOp(node.left, other(), node.right), node.right, node.left]
    return found[:1] + found[2:] if isinstance(node.op, ast.Div) else found


def _of_call(node: ast.Call, scope: Scope) -> list[ast.expr]:
    """Another nonlinearity or none; another reduction; a method left out; operands joined in another order."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[argument]) if scope.nonlinearity(name):
            others = [other for other in NONLINEARITIES if other != name]
            return [argument, *(_call(other, argument) for other in others)]
        case ast.Call(func=ast.Name(id=name), args=[argument]) if name in scope.local:
            return [argument]
        case ast.Call(func=ast.Name(id="join"), args=arguments):
            return [_call("join", *_swapped(arguments, place)) for place in range(len(arguments) - 1)]
        case ast.Call(func=ast.Name(id=name), args=arguments) if _is_activation(scope.module.get(name)):
            return list(arguments)
        case ast.Call(func=ast.Attribute(value=value, attr=name)):
            found: list[ast.expr] = [] if node.args or node.keywords else [value]
            if name in _METHODS:
                found.append(
                    ast.Call(ast.Attribute(value, _METHODS[name], ast.Load()), list(node.args), list(node.keywords))
                )
            return found
        case _:
            return []


def _of_lookup(name: str, key: str, scope: Scope) -> list[ast.expr]:
    """A state's new value for its old one; the input's share alone where the recurrent product was added."""
    found: list[ast.expr] = []
    if scope.arguments and name == scope.arguments[2] and key in scope.local:
        found.append(ast.Name(key, ast.Load()))
    if scope.arguments and name not in scope.arguments and key in scope.kinds[0]:
        found.append(_lookup(scope.arguments[0], key))
    return found


def _of_name(name: str, scope: Scope) -> list[ast.expr]:
    """A state's old value for its new one; another nonlinearity, where one is handed on; another constant."""
    if name in scope.local:
        return [_lookup(scope.arguments[2], name)] if scope.arguments and name in scope.states else []
    value: Any = scope.module.get(name)
    if _is_number(value):
        return [ast.Constant(_other_number(value))]
    if scope.nonlinearity(name):
        return [ast.Name(other, ast.Load()) for other in NONLINEARITIES if other != name]
    return []


def _of_dictionary(node: ast.Dict) -> list[ast.expr]:
    """Neighbours under each other's name."""
    return [ast.Dict(list(node.keys), _swapped(node.values, place)) for place in range(len(node.values) - 1)]


def _other_constants(value: object, scope: Scope) -> list[Any]:
    """Another name of the same kind; another number."""
    if isinstance(value, str):
        return sorted({other for kind in scope.kinds if value in kind for other in kind} - {value})
    if isinstance(value, bool):
        return [not value]
    return [_other_number(value)] if isinstance(value, int | float) else []


def _other_number(value: float) -> float:
    return value + 1 if isinstance(value, int) else 2 * value or 1.0


def _swapped(values: list[ast.expr], place: int) -> list[ast.expr]:
    return [*values[:place], values[place + 1], values[place], *values[place + 2 :]]


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def _lookup(name: str, key: str) -> ast.Subscript:
    return ast.Subscript(ast.Name(name, ast.Load()), ast.Constant(key), ast.Load())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_activation(value: object) -> bool:
    return inspect.isfunction(value) and value.__module__ == activations.__name__
