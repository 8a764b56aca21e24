"""Find, verify and fetch the files of a data set.

A data set is declared by its task: official address, licence, and per file its place under the data folder
and the SHA-256 of its content. Nothing is handed out unverified, but for files whose checksum nobody has published:
those are declared without one, and the task compares their counts. A file may lie there plain or gzipped; the checksum
is always that of the uncompressed bytes, the form the publisher gives.

Every error is one line that says what was found, what was expected and what to type.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import ssl
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from cellwise.data.cache import user_cache
from cellwise.errors import CellwiseError
from cellwise.files import write_atomically

Progress = Callable[[int, int | None], None]
"""Called with (bytes done, bytes in total or None when the server does not say)."""

Archive = Literal["tar", "zip", "gzip", "plain"]

_SUFFIXES: tuple[tuple[str, Archive], ...] = (
    (".tgz", "tar"),
    (".tar.gz", "tar"),
    (".tar.xz", "tar"),
    (".tar", "tar"),
    (".zip", "zip"),
    (".gz", "gzip"),
)
_CHUNK_BYTES = 1 << 16
_TIMEOUT_S = 30
# Not OSError: a full disk is no broken connection.
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError)


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        path: relative to the data folder, for example ``"ptb/ptb.train.txt"``.
        sha256: of the uncompressed content; empty where none is known.
        member: its name inside the archive at the official address; empty when the address is the file.
    """

    path: str
    sha256: str
    member: str = ""


@dataclass(frozen=True)
class DataSet:
    """A data set as its publisher gives it.

    Attributes:
        name: what is typed in ``data=NAME`` and ``cellwise data get NAME``.
        description: one line.
        licence: in words; says when redistribution is not allowed.
        address: the official address, of an archive or of the one file.
        files: the files the task reads.
        redistributable: whether samples of it may be passed on; as the licence says.
    """

    name: str
    description: str
    licence: str
    address: str
    files: tuple[DataFile, ...]
    redistributable: bool = True

    @property
    def archive(self) -> Archive:
        """What lies at the address, told by its suffix."""
        return next((kind for suffix, kind in _SUFFIXES if self.address.endswith(suffix)), "plain")


def data_folder(data_dir: str | None = None) -> Path:
    """Return the folder data sets are looked for in; it need not exist.

    Args:
        data_dir: the configuration's ``data_dir``; when empty, the environment's ``CELLWISE_DATA``; when that
            is empty too, ``cellwise`` in the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``).
    """
    named = data_dir or os.environ.get("CELLWISE_DATA")
    return Path(named).expanduser() if named else user_cache()


def find(path: str, folder: Path) -> Path | None:
    """Return where a file lies, plain first, else gzipped (``.gz`` appended), else None."""
    plain = folder / path
    zipped = plain.with_name(plain.name + ".gz")
    return next((candidate for candidate in (plain, zipped) if candidate.is_file()), None)


def unpacked(path: Path) -> bytes:
    """Return a file's content, uncompressed when its name ends in ``.gz``.

    Raises:
        CellwiseError: it cannot be read, or the gzip stream is truncated or damaged.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CellwiseError(f"{path} cannot be uncompressed, it is truncated or damaged ({error})") from error
    except OSError as error:
        raise CellwiseError(f"cannot read {path}: {error.strerror or error}") from error


def read_bytes(dataset: DataSet, file: DataFile, folder: Path) -> bytes:
    """Return the verified, uncompressed content of one file.

    Raises:
        CellwiseError: the file is missing, truncated or altered.
    """
    path = find(file.path, folder)
    remedy = f"type `cellwise data get {dataset.name}`"
    if path is None:
        raise CellwiseError(
            f"{dataset.name} is not in {folder} (looked for {file.path} or .gz); {remedy} or set data_dir/CELLWISE_DATA"
        )
    try:
        content = unpacked(path)
    except CellwiseError as error:
        raise CellwiseError(f"{error}; expected sha256 {file.sha256 or 'unknown'}, found none; {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if file.sha256 and found != file.sha256:
        raise CellwiseError(f"{path} is altered: expected sha256 {file.sha256}, found {found}; {remedy}")
    return content


def is_present(dataset: DataSet, folder: Path) -> bool:
    """Whether every file of a data set lies in the folder; `check` says whether they are unaltered."""
    return all(find(file.path, folder) is not None for file in dataset.files)


def check(dataset: DataSet, folder: Path) -> tuple[Path, ...]:
    """Verify every file of a data set and return where they lie.

    Raises:
        CellwiseError: for the first file that is missing, truncated or altered.
    """
    for file in dataset.files:
        read_bytes(dataset, file, folder)
    return tuple(path for file in dataset.files if (path := find(file.path, folder)))


def fetch(dataset: DataSet, folder: Path, progress: Progress | None = None) -> tuple[Path, ...]:
    """Download a data set from its official address, unless it is in the folder and verified.

    Only the declared files are written, each verified first and then put in place in one step, so a download
    that is cut off leaves nothing that could be taken for data.

    Args:
        dataset: what to fetch.
        folder: the data folder, made when absent.
        progress: called after every piece of the download.

    Returns:
        Where the files lie.

    Raises:
        CellwiseError: no network, a broken download, altered content, or a folder that cannot be written.
    """
    try:
        return check(dataset, folder)
    except CellwiseError:
        pass  # Missing or damaged is what fetching is for.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as download:
            _download(dataset, download, progress)
            contents = [(file, _extract(dataset, file, download)) for file in dataset.files]
        for file, content in contents:
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / file.path, content)
    except OSError as error:
        raise CellwiseError(
            f"cannot write {dataset.name} to {folder}: {error.strerror or error}; set data_dir/CELLWISE_DATA"
        ) from error
    return check(dataset, folder)


def _download(dataset: DataSet, download: IO[bytes], progress: Progress | None) -> None:
    done, total = 0, None
    # Some publishers refuse urllib's own name.
    request = urllib.request.Request(dataset.address, headers={"User-Agent": "cellwise"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            length = response.headers.get("Content-Length")
            total = int(length) if length else None
            while piece := response.read(_CHUNK_BYTES):
                download.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, total)
    except _BROKEN as error:
        reason = getattr(error, "reason", None) or error
        raise _unreachable(dataset, str(reason)) from error
    if total is not None and done != total:  # http.client ends a cut connection without an error
        raise _unreachable(dataset, f"the connection broke after {done} of {total} bytes")


def _unreachable(dataset: DataSet, reason: str) -> CellwiseError:
    paths = ", ".join(file.path for file in dataset.files)
    return CellwiseError(
        f"cannot download {dataset.name} from {dataset.address}: {' '.join(reason.split())}; try again, or "
        f"put the files ({paths}; plain or .gz) into a folder and set data_dir/CELLWISE_DATA"
    )


def _extract(dataset: DataSet, file: DataFile, download: IO[bytes]) -> bytes:
    """Return one file's content out of the download; nothing else of the archive is looked at or written."""
    download.seek(0)
    try:
        content = _member(dataset.archive, file.member, download)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CellwiseError(f"{dataset.address} gave no readable {dataset.archive} archive ({error})") from error
    if content is None:
        raise CellwiseError(f"{dataset.address} has no {file.member!r} inside: the publisher changed the archive")
    found = hashlib.sha256(content).hexdigest()
    if file.sha256 and found != file.sha256:
        raise CellwiseError(
            f"{file.path} from {dataset.address} is altered: expected sha256 {file.sha256}, found {found}"
        )
    return content


def _member(archive: Archive, member: str, download: IO[bytes]) -> bytes | None:
    if archive == "zip":
        with zipfile.ZipFile(download) as opened:
            return opened.read(member) if member in opened.namelist() else None
    if archive == "tar":
        with tarfile.open(fileobj=download) as opened:
            # Archives made with `tar c .` put "./" before every name.
            named = {entry.name.removeprefix("./"): entry for entry in opened if entry.isfile()}
            stream = opened.extractfile(named[member]) if member in named else None
            return stream.read() if stream is not None else None
    return gzip.decompress(download.read()) if archive == "gzip" else download.read()
