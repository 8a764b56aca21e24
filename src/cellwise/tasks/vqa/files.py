"""Where files of the user's own lie, what they hold, and where what is made of them is kept.

A checksum of gigabytes takes a minute, and every run of a sweep asks for it. So it is kept beside the decoded images,
under names, sizes and times of change of all files; one that was changed within the last seconds is not trusted.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cellwise.data.cache import cache_folder, writing_into
from cellwise.data.get import data_folder
from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.tasks.vqa.data_settings import ImageQa, VqaV2
from cellwise.tasks.vqa.sources import DATA_SETS

_SETTLED_S = 5  # a file that was changed later may be changed again without another time of change
_FILES_OF: Mapping[type, tuple[str, ...]] = {
    VqaV2: (
        *("train_questions", "train_annotations", "valid_questions", "valid_annotations"),
        *("test_questions", "test_annotations", "images", "features"),
    ),
    ImageQa: ("path", "images"),
}


class Place(NamedTuple):
    """A file or folder that the settings name.

    Attributes:
        text: as it was typed.
        path: where it is.
        in_data_folder: whether it was found there.
    """

    text: str
    path: Path
    in_data_folder: bool


def named_files(settings: VqaV2 | ImageQa, data_dir: str | None) -> dict[str, list[Place]]:
    """Return where everything is that the settings name, by key; one that is not set is left out.

    Raises:
        CellwiseError: something is nowhere.
    """
    found = {}
    for key in _FILES_OF[type(settings)]:
        value = getattr(settings, key)
        texts = value if isinstance(value, tuple) else (value,) if value else ()
        if texts:
            found[key] = [_place(text, key, data_dir) for text in texts]
    return found


def require_planned(settings: VqaV2 | ImageQa, files: Mapping[str, Sequence[Place]]) -> None:
    """Refuse other files than those that were planned.

    Raises:
        CellwiseError: their checksum is another one.
    """
    if settings.sha256 is None:
        return
    checksum = checksum_of(settings, files)
    if checksum != settings.sha256:
        raise CellwiseError(
            f"the files of data={settings.name} are not those that were planned: sha256 {checksum}, planned "
            f"{settings.sha256}; restore them, or leave data.sha256 out for a new run"
        )


def checksum_of(settings: VqaV2 | ImageQa, files: Mapping[str, Sequence[Place]]) -> str:
    """Return the checksum of all files that the settings name, as they lie there.

    Raises:
        CellwiseError: one can't be read.
    """
    kept = cache_folder(settings.cache_dir, "vqa")
    content = [f"{key} {content_sha256(place.path, kept)}" for key, places in files.items() for place in places]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def content_sha256(path: Path, kept: Path) -> str:
    """Return the checksum of a file, or of all files below a folder with their names there.

    Args:
        path: of the file or folder.
        kept: the cache folder.

    Raises:
        CellwiseError: something can't be read.
    """
    try:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        stats = [(file, file.stat()) for file in files]
    except OSError as error:
        raise CellwiseError(f"cannot read {path}: {error.strerror or error}") from error
    seen = hashlib.sha256(os.path.abspath(path).encode())
    for file, stat in stats:
        seen.update(f"\0{file.relative_to(path)}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    known = kept / "checksums" / seen.hexdigest()[:32]
    if known.is_file():
        return known.read_text()
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path).as_posix()}\0{_sha256(file)}\n".encode())
    found = digest.hexdigest()
    if all(stat.st_mtime < time.time() - _SETTLED_S for _, stat in stats):
        _keep(known, found)
    return found


def _place(text: str, key: str, data_dir: str | None) -> Place:
    own = Path(text).expanduser()
    known = data_folder(data_dir) / own
    for path, inside in ((known, not own.is_absolute()), (own, False)):
        for each in (path, path.with_name(f"{path.name}.gz")):
            if each.exists():
                return Place(text, each, inside)
    fetched = {file.path: name for name, dataset in DATA_SETS.items() for file in dataset.files}
    nor = "" if own.is_absolute() else f", nor {known}"
    get = f", or type `cellwise data get {fetched[str(own)]}`" if str(own) in fetched else ""
    raise CellwiseError(f"no {own}{nor} (or .gz); give data.{key}=...{get}")


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise CellwiseError(f"cannot read {file}: {error.strerror or error}") from error


def _keep(path: Path, content: str) -> None:
    with writing_into(path.parent):
        write_atomically(path, content)
