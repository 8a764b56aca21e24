"""Images in a folder or a tar: found by name, decoded once into one array on disk, then mapped.

An image has the name that questions call it by: its path below the folder, its file's name, or that without the ending;
or COCO's number, with which its file's name ends. The array is kept in the cache folder under the checksum of the files
and the size that they are reduced to. It is written beside its place and moved there whole, so a run that is killed
leaves nothing that could be taken for data, and of two runs that write the same one, one wins.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import tarfile
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from cellwise.data.cache import made_whole
from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.files import content_sha256
from cellwise.tasks.vqa.images import PixelImages, sha256_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")

_LAYOUT = 1  # of what is in the cache; another number, another place
_PIXELS, _INDEX = "pixels.uint8", "index.json"
_AMBIGUOUS = ""
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombWarning)


@dataclass(frozen=True)
class ImageFiles:
    """The images of a folder, or of a tar (also compressed).

    Attributes:
        path: of it.
        below: only what is below this folder of it counts, and is named from there.
    """

    path: Path
    below: str = ""
    _names: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def names(self) -> list[str]:
        """Return the path of every image, sorted.

        Raises:
            CellwiseError: it can't be read.
        """
        if not self._names:
            self._names.extend(sorted(name for name in self._all() if name.lower().endswith(SUFFIXES)))
        return self._names

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of some files, in whatever order they lie there.

        Raises:
            CellwiseError: one can't be read.
        """
        try:
            if self.path.is_dir():
                for name in names:
                    yield name, (self.path / self.below / name).read_bytes()
                return
            wanted = set(names)
            with tarfile.open(self.path) as tar:
                for member in tar:
                    name = self._named(member.name)
                    if member.isfile() and name in wanted:
                        opened = tar.extractfile(member)
                        assert opened is not None
                        yield name, opened.read()
        except (OSError, tarfile.TarError, EOFError) as error:
            raise _unreadable(self.path, error) from error

    def _all(self) -> list[str]:
        try:
            if self.path.is_dir():
                folder = self.path / self.below
                return [each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()]
            with tarfile.open(self.path) as tar:
                return [self._named(member.name) for member in tar if member.isfile()]
        except (OSError, tarfile.TarError, EOFError) as error:
            raise _unreadable(self.path, error) from error

    def _named(self, member: str) -> str:
        # Archives made with `tar c .` put "./" before every name.
        return member.removeprefix("./").removeprefix(self.below)


def by_name(files: Sequence[str]) -> Callable[[str], str | None]:
    """Return what finds an image by its path, its file's name or that without the ending, in this order.

    It gives None for a name that no file has, and "" for one that several have.
    """
    known = {name: name for name in files}
    for part in ("name", "stem"):
        met: dict[str, str] = {}
        for name in files:
            key = getattr(PurePosixPath(name), part)
            met[key] = _AMBIGUOUS if key in met else name
        known = {**met, **known}
    return known.get


def by_number(files: Sequence[str]) -> Callable[[str], str | None]:
    """Return what finds an image by COCO's number: ``COCO_train2014_000000000025.jpg`` is 25, of whatever split."""
    known: dict[str, str] = {}
    for name in files:
        digits = re.search(r"[0-9]+$", PurePosixPath(name).stem)
        if digits:
            key = str(int(digits[0]))
            known[key] = _AMBIGUOUS if key in known else name
    return known.get


def read_images(
    files: ImageFiles, wanted: Collection[str], size: tuple[int, int], kept: Path, *, redistributable: bool
) -> tuple[PixelImages, dict[str, str]]:
    """Return images by the path that they have among the files, and why others could not be read.

    Args:
        files: the folder or tar.
        wanted: paths, of `files.names()`.
        size: height and width that each is reduced or enlarged to.
        kept: the cache folder.
        redistributable: whether the data's owner allows them to be passed on.

    Raises:
        CellwiseError: the folder can't be read, or the cache can't be written.
    """
    names = sorted(wanted)
    checksum = hashlib.sha256(
        f"{_LAYOUT} {size} {files.below} {content_sha256(files.path, kept)} {names}".encode()
    ).hexdigest()
    place = kept / checksum[:32]
    if not (place / _INDEX).is_file():
        _keep(place, files, names, size)
    index = json.loads((place / _INDEX).read_text())
    stored = _mapped(place, (len(names), *size, 3))
    rows = {name: row for row, name in enumerate(names)}
    return PixelImages(stored, rows, index["sha256"], redistributable), index["bad"]


def pixels_of(content: bytes, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return an image, uint8 (height, width, 3): upright, on white where it is transparent, smoothly reduced.

    Raises:
        OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombWarning: it is damaged.
    """
    height, width = size
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with _opened(content) as opened:
            opened.draft("RGB", (2 * width, 2 * height))  # a JPEG is decoded at the least size that is large enough
            image = ImageOps.exif_transpose(opened)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)  # averages over all that it reduces
    return np.asarray(image)


def _opened(content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise OSError("it is of no known kind of picture") from error  # theirs names an object in memory


def _keep(place: Path, files: ImageFiles, names: Sequence[str], size: tuple[int, int]) -> None:
    """Decode images into the cache."""
    row = {name: number for number, name in enumerate(names)}
    bad: dict[str, str] = {}
    with made_whole(place, _INDEX) as made:
        with (made / _PIXELS).open("wb") as out:
            out.truncate(len(names) * size[0] * size[1] * 3)
            for name, content in files.contents(names):
                try:
                    pixels = pixels_of(content, size)
                except DAMAGED as error:
                    bad[name] = " ".join(str(error).split())
                    continue
                out.seek(row[name] * pixels.size)
                out.write(pixels.tobytes())
            out.flush()
            os.fsync(out.fileno())
        checksum = sha256_of(_mapped(made, (len(names), *size, 3)))
        (made / _INDEX).write_text(json.dumps({"sha256": checksum, "bad": bad}))


def _mapped(place: Path, shape: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    return np.memmap(place / _PIXELS, np.uint8, mode="r", shape=shape) if shape[0] else np.empty(shape, np.uint8)


def _unreadable(path: Path, error: BaseException) -> CellwiseError:
    reason = getattr(error, "strerror", None) or error
    return CellwiseError(f"cannot read the images of {path}: {reason}; give a folder of images, or a tar of them")
