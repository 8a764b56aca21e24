"""NLVR: sentences about an image of three boxes, true or false (Suhr et al. 2017, ACL, aclanthology.org/P17-2034).

A split is a file of one JSON record a line (``sentence``, ``label``, ``identifier``). Each example has six images, the
boxes in every order; the first (``-0``) is used, so an example counts once.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from cellwise.data.get import unpacked
from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.table import Bad, QuestionTable, question_type_of, words_of

_LABELS = ("true", "false")


def read_nlvr(path: Path, places: Mapping[str, Split]) -> dict[Split, QuestionTable]:
    """Return the sentences by split.

    Args:
        path: folder or tar with ``train.json``, ``dev.json``, ``test.json`` anywhere below.
        places: which split each name of one belongs to.

    Raises:
        CellwiseError: it can't be read, or lacks a split.
    """
    files = _json_files(path, places)
    found: dict[Split, QuestionTable] = {split: QuestionTable.empty() for split in ("train", "valid", "test")}
    for name, content in files.items():
        if name in places:
            _read(content, name, f"{name}.json of {path}", found, places[name])
    for split in ("train", "test"):
        if not len(found[split]):
            named = " or ".join(f"{name}.json" for name, place in places.items() if place == split)
            raise CellwiseError(
                f"{path} has no {named} with sentences; it has {', '.join(sorted(files)) or 'none'}: "
                f"give data.{split}=[...] some of them, and data.valid=[...] others or [] (by data.valid_share)"
            )
    return found


def _json_files(path: Path, places: Mapping[str, Split]) -> dict[str, bytes]:
    """Return every JSON file by its name without the ending; the content of those alone that are asked for."""
    try:
        if path.is_dir():
            return {
                each.name.split(".")[0]: unpacked(each) if each.name.split(".")[0] in places else b""
                for each in sorted(path.rglob("*"))
                if each.name.endswith((".json", ".json.gz"))
            }
        found = {}
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isfile() and member.name.endswith(".json"):
                    opened = tar.extractfile(member)
                    assert opened is not None
                    found[PurePosixPath(member.name).stem] = opened.read()
        return found
    except (OSError, tarfile.TarError, EOFError) as error:
        raise CellwiseError(f"cannot read {path} ({error}); give NLVR's folder, or a tar of it") from error


def _read(content: bytes, name: str, called: str, found: dict[Split, QuestionTable], split: Split) -> None:
    bad = []
    table = found[split]
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            text, label, identifier = str(record["sentence"]), str(record["label"]).lower(), str(record["identifier"])
        except (ValueError, KeyError, TypeError) as error:
            bad.append(Bad(f"{called}, line {number},", f"is no record of sentence, label and identifier ({error})"))
            continue
        if label not in _LABELS or not words_of(text):
            bad.append(Bad(f"{called}, line {number},", "has no words" if label in _LABELS else f"is labelled {label}"))
            continue
        table.ids.append(f"{name}-{identifier}")
        table.images.append(f"{name}-{identifier}-0")
        table.texts.append(text)
        table.answers.append((label,))
        table.modes.append(label)
        table.question_types.append(question_type_of(text))
        table.answer_types.append("yes/no")
    found[split] = table.with_bad(bad)
