"""The mirror of films writes one file for each film strip, whole, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from cellwise.records.mirrors.gif import GifMirror
from cellwise.records.schema import View, kind_of


def test_every_film_strip_is_a_file_with_a_frame_for_each_time(
    made_up_views: Callable[[str, int], list[View]], tmp_path: Path
) -> None:
    mirror, views = GifMirror(tmp_path), made_up_views("gru", 0)
    mirror.log({"step": 1})
    for view in views:
        mirror.view(view)
    mirror.close(None)
    [film] = [view for view in views if kind_of(view) == "filmstrip"]
    assert [path.name for path in (tmp_path / "views").iterdir()] == [f"{film.name}.gif"]
    content = (tmp_path / "views" / f"{film.name}.gif").read_bytes()
    with Image.open(io.BytesIO(content)) as opened:
        assert (opened.format, getattr(opened, "n_frames", 1)) == ("GIF", 4)
