"""Typed settings out of plain configuration: each value checked before anything runs, each error one line.

A room declares its settings as a frozen dataclass; `parse` fills it from a mapping. Types are `int`, `float`,
`bool`, `str`, `Literal[...]`, any of them with `| None`, tuples of strings or numbers, a number or numbers by name
(`float | Mapping[str, float]`), any values by name, and dataclasses again; bounds come from `bounded`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from cellwise.errors import CellwiseError, unknown

T = TypeVar("T")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def bounded(default: Any = dataclasses.MISSING, *, minimum: float | None = None, below: float | None = None) -> Any:
    """Return a dataclass field with bounds: at least `minimum`, less than `below`."""
    return dataclasses.field(default=default, metadata={"minimum": minimum, "below": below})


def parse(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Return the settings that a mapping holds.

    Args:
        cls: a dataclass.
        values: keys and plain values, as the configuration gives them.
        where: the mapping's own key (`trainer`), or "" at the top.

    Raises:
        CellwiseError: an unknown or missing key, a wrong type, a value out of bounds.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise unknown(f"key in {where!r}" if where else "key", key, fields)
    hints = typing.get_type_hints(cls)
    found = {}
    for name, field in fields.items():
        key = f"{where}.{name}" if where else name
        if name in values:
            found[name] = _checked(values[name], hints[name], field.metadata, key)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise CellwiseError(f"{key} is missing; give {key}=...")
    return cls(**found)


def typed(value: Any) -> str:
    """Return a plain value as it is typed on the command line: true, false, null."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


def _checked(value: Any, hint: Any, bounds: Mapping[str, Any], key: str) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    if value is None:
        if type(None) in options:
            return None
        raise CellwiseError(f"{key} is not set; give {key}=...")
    named = next((typing.get_args(o)[1] for o in options if typing.get_origin(o) is Mapping), None)
    if isinstance(value, Mapping) and named is not None:
        return {str(n): v if named is Any else _typed(v, named, f"{key}.{n}") for n, v in value.items()}
    kind = next(o for o in options if o is not type(None))
    if typing.get_origin(kind) is Mapping:
        raise CellwiseError(f"{key}={value!r} must be values by name, for example {key}={{name:value}}")
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _group(value, kind, key)
    if typing.get_origin(kind) is typing.Literal:
        return _listed(value, typing.get_args(kind), key)
    if typing.get_origin(kind) is tuple:
        each = typing.get_args(kind)[0]
        return _texts(value, key) if each is str else _numbers(value, each, bounds, key)
    return _bounded(_typed(value, kind, key), bounds, key)


def _group(value: Any, kind: type, key: str) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise CellwiseError(f"{key}={value!r} is a group of keys; set one of them, for example {key}.<key>=...")
    return parse(kind, value, key)


def _listed(value: Any, allowed: tuple[Any, ...], key: str) -> Any:
    if value not in allowed:
        raise CellwiseError(f"{key}={value} is not allowed; allowed: {', '.join(map(str, allowed))}")
    return value


def _texts(value: Any, key: str) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(i, str) for i in items):
        raise CellwiseError(f"{key}={value!r} must be a list of texts, for example {key}=[a,b]")
    return tuple(items)


def _numbers(value: Any, kind: Any, bounds: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    """A list of numbers, or one in place of a list of one."""
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        raise CellwiseError(f"{key}=[] must hold a number, for example {key}=[3]")
    return tuple(_bounded(_typed(item, kind, key), bounds, key) for item in items)


def _typed(value: Any, kind: Any, key: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise CellwiseError(f"{key}={value!r} must be {_WORDS[kind]}")
    return value


def _bounded(value: Any, bounds: Mapping[str, Any], key: str) -> Any:
    minimum, below = bounds.get("minimum"), bounds.get("below")
    if minimum is not None and value < minimum:
        raise CellwiseError(f"{key}={value} is too small; it must be {minimum} or more")
    if below is not None and value >= below:
        raise CellwiseError(f"{key}={value} is too large; it must be less than {below}")
    return value
