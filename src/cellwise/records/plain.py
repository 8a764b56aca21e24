"""Dataclasses to plain JSON values and back, checked against their own type hints.

JSON knows no NaN and no infinity: a ``float`` that is not finite is written as ``null`` and read as NaN.
An array is written as ``{"array": key}`` and goes, under that key, into a separate mapping of arrays.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cellwise.errors import CellwiseError


def to_plain(value: Any, arrays: dict[str, np.ndarray] | None = None, key: str = "") -> Any:
    """Return ``value`` as JSON values; arrays found inside are put into ``arrays`` under the path to them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_plain(getattr(value, f.name), arrays, f"{key}.{f.name}" if key else f.name)
            for f in dataclasses.fields(value)
        }
    if isinstance(value, np.ndarray):
        if arrays is None:
            raise TypeError(f"{key}: arrays are not allowed here")
        arrays[key] = value
        return {"array": key}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v, arrays, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(v, arrays, f"{key}.{i}") for i, v in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_plain(hint: Any, value: Any, where: str, arrays: Mapping[str, np.ndarray] | None = None) -> Any:
    """Return ``value`` read as the type ``hint``.

    Keys that the type does not know are passed over, so that a newer minor version stays readable.

    Raises:
        CellwiseError: one line naming the place (``where``), what was found and what is expected.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _read_dataclass(hint, value, where, arrays)
    if origin is Literal:
        if value not in arguments:
            raise CellwiseError(f"{where}: {value!r} is not allowed; allowed: {', '.join(map(str, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _read_union(arguments, value, where, arrays)
    if origin is not None:
        return _read_container(origin, arguments, value, where, arrays)
    return _read_scalar(hint, value, where)


def read_json(path: Path) -> Any:
    """Return the JSON value of a file.

    Raises:
        CellwiseError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # the last of a file that is nothing but brackets
        raise CellwiseError(f"{path}: not readable as JSON ({type(error).__name__}: {error})") from error


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a nested configuration's values by dotted key."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def readable(text: str) -> str:
    """Return text that can be written as UTF-8: JSON and the names of files may hold halves of characters."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def as_json(value: Any) -> bytes:
    """Return strict JSON with a stable layout, ending in a newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _mismatch(where: str, expected: str, value: Any) -> CellwiseError:
    return CellwiseError(f"{where}: expected {expected}, found {str(value)[:60]!r}")


@cache
def _hints(cls: Any) -> dict[str, Any]:
    """The types of a dataclass's fields; to resolve them costs as much as to read it."""
    return typing.get_type_hints(cls)


def _read_dataclass(cls: Any, value: Any, where: str, arrays: Mapping[str, np.ndarray] | None) -> Any:
    if not isinstance(value, dict):
        raise _mismatch(where, "an object", value)
    hints = _hints(cls)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.name in value:
            place = f"{where}: {field.name}" if ": " not in where else f"{where}.{field.name}"
            found[field.name] = from_plain(hints[field.name], value[field.name], place, arrays)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise CellwiseError(f"{where}: {field.name!r} is missing")
    try:
        return cls(**found)
    except ValueError as error:  # the type's own rules (shapes, ranges)
        raise CellwiseError(f"{where}: {error}") from error


def _read_container(
    origin: Any,
    arguments: tuple[Any, ...],
    value: Any,
    where: str,
    arrays: Mapping[str, np.ndarray] | None,
) -> Any:
    if origin is np.ndarray:
        if not isinstance(value, dict) or arrays is None or value.get("array") not in arrays:
            raise _mismatch(where, "the key of a stored array", value)
        return arrays[value["array"]]
    if origin is tuple:
        if not isinstance(value, list):
            raise _mismatch(where, "a list", value)
        return tuple(from_plain(arguments[0], v, f"{where}[{i}]", arrays) for i, v in enumerate(value))
    if not isinstance(value, dict):
        raise _mismatch(where, "an object", value)
    return {str(k): from_plain(arguments[1], v, f"{where}.{k}", arrays) for k, v in value.items()}


def _read_union(options: tuple[Any, ...], value: Any, where: str, arrays: Mapping[str, np.ndarray] | None) -> Any:
    if value is None and type(None) in options:
        return None
    refusals = []
    for option in options:
        if option is type(None):
            continue
        try:
            return from_plain(option, value, where, arrays)
        except CellwiseError as error:
            refusals.append(error)
    raise refusals[0]


def _read_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float:
        if value is None:
            return math.nan
        if isinstance(value, float):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
            return float(value)
        raise _mismatch(where, "a number", value)
    if hint is str and isinstance(value, str):
        return readable(value)
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    names = {str: "text", int: "a whole number", bool: "true or false"}
    raise _mismatch(where, names.get(hint, str(hint)), value)
