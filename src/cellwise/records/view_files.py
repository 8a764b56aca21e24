"""Views on disk: one file ``<name>.json`` (title, the question it answers, axes with units) and its arrays.

The arrays, where a view has any, lie in one file ``<name>.npz`` beside it.
"""

from __future__ import annotations

import io
import re
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from cellwise.errors import CellwiseError, unknown
from cellwise.files import write_atomically
from cellwise.records.plain import as_json, from_plain, read_json, to_plain
from cellwise.records.views import KINDS, View, kind_of

SCHEMA = 1


def save_view(view: View, folder: Path) -> Path:
    """Write a view into ``folder`` (made if missing) and return the path of its JSON file.

    The arrays are written before the description, each atomically: a view that has its JSON file is complete.

    Raises:
        ValueError: the view's name cannot be a file name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", view.name):
        raise ValueError(f"view name {view.name!r} must be letters, digits, '_', '-' and '.'")
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    plain = {"schema": SCHEMA, "kind": kind_of(view), **to_plain(view, arrays)}
    if arrays:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        write_atomically(folder / f"{view.name}.npz", buffer.getvalue())
    path = folder / f"{view.name}.json"
    write_atomically(path, as_json(plain))
    return path


def load_view(path: Path) -> View:
    """Read the view of a JSON file that ``save_view`` wrote.

    Raises:
        CellwiseError: a file is missing, damaged, of another schema or of an unknown kind.
    """
    plain = read_json(path)
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        raise CellwiseError(f"{path}: not a view of schema {SCHEMA}")
    kind = str(plain.get("kind"))
    if kind not in KINDS:
        raise unknown("view kind", kind, KINDS, f"in {path}")
    view: View = from_plain(KINDS[kind], plain, str(path), _load_arrays(path.with_suffix(".npz")))
    return view


# What numpy and zipfile raise of a file that is cut, altered or no archive at all.
_DAMAGED = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, OverflowError, SyntaxError, TypeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    try:
        # From memory: numpy leaves the file open when it turns out to be damaged.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return dict(stored)
    except _DAMAGED as error:
        raise CellwiseError(f"{path}: not readable as arrays ({error})") from error
