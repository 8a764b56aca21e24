"""Files of data sets: found, verified, fetched, and every failure told in one line."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cellwise.data.get import DataFile, DataSet, check, data_folder, fetch, find, read_bytes, unpacked
from cellwise.errors import CellwiseError

TRAIN, TEST = b"the cat sat\n" * 500, b"the dog sat\n"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def corpus_at(address: str) -> DataSet:
    files = (
        DataFile("pets/train.txt", sha256(TRAIN), "official/data/train.txt"),
        DataFile("pets/test.txt", sha256(TEST), "official/data/test.txt"),
    )
    return DataSet("pets", "two small files", "public domain", address, files)


def tar_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def zip_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


MEMBERS = {"official/data/train.txt": TRAIN, "official/data/test.txt": TEST}


class Publisher:
    """An official address on this machine; `served` maps a path to what it gives."""

    def __init__(self) -> None:
        self.served: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.missing_bytes = 0
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.requests.append(self.path)
                content = publisher.served.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - publisher.missing_bytes])

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing on the test's terminal."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    publisher = Publisher()
    thread = threading.Thread(target=publisher.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield publisher
    publisher.server.shutdown()
    publisher.server.server_close()
    thread.join()


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def one_line(error: pytest.ExceptionInfo[CellwiseError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_the_folder_is_the_argument_then_the_environment_then_the_users_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("CELLWISE_DATA", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert data_folder("~/mine") == Path("/home/ada/mine")
    assert data_folder(None) == data_folder("") == Path("/data")
    monkeypatch.delenv("CELLWISE_DATA")
    assert data_folder() == Path("/cache/cellwise")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert data_folder() == Path("/home/ada/.cache/cellwise")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_folder() == Path("/home/ada/.cache/cellwise")


def test_a_file_is_found_plain_before_gzipped(tmp_path: Path) -> None:
    assert find("a/b.txt", tmp_path) is None
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.txt.gz").write_bytes(gzip.compress(b"zipped"))
    found = find("a/b.txt", tmp_path)
    assert found is not None
    assert unpacked(found) == b"zipped"
    (tmp_path / "a/b.txt").write_bytes(b"plain")
    assert find("a/b.txt", tmp_path) == tmp_path / "a/b.txt"


@pytest.mark.parametrize("zipped", [False, True])
def test_content_is_the_same_plain_and_gzipped(tmp_path: Path, zipped: bool) -> None:
    dataset = corpus_at("http://127.0.0.1/pets.tgz")
    (tmp_path / "pets").mkdir()
    for file, content in zip(dataset.files, (TRAIN, TEST), strict=True):
        path = tmp_path / (file.path + (".gz" if zipped else ""))
        path.write_bytes(gzip.compress(content) if zipped else content)
    assert read_bytes(dataset, dataset.files[0], tmp_path) == TRAIN
    assert [path.name for path in check(dataset, tmp_path)] == (
        ["train.txt.gz", "test.txt.gz"] if zipped else ["train.txt", "test.txt"]
    )


def test_a_missing_file_says_where_it_was_looked_for_and_what_to_type(tmp_path: Path) -> None:
    dataset = corpus_at("http://127.0.0.1/pets.tgz")
    with pytest.raises(CellwiseError) as error:
        read_bytes(dataset, dataset.files[0], tmp_path)
    assert one_line(error) == (
        f"pets is not in {tmp_path} (looked for pets/train.txt or .gz); type `cellwise data get pets` "
        "or set data_dir/CELLWISE_DATA"
    )


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz"])
def test_one_altered_byte_is_refused_with_both_checksums(tmp_path: Path, name: str) -> None:
    dataset = corpus_at("http://127.0.0.1/pets.tgz")
    altered = b"T" + TRAIN[1:]
    (tmp_path / "pets").mkdir()
    path = tmp_path / "pets" / name
    path.write_bytes(gzip.compress(altered) if name.endswith("gz") else altered)
    with pytest.raises(CellwiseError) as error:
        read_bytes(dataset, dataset.files[0], tmp_path)
    message = one_line(error)
    for part in (str(path), sha256(TRAIN), sha256(altered), "cellwise data get pets"):
        assert part in message


@pytest.mark.parametrize("kept", [0, 5, -10, -4])
def test_a_truncated_gzip_file_is_refused(tmp_path: Path, kept: int) -> None:
    dataset = corpus_at("http://127.0.0.1/pets.tgz")
    (tmp_path / "pets").mkdir()
    path = tmp_path / "pets/train.txt.gz"
    path.write_bytes(gzip.compress(TRAIN)[:kept])
    with pytest.raises(CellwiseError) as error:
        check(dataset, tmp_path)
    message = one_line(error)
    for part in (str(path), f"expected sha256 {sha256(TRAIN)}", "found", "cellwise data get pets"):
        assert part in message


def test_a_file_that_is_no_gzip_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.txt.gz"
    path.write_bytes(b"<html>moved</html>")
    with pytest.raises(CellwiseError, match="truncated or damaged"):
        unpacked(path)


@pytest.mark.parametrize(
    ("address", "content"),
    [
        ("/pets.tgz", tar_of({"./" + name: content for name, content in MEMBERS.items()})),
        ("/pets.tar.gz", tar_of(MEMBERS)),
        ("/pets.zip", zip_of(MEMBERS)),
    ],
    ids=["tgz", "tar.gz", "zip"],  # made of the content, they would hold the time, and workers would disagree
)
def test_fetching_writes_the_named_members_and_nothing_else(
    tmp_path: Path, publisher: Publisher, address: str, content: bytes
) -> None:
    publisher.served[address] = content
    dataset = corpus_at(publisher.address + address)
    seen: list[tuple[int, int | None]] = []
    paths = fetch(dataset, tmp_path / "new", lambda done, total: seen.append((done, total)))
    assert written(tmp_path) == ["new/pets/test.txt", "new/pets/train.txt"]
    assert [path.read_bytes() for path in paths] == [TRAIN, TEST]
    assert seen[-1] == (len(content), len(content))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    ("suffix", "packed"), [(".txt", TEST), (".txt.gz", gzip.compress(TEST))], ids=["plain", "gzipped"]
)
def test_an_address_may_be_the_file_itself(tmp_path: Path, publisher: Publisher, suffix: str, packed: bytes) -> None:
    publisher.served["/one" + suffix] = packed
    file = DataFile("one/one.txt", sha256(TEST))
    dataset = DataSet("one", "one file", "public domain", publisher.address + "/one" + suffix, (file,))
    fetch(dataset, tmp_path)
    assert (tmp_path / "one/one.txt").read_bytes() == TEST


def test_a_file_without_a_known_checksum_is_fetched_once_and_read_as_it_is(
    tmp_path: Path, publisher: Publisher
) -> None:
    publisher.served["/pets.zip"] = zip_of(MEMBERS)
    corpus = corpus_at(f"{publisher.address}/pets.zip")
    unknown = replace(corpus, files=tuple(replace(file, sha256="") for file in corpus.files))
    for _ in range(2):
        fetch(unknown, tmp_path)
    assert publisher.requests == ["/pets.zip"]
    assert read_bytes(unknown, unknown.files[0], tmp_path) == TRAIN
    (tmp_path / "pets/train.txt").unlink()
    (tmp_path / "pets/train.txt.gz").write_bytes(gzip.compress(TRAIN)[:-4])
    with pytest.raises(CellwiseError, match="expected sha256 unknown, found none"):
        check(unknown, tmp_path)


def test_fetching_what_is_there_and_verified_downloads_nothing(tmp_path: Path, publisher: Publisher) -> None:
    publisher.served["/pets.tgz"] = tar_of(MEMBERS)
    dataset = corpus_at(publisher.address + "/pets.tgz")
    assert fetch(dataset, tmp_path) == fetch(dataset, tmp_path)
    assert publisher.requests == ["/pets.tgz"]


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz"])
def test_fetching_repairs_an_altered_file(tmp_path: Path, publisher: Publisher, name: str) -> None:
    publisher.served["/pets.tgz"] = tar_of(MEMBERS)
    dataset = corpus_at(publisher.address + "/pets.tgz")
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets" / name).write_bytes(b"half a file")
    fetch(dataset, tmp_path)
    assert read_bytes(dataset, dataset.files[0], tmp_path) == TRAIN


@pytest.mark.parametrize(
    ("address", "content", "told"),
    [
        ("/pets.tgz", tar_of(MEMBERS | {"official/data/test.txt": b"other"}), sha256(b"other")),
        ("/pets.tgz", tar_of({"official/data/train.txt": TRAIN}), "no 'official/data/test.txt' inside"),
        ("/pets.zip", zip_of({"official/data/train.txt": TRAIN}), "no 'official/data/test.txt' inside"),
        ("/pets.tgz", tar_of(MEMBERS)[:-30], "no readable tar"),
        ("/pets.zip", b"<html>moved</html>", "no readable zip"),
    ],
)
def test_a_wrong_archive_is_refused_and_leaves_nothing(
    tmp_path: Path, publisher: Publisher, address: str, content: bytes, told: str
) -> None:
    publisher.served[address] = content
    with pytest.raises(CellwiseError) as error:
        fetch(corpus_at(publisher.address + address), tmp_path)
    assert told in one_line(error)
    assert written(tmp_path) == []


def test_members_outside_the_folder_are_never_written(tmp_path: Path, publisher: Publisher) -> None:
    publisher.served["/pets.tgz"] = tar_of({"../../escaped.txt": b"x", "/tmp/escaped.txt": b"x"} | MEMBERS)
    fetch(corpus_at(publisher.address + "/pets.tgz"), tmp_path / "deep/folder")
    assert written(tmp_path) == ["deep/folder/pets/test.txt", "deep/folder/pets/train.txt"]


def test_a_link_in_place_of_a_member_is_not_followed(tmp_path: Path, publisher: Publisher) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name in MEMBERS:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(entry)
    publisher.served["/pets.tgz"] = stream.getvalue()
    with pytest.raises(CellwiseError, match="inside"):
        fetch(corpus_at(publisher.address + "/pets.tgz"), tmp_path)


def test_a_connection_that_breaks_is_told_and_leaves_nothing(tmp_path: Path, publisher: Publisher) -> None:
    publisher.served["/pets.tgz"] = tar_of(MEMBERS)
    publisher.missing_bytes = 7
    with pytest.raises(CellwiseError) as error:
        fetch(corpus_at(publisher.address + "/pets.tgz"), tmp_path)
    total = len(publisher.served["/pets.tgz"])
    assert f"the connection broke after {total - 7} of {total} bytes" in one_line(error)
    assert written(tmp_path) == []


def test_no_network_and_no_such_page_say_what_to_do_instead(tmp_path: Path, publisher: Publisher) -> None:
    with pytest.raises(CellwiseError) as error:
        fetch(corpus_at(publisher.address + "/gone.tgz"), tmp_path)
    assert "Not Found" in one_line(error)
    closed = corpus_at("http://127.0.0.1:1/pets.tgz")  # nothing listens on port 1
    with pytest.raises(CellwiseError) as error:
        fetch(closed, tmp_path)
    message = one_line(error)
    for part in (
        "cannot download pets",
        closed.address,
        "refused",
        "pets/train.txt, pets/test.txt",
        "data_dir",
    ):
        assert part in message


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, publisher: Publisher) -> None:
    publisher.served["/pets.tgz"] = tar_of(MEMBERS)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CellwiseError) as error:
        fetch(corpus_at(publisher.address + "/pets.tgz"), tmp_path / "file/folder")
    message = one_line(error)
    assert message.startswith("cannot write pets to ")
    assert "data_dir" in message


def test_a_write_that_is_cut_off_leaves_no_file_behind(
    tmp_path: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.served["/pets.tgz"] = tar_of(MEMBERS)

    def cut_off(source: object, target: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", cut_off)
    with pytest.raises(KeyboardInterrupt):
        fetch(corpus_at(publisher.address + "/pets.tgz"), tmp_path)
    assert written(tmp_path) == []


def test_the_kind_of_archive_is_told_by_the_address() -> None:
    dataset = corpus_at("")
    kinds = {"a.tgz": "tar", "a.tar.xz": "tar", "a.zip": "zip", "a.csv.gz": "gzip", "a.txt": "plain"}
    assert {name: replace(dataset, address=f"https://x/{name}").archive for name in kinds} == kinds
