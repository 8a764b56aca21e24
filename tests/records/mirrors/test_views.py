"""Every kind of view as W&B's own media and as TensorBoard's, read back from what was written."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from cellwise.records.mirrors.attach import attach
from cellwise.records.mirrors.contract import Mirrored
from cellwise.records.mirrors.settings import read_loggers
from cellwise.records.mirrors.words import axes, caption
from cellwise.records.schema import Axis, Column, Curves, Gallery, RunInfo, Series, Summary, Table, Text, View
from cellwise.records.writer import RunWriter
from cellwise.tasks.objective import Objective
from tests.records.mirrors.leet import mirrored, of_type, offline_run

BAD = "<script>alert(1)</script>"
ODD: tuple[View, ...] = (
    Curves(
        *("odd", f"{BAD} & more", "Is nothing but text?", Axis("step", "", "log"), Axis("share", "%")),
        (Series(BAD, np.array([1, 10]), np.array([0.5, np.nan]), np.array([0.4, 0.1]), np.array([0.6, 0.3])),),
        about="cell",
    ),
    Table("mixed", "Mixed", "?", (Column("what|is"), Column("time", "ms")), ((BAD, 1.0), ("x|y", "word"))),
    Gallery(
        *("asked", BAD, "?", Axis("probability"), (BAD, "x|y"), ("red", ""), (("red", BAD), ("two", "one"))),
        *(np.array([[0.75, 0.25], [0.5, np.nan]]), np.full((2, 4, 6, 3), 200, np.uint8)),
    ),
    Text("marked", BAD, "?", Axis("weight"), (BAD, "a|b"), np.array([1.0, np.nan])),
)


def record_of(folder: Path, info: RunInfo, logger: str) -> RunWriter:
    """A record that one logger mirrors."""
    record = RunWriter(folder, info, {"seed": 1, "cell": {"name": "lstm"}})
    run = Mirrored(folder, info, {"seed": 1}, Objective("perplexity", "min", "perplexity"))
    attach(record, read_loggers({logger: {}}), run)
    return record


@pytest.fixture
def written(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    made_up_run_info: Callable[..., dict[str, Any]],
    made_up_summary: Callable[..., dict[str, Any]],
    made_up_views: Callable[[str, int], list[View]],
) -> tuple[Path, dict[str, View]]:
    """A finished run with a view of each kind and odd ones, and its views."""
    folder = tmp_path / "runs" / "made_up" / "lstm-0123abcd" / "seed-1"
    record = record_of(folder, RunInfo.from_dict(made_up_run_info("lstm", 1)), request.param)
    views = [*made_up_views("lstm", 1), *ODD]
    record.log({"step": 7, "seconds": 0.5, "loss_nats": 1.0})
    for view in views:
        record.view(view)
    record.finish(Summary.from_dict(made_up_summary("lstm", 1, 61.0)))
    assert "warning" not in (folder / "log.txt").read_text()
    return folder, {view.name: view for view in views}


@pytest.mark.parametrize("written", ["wandb"], indirect=True)
def test_every_kind_is_media_of_wandbs_own(written: tuple[Path, dict[str, View]]) -> None:
    folder, views = written
    row, files = of_type(mirrored(folder), "history")[-1]["item"], offline_run(folder) / "files"
    kinds = {key.removesuffix("._type"): value for key, value in row.items() if key.endswith("._type")}
    assert kinds == {
        **{"task/by_distance": "plotly-file", "task/by_distance_table": "table-file"},
        **{"task/gate": "plotly-file", "task/gate_test": "histogram", "task/units": "image-file"},
        **{"task/film": "video-file", "task/film_table": "table-file", "task/examples": "table-file"},
        **{"task/tokens": "html-file", "task/marked": "html-file", "task/mixed": "table-file"},
        **{"cell/odd": "plotly-file", "cell/odd_table": "table-file", "views": "table-file"},
        "task/asked": "table-file",
    }
    asked = json.loads((files / row["task/asked.path"]).read_text())
    assert asked["columns"] == ["picture", "asked", "right", "probability"]
    assert [each[1:] for each in asked["data"]] == [
        [BAD, "red", f"red 0.75, {BAD} 0.25"],
        ["x|y", "", "two 0.5, one nan"],
    ]
    with Image.open(files / row["task/units.path"]) as image:
        image.verify()
        assert image.format == "PNG"
    assert row["task/units.caption"] == "Units. Which units move? Axes: step, unit, change."
    with Image.open(files / row["task/film.path"]) as film:
        assert (film.format, getattr(film, "n_frames", 1)) == ("GIF", 4)
    assert row["task/film.caption"] == "Rain. Where does it go? Axes: lead time (min), rain (mm/h)."
    assert json.loads((files / row["task/examples.path"]).read_text())["columns"] == [
        *("kind", "distance (words)", "probability")
    ]
    assert json.loads((files / row["task/film_table.path"]).read_text())["columns"] == [
        *("lead time (min)", "observed", "forecast")
    ]
    points = json.loads((files / row["cell/odd_table.path"]).read_text())
    assert points["data"] == [[BAD, "measured", 1, 0.5, 0.4, 0.6], [BAD, "measured", 10, None, 0.1, 0.3]]
    listed = json.loads((files / row["views.path"]).read_text())["data"]
    assert [row[2:] for row in listed] == [[v.title, v.question, ", ".join(axes(v))] for v in views.values()]


@pytest.mark.parametrize("written", ["wandb"], indirect=True)
def test_wandb_is_given_no_markup_of_a_run_and_keeps_all_files_in_its_folder(
    written: tuple[Path, dict[str, View]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = written
    files = offline_run(folder) / "files"
    pages = [path.read_text() for path in files.rglob("*.html")]
    assert len(pages) == 2
    assert not any("<script" in page for page in pages)
    assert any("&lt;script&gt;alert(1)&lt;/script&gt;" in page for page in pages)
    [odd] = (files / "media" / "plotly" / "cell").glob("odd_*.json")
    plot = json.loads(odd.read_text())
    assert plot["layout"]["title"]["text"].startswith("&lt;script&gt;")
    assert {trace.get("name") for trace in plot["data"]} == {None, "&lt;script&gt;alert(1)&lt;/script&gt;"}
    assert plot["layout"]["xaxis"]["type"] == "log"
    assert plot["layout"]["yaxis"]["title"]["text"] == "share (%)"
    staged = [
        Path(entry["local_path"])
        for record in mirrored(folder)
        if record["type"] == "artifact"
        for entry in record["artifact"]["manifest"]["contents"]
    ]
    assert staged
    assert all(path.is_file() and path.is_relative_to(folder) for path in staged)  # W&B's default is the user's home
    contents = [path.read_bytes() for path in staged]
    pictures = [Image.open(io.BytesIO(content)).size for content in contents if content[:4] == b"\x89PNG"]
    assert (6, 4) in pictures  # of the gallery: its table on the server has them, while its local file has words


@pytest.mark.parametrize("written", ["tensorboard"], indirect=True)
def test_every_kind_is_something_that_tensorboard_shows(written: tuple[Path, dict[str, View]]) -> None:
    folder, views = written
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    shown = {
        tag: events.SummaryMetadata(tag).plugin_data.plugin_name
        for tag in events.Tags()["tensors"]
        if tag.startswith(("task/", "cell/"))
    }
    assert shown == {
        **{"task/by_distance": "images", "task/units": "images", "task/film": "images", "cell/odd": "images"},
        **{"task/gate/test": "histograms", "task/examples": "text", "task/mixed": "text"},
        **{"task/tokens": "text", "task/marked": "text", "task/asked": "text", "task/asked/pictures": "images"},
    }

    def content(tag: str) -> Any:
        [event] = events.Tensors(tag)
        assert event.step == 7
        return make_ndarray(event.tensor_proto)

    for tag, kind, frames in (("task/units", "PNG", 1), ("task/by_distance", "PNG", 1), ("task/film", "GIF", 4)):
        width, height, image = content(tag)
        with Image.open(io.BytesIO(image)) as opened:
            assert (opened.format, getattr(opened, "n_frames", 1)) == (kind, frames)
            assert opened.size == (int(width), int(height))
        assert events.SummaryMetadata(tag).summary_description == caption(views[tag.split("/")[1]])
    buckets = content("task/gate/test")
    assert buckets.shape[1] == 3
    assert buckets[:, 2].sum() == 400
    for tag in ("task/mixed", "task/marked"):
        markdown = content(tag)[0].decode()
        assert "<script" not in markdown
        rows = [line for line in markdown.splitlines() if line.startswith("|")]
        assert {line.replace(r"\|", "").count("|") for line in rows} == {3}  # what a run says adds no column
