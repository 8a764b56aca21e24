"""Files are there whole or not at all; where there is no room for a copy, a small one is replaced in its own place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cellwise import files
from cellwise.files import write_atomically, write_without_room


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can be written anew."""

    def full(path: Path, content: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_atomically", full)


def test_a_write_that_fails_leaves_the_file_and_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text("before")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output error") as raised:
        write_atomically(tmp_path / "run.json", "after")
    assert raised.value.filename == str(tmp_path / "run.json")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_text() == "before"


@pytest.mark.parametrize("content", ["short", "longer than what was there before"])
@pytest.mark.usefixtures("no_room")
def test_without_room_for_a_copy_a_small_file_is_replaced_in_its_place(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("what was there before")
    write_without_room(tmp_path / "run.json", content)
    assert (tmp_path / "run.json").read_text() == content


@pytest.mark.usefixtures("no_room")
def test_without_room_in_its_place_either_the_file_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("what was there before")
    with pytest.raises(OSError, match="No space left on device"):
        write_without_room(tmp_path / "run.json", "x" * 2**16)
    assert (tmp_path / "run.json").read_text() == "what was there before"
