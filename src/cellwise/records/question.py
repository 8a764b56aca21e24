"""What a study asks: one line, `question.txt` in its folder, so that its page can say it."""

from __future__ import annotations

from pathlib import Path

from cellwise.files import cant_write, write_atomically
from cellwise.records.plain import readable

_FILE = "question.txt"
_MOST_CHARACTERS = 500


def write_question(study: Path, question: str) -> None:
    """Write what a study asks into its folder, which is made if it is missing.

    Raises:
        CellwiseError: the folder can't be written.
    """
    try:
        study.mkdir(parents=True, exist_ok=True)
        write_atomically(study / _FILE, " ".join(question.split()) + "\n")
    except OSError as error:
        raise cant_write(f"the study's folder {study}", error) from error


def read_question(study: Path) -> str | None:
    """Return what a study asks; None where it does not say, as a sweep doesn't."""
    path = study / _FILE
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with open(path, encoding="utf-8", errors="replace") as file:
            text = " ".join(readable(file.read(_MOST_CHARACTERS)).split())
    except OSError:
        return None
    return text or None
