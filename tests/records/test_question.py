"""A study's folder says what it asks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.question import read_question, write_question


def test_a_question_is_one_line_and_comes_back(tmp_path: Path) -> None:
    write_question(tmp_path / "new", "Which cell,\n and  why? ")
    assert read_question(tmp_path / "new") == "Which cell, and why?"


def test_a_folder_that_does_not_ask_has_none(tmp_path: Path) -> None:
    assert read_question(tmp_path) is None
    (tmp_path / "question.txt").write_text(" \n")
    assert read_question(tmp_path) is None


def test_what_is_no_text_or_elsewhere_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", tmp_path / "question.txt")
    assert read_question(tmp_path) is None
    (tmp_path / "question.txt").unlink()
    (tmp_path / "question.txt").write_bytes(b"\xff why " * 10_000)
    found = read_question(tmp_path)
    assert found is not None and len(found) <= 500


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CellwiseError, match="can't write the study's folder"):
        write_question(tmp_path / "file" / "study", "Why?")
