"""Texts as they are read: official sets verified, the user's own understood or refused in one line."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cellwise.data.get import check
from cellwise.errors import CellwiseError
from cellwise.tasks.language.sources import OFFICIAL, letters_only, read_official, read_own

SPLITS = {"train.txt": "a b\n", "valid.txt": "b\n", "test.txt": "a\n"}


def refusal(path: Path) -> str:
    with pytest.raises(CellwiseError) as error:
        read_own(str(path))
    message = str(error.value)
    assert "\n" not in message
    return message


def test_every_official_set_says_where_it_comes_from_and_what_it_must_be() -> None:
    for name, official in OFFICIAL.items():
        dataset = official.dataset
        assert dataset.name == name
        assert dataset.licence
        assert re.match("https?://", dataset.address)
        assert len(dataset.files) in (1, 3)
        for file in dataset.files:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert (file.member == "") == (dataset.archive == "plain")
        assert official.tokens["word"]
        assert official.types["word"]


@pytest.mark.parametrize("name", sorted(OFFICIAL))
@pytest.mark.skipif("CELLWISE_DATA" not in os.environ, reason="the publishers' own files, in CELLWISE_DATA")
def test_the_publishers_files_have_the_declared_checksums(name: str) -> None:
    dataset = OFFICIAL[name].dataset
    assert len(check(dataset, Path(os.environ["CELLWISE_DATA"]))) == len(dataset.files)


def test_an_official_text_is_read_in_its_layout_and_verified(tmp_path: Path) -> None:
    contents = {"train": b" a <unk> \n b\n", "valid": b" b \n", "test": b" a \n"}
    official = OFFICIAL["ptb"]
    files = tuple(
        replace(file, sha256=hashlib.sha256(contents[split]).hexdigest())
        for split, file in zip(contents, official.dataset.files, strict=True)
    )
    official = replace(official, dataset=replace(official.dataset, files=files))
    (tmp_path / "ptb").mkdir()
    for split, content in contents.items():
        (tmp_path / f"ptb/ptb.{split}.txt.gz").write_bytes(gzip.compress(content))
    raw = read_official(official, tmp_path)
    assert dict(raw.parts) == {split: content.decode() for split, content in contents.items()}
    assert raw.checksums == {file.path: file.sha256 for file in files}
    assert raw.mark_line_ends
    (tmp_path / "ptb/ptb.valid.txt.gz").write_bytes(gzip.compress(b" a \n"))
    with pytest.raises(CellwiseError, match=r"ptb\.valid\.txt\.gz is altered.*cellwise data get ptb"):
        read_official(official, tmp_path)


def test_the_time_machine_is_cleaned_line_by_line(tmp_path: Path) -> None:
    content = b"The Time Machine, by H. G. Wells [1898]\n\n\n'I'\nwas expounding -- it.\n"
    official = OFFICIAL["timemachine"]
    file = replace(official.dataset.files[0], sha256=hashlib.sha256(content).hexdigest())
    official = replace(official, dataset=replace(official.dataset, files=(file,)))
    (tmp_path / "timemachine").mkdir()
    (tmp_path / "timemachine/timemachine.txt").write_bytes(content)
    raw = read_official(official, tmp_path)
    assert raw.parts == {"text": "the time machine by h g wells\n\n\ni\nwas expounding it\n"}
    assert not raw.mark_line_ends


def test_letters_only_keeps_no_accents_digits_or_outer_blanks() -> None:
    assert letters_only("  Café, 1898: the END!\n") == "caf the end"


def test_ones_own_file_is_one_text(tmp_path: Path) -> None:
    content = "\ufeffça va\r\noui\rnon\n".encode()
    (tmp_path / "own.txt").write_bytes(content)
    raw = read_own(str(tmp_path / "own.txt"))
    assert raw.parts == {"text": "ça va\noui\nnon\n"}
    assert raw.checksums == {"own.txt": hashlib.sha256(content).hexdigest()}
    assert raw.mark_line_ends


def test_ones_own_folder_has_three_splits_plain_or_gzipped(tmp_path: Path) -> None:
    for name, text in SPLITS.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "test.txt").write_text("plain comes first\n")
    raw = read_own(str(tmp_path))
    assert raw.parts == {"train": "a b\n", "valid": "b\n", "test": "plain comes first\n"}
    assert set(raw.checksums) == set(SPLITS)


def test_a_folder_without_a_split_says_which_and_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a b\n")
    message = refusal(tmp_path)
    assert "lacks valid.txt, test.txt;" in message
    assert "needs train.txt, valid.txt and test.txt" in message


def test_nothing_there_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.txt").startswith(f"no text at {tmp_path}/absent.txt; give")


@pytest.mark.parametrize("content", [b"", b" \n\t\n\r\n", b"\xef\xbb\xbf\n"])
def test_empty_text_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.txt").write_bytes(content)
    assert "own.txt is empty" in refusal(tmp_path / "own.txt")


def test_text_that_is_not_utf8_is_refused_with_the_position(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_bytes("abc café".encode("latin-1"))
    message = refusal(tmp_path / "own.txt")
    assert "byte 0xe9 at position 7" in message
    assert "iconv" in message


def test_a_truncated_gzip_of_ones_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.txt.gz").write_bytes(gzip.compress(b"a b c\n")[:-5])
    assert "truncated" in refusal(tmp_path / "own.txt.gz")


def test_listing_data_sets_and_reading_text_import_no_torch() -> None:
    code = (
        "import sys; import cellwise.tasks.language.corpus, cellwise.tasks.language.floors; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
