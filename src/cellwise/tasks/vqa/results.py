"""Answers as a file in VQA's official form: a JSON list of {"question_id": ..., "answer": ...}, one for each question.

Source: https://visualqa.org/evaluation.html, "results format". Such a file is what the challenge's server takes.

Differences: a question that is answered twice is refused. The official script takes the later answer and says nothing.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cellwise.errors import CellwiseError
from cellwise.records.plain import readable

QuestionId = int | str

_NAMED = 3  # ids that an error names; it counts the others


def read_results(path: Path) -> dict[QuestionId, str]:
    """Return the answers of a file, plain or gzipped, by question.

    Raises:
        CellwiseError: a file that can't be read or is of another form; a question that is answered twice.
    """
    listed = read_official_json(path)
    if not isinstance(listed, list):
        raise CellwiseError(f'{path} is not a list; results are [{{"question_id": 1, "answer": "yes"}}, ...]')
    found: list[tuple[QuestionId, str]] = []
    for place, each in enumerate(listed, 1):
        if not isinstance(each, dict) or not is_id(each.get("question_id")) or not isinstance(each.get("answer"), str):
            raise CellwiseError(
                f'{path}: entry {place} is {str(each)[:60]!r}; each is {{"question_id": a number, "answer": "..."}}'
            )
        found.append((each["question_id"], each["answer"]))
    require_once((question for question, _ in found), f"{path}: answered twice")
    return dict(found)


def results_json(answers: Mapping[QuestionId, str]) -> bytes:
    """Return the content of a file of answers by question, one a line."""
    lines = [
        json.dumps({"question_id": question, "answer": readable(answer)}, ensure_ascii=False)
        for question, answer in answers.items()
    ]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def read_official_json(path: Path) -> Any:
    """Return the JSON value of a file, plain or gzipped.

    Raises:
        CellwiseError: a file that is missing, cut or not JSON.
    """
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    except OSError as error:  # of gzip, too, which has no word from the system
        raise CellwiseError(f"can't read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, zlib.error, RecursionError) as error:
        raise CellwiseError(f"{path} is no JSON, plain or gzipped: {' '.join(str(error).split())}") from error


def is_id(value: Any) -> bool:
    """Whether a JSON value can name a question."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def require_once(ids: Iterable[QuestionId], what: str) -> None:
    """Refuse ids that stand twice.

    Raises:
        CellwiseError: some do; the message begins with `what`, counts them and names the first.
    """
    twice = [each for each, count in Counter(ids).items() if count > 1]
    if twice:
        raise CellwiseError(f"{what}: {named(twice)}; each question must stand there once")


def named(ids: Iterable[QuestionId]) -> str:
    """Return how many questions there are and the first of them: `5 questions (1, 2, 3, ...)`."""
    every = list(ids)
    more = ", ..." if len(every) > _NAMED else ""
    return f"{len(every):,} question{'s' * (len(every) != 1)} ({', '.join(map(str, every[:_NAMED]))}{more})"
