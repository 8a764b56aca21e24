"""A table of questions kept as it was read: VQA v2's JSON takes ten seconds and gigabytes to read, a table a tenth.

It is kept in the cache folder under the checksum of the files that it was read from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from cellwise.data.cache import writing_into
from cellwise.files import write_atomically
from cellwise.tasks.vqa.files import content_sha256
from cellwise.tasks.vqa.table import Bad, QuestionTable

_LAYOUT = 1  # of what is in the cache; another number, another place


def kept_table(files: Sequence[Path], kept: Path, read: Callable[[], QuestionTable]) -> QuestionTable:
    """Return a table out of the cache, or as it is read, and then into the cache.

    Args:
        files: that it is read from.
        kept: the cache folder.
        read: reads it.

    Raises:
        CellwiseError: as `read`; or the cache can't be written.
    """
    # Paths, too: they are in what is said of bad questions.
    content = [f"{path.absolute()} {content_sha256(path, kept)}" for path in files]
    key = hashlib.sha256("\n".join([str(_LAYOUT), *content]).encode()).hexdigest()
    place = kept / f"table-{key[:32]}.json"
    if place.is_file():
        return _unpacked(place.read_bytes())
    table = read()
    with writing_into(kept):
        write_atomically(place, _packed(table))
    return table


def _packed(table: QuestionTable) -> str:
    """Columns, of which all but ids and texts say the number of one of few values."""
    columns = []
    for column in table.columns():
        number: dict[object, int] = {}
        numbers = [number.setdefault(value, len(number)) for value in column]
        few = len(number) < len(column)
        columns.append([list(number), numbers] if few else [column, None])
    return json.dumps({"columns": columns, "bad": table.bad})


def _unpacked(content: bytes) -> QuestionTable:
    read = json.loads(content)
    table = QuestionTable.empty()
    for column, (values, numbers) in zip(table.columns(), read["columns"], strict=True):
        if values and isinstance(values[0], list):
            once: dict[str, str] = {}
            values = [tuple(once.setdefault(answer, answer) for answer in value) for value in values]
        column.extend(values if numbers is None else [values[number] for number in numbers])
    return table.with_bad([Bad(*each) for each in read["bad"]])
