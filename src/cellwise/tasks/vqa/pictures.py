"""The pictures that questions are about: looked for by name, decoded, and told why not where that fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from cellwise.tasks.vqa.assemble import Found
from cellwise.tasks.vqa.image_files import ImageFiles, read_images

Naming = Callable[[Sequence[str]], Callable[[str], str | None]]


def find_pictures(
    files: ImageFiles,
    names: Collection[str],
    naming: Naming,
    size: tuple[int, int],
    kept: Path,
    *,
    redistributable: bool,
) -> Found:
    """Return the pictures that questions call by these names.

    Args:
        files: the folder or tar; listed once, whatever the number of splits.
        names: that questions give.
        naming: `by_name` or `by_number`.
        size: height and width that a picture is brought to.
        kept: the cache folder.
        redistributable: whether the data's owner allows them to be passed on.

    Raises:
        CellwiseError: the folder can't be read, or the cache can't be written.
    """
    find = naming(files.names())
    file_of = {name: find(name) for name in names}
    bad = {
        name: f"is not in {files.path}" if file is None else f"several files of {files.path} could be"
        for name, file in file_of.items()
        if not file
    }
    wanted = {file for file in file_of.values() if file}
    images, broken = read_images(files, wanted, size, kept, redistributable=redistributable)
    bad |= {name: f"can't be read ({broken[file]})" for name, file in file_of.items() if file in broken}
    # Several names may be one file's: by its path and without the ending.
    return Found(replace(images, rows={name: images.rows[file] for name, file in file_of.items() if file}), bad)
