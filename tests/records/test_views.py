"""The seven kinds of views: what they refuse, and the files that later versions must still read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellwise.errors import CellwiseError
from cellwise.records.schema import (
    KINDS,
    Axis,
    Column,
    Curves,
    Distribution,
    Filmstrip,
    Gallery,
    Heatmap,
    Series,
    Table,
    Text,
    View,
    kind_of,
    load_view,
    save_view,
)

GOLDEN = Path(__file__).parent / "golden"


def examples() -> dict[str, View]:
    """One view of each kind, of numbers that are exact in binary: the content of the golden files."""
    distance = np.array([1, 2, 4])
    share = np.array([0.75, 0.5, 0.25])
    measured = Series("measured", distance, share, share - 0.125, share + 0.125)
    best = Series("best", distance, np.array([1.0, 1.0, np.nan]), role="optimum")
    gates = {"start": np.array([0.5]), "end": np.array([0.25, 0.75])}
    field = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    frames = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    value = Axis("probability", least=0.0, most=1.0)
    return {
        "curves": Curves("curves", "T", "Why?", Axis("distance", "words", "log"), value, (measured, best)),
        "distribution": Distribution("distribution", "T", "Why?", Axis("forget gate"), gates),
        "heatmap": Heatmap(
            "heatmap",
            "T",
            "Why?",
            Axis("step"),
            Axis("unit", "", "category"),
            value,
            distance,
            np.array(["a", "b"]),
            field,
        ),
        "filmstrip": Filmstrip(
            "filmstrip",
            "T",
            "Why?",
            Axis("lead time", "min"),
            Axis("rain", "mm/h"),
            np.array([5, 10, 15]),
            ("observed", "forecast"),
            frames,
            roles=("given", "measured"),
            levels=(0.5, 2.0),
        ),
        "gallery": Gallery(
            *("gallery", "T", "Why?", value, ("What is <i>it</i>?", "And now?"), ("red", "")),
            (("red", "blue"), ("two", "none")),
            np.array([[0.75, 0.25], [0.5, np.nan]]),
            np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3),
        ),
        "table": Table(
            "table",
            "T",
            "Why?",
            (Column("word"), Column("count"), Column("share", "%")),
            (("é</script>", 3, 0.5),),
        ),
        "text": Text("text", "T", "Why?", Axis("weight"), ("I", "<b>"), np.array([-0.5, 1.0])),
    }


def parts(value: Any) -> Any:
    """A view as nested plain values that compare with ``==``; NaN as a word."""
    if dataclasses.is_dataclass(value):
        return [type(value).__name__, *(parts(getattr(value, f.name)) for f in dataclasses.fields(value))]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), ["NaN" if v != v else v for v in value.ravel().tolist()], value.shape]
    if isinstance(value, dict):
        return {key: parts(v) for key, v in value.items()}
    return [parts(v) for v in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_view_comes_back_as_it_was_saved(kind: str, tmp_path: Path) -> None:
    view = examples()[kind]
    assert parts(load_view(save_view(view, tmp_path / "views"))) == parts(view)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_files_of_schema_1_are_read_and_written_unchanged(kind: str, tmp_path: Path) -> None:
    assert parts(load_view(GOLDEN / f"{kind}.json")) == parts(examples()[kind])
    written = save_view(examples()[kind], tmp_path)
    assert written.read_text() == (GOLDEN / f"{kind}.json").read_text()
    assert kind_of(examples()[kind]) == kind == json.loads(written.read_text())["kind"]


def test_files_from_before_a_field_was_added_are_read_with_its_default(tmp_path: Path) -> None:
    later: dict[str, tuple[str, ...]] = {"curves": ("about", "marks"), "heatmap": ("about", "words")}
    film: Any = examples()["filmstrip"]
    before = {**examples(), "filmstrip": dataclasses.replace(film, roles=(), levels=())}
    later["filmstrip"] = ("about", "roles", "levels")
    for kind, fields in later.items():
        path = save_view(before[kind], tmp_path)
        plain = json.loads(path.read_text())
        fields = (*fields, "redistributable")
        path.write_text(json.dumps({key: value for key, value in plain.items() if key not in fields}))
        assert parts(load_view(path)) == parts(before[kind])


def test_words_below_columns_and_dots_come_back_as_they_were_saved(tmp_path: Path) -> None:
    axis, x = Axis("x"), np.arange(2)
    heatmap = Heatmap("h", "T", "Why?", axis, axis, axis, x, x, np.zeros((2, 2)), about="cell", words=("the", "the"))
    dots = Curves("d", "T", "Why?", axis, axis, (Series("units", x, x),), about="cell", marks="dots")
    for view in (heatmap, dots):
        assert parts(load_view(save_view(view, tmp_path))) == parts(view)


def test_saving_leaves_no_partial_file(tmp_path: Path) -> None:
    save_view(examples()["curves"], tmp_path)
    save_view(examples()["curves"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.json", "curves.npz"]


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="view name"):
        save_view(Table(name, "T", "Why?", (), ()), tmp_path)


def test_shapes_that_disagree_are_refused() -> None:
    x, axis = np.arange(3), Axis("x")
    with pytest.raises(ValueError, match="y has"):
        Series("s", x, np.arange(2))
    with pytest.raises(ValueError, match="both low and high"):
        Series("s", x, x, low=x)
    with pytest.raises(ValueError, match="values have shape"):
        Heatmap("h", "", "", axis, axis, axis, x, x, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="1 words for 3 columns"):
        Heatmap("h", "", "", axis, axis, axis, x, x, np.zeros((3, 3)), words=("the",))
    with pytest.raises(ValueError, match="frames have shape"):
        Filmstrip("f", "", "", axis, axis, x, ("one",), np.zeros((2, 3, 4, 4)))
    film = Filmstrip("f", "", "", axis, axis, x, ("one",), np.zeros((1, 3, 4, 4)))
    with pytest.raises(ValueError, match="2 roles for 1 rows"):
        dataclasses.replace(film, roles=("given", "measured"))
    with pytest.raises(ValueError, match="must rise"):
        dataclasses.replace(film, levels=(1.0, 1.0))
    with pytest.raises(ValueError, match="row 0"):
        Table("t", "", "", (Column("a"),), ((1, 2),))
    with pytest.raises(ValueError, match="2 weights for 1 token"):
        Text("t", "", "", axis, ("one",), np.zeros(2))
    asked: Any = examples()["gallery"]
    for changes, reason in (
        ({"right": ("red",)}, "2 captions, but 1 right answers"),
        ({"answers": (("red",), ("two",))}, "each example has 2 values"),
        ({"images": np.zeros((2, 2, 3, 3))}, "images are float64"),
        ({"images": np.zeros((1, 2, 3, 3), np.uint8)}, r"expected uint8 \(2"),
    ):
        with pytest.raises(ValueError, match=reason):
            dataclasses.replace(asked, **changes)
    for words in (np.array(["a", "b", "c"]), np.array([1j, 2j, 3j]), np.zeros(3, "datetime64[s]")):
        with pytest.raises(ValueError, match=r"y holds .*, expected numbers$"):
            Series("s", x, words)
        with pytest.raises(ValueError, match=r"samples of 'g' holds .*, expected numbers$"):
            Distribution("d", "", "", axis, {"g": words})
    with pytest.raises(ValueError, match=r"x holds complex128, expected numbers or words$"):
        Series("s", np.array([1j]), np.arange(1))
    with pytest.raises(ValueError, match="dimensions"):
        Distribution("d", "", "", axis, {"g": np.zeros((2, 2))})


def test_a_damaged_view_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    path = save_view(examples()["heatmap"], tmp_path)
    whole = path.read_text()
    changes = {
        whole[: len(whole) // 2]: "not readable as JSON",
        whole.replace('"schema": 1', '"schema": 9'): "not a view of schema 1",
        whole.replace('"kind": "heatmap"', '"kind": "heatmapp"'): "did you mean 'heatmap'",
        whole.replace('"title": "T",', ""): "'title' is missing",
        whole.replace('"scale": "linear"', '"scale": "round"'): "allowed: linear, log, category",
        whole.replace('"array": "values"', '"array": "other"'): "expected the key of a stored array",
    }
    for content, reason in changes.items():
        path.write_text(content)
        with pytest.raises(CellwiseError, match=reason) as caught:
            load_view(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    path.write_text(whole)
    arrays = path.with_suffix(".npz")
    arrays.write_bytes(arrays.read_bytes()[:100])
    with pytest.raises(CellwiseError, match="not readable as arrays"):
        load_view(path)


def test_arrays_that_are_cut_or_altered_anywhere_are_one_line_or_whole(tmp_path: Path) -> None:
    path = save_view(examples()["heatmap"], tmp_path)
    arrays = path.with_suffix(".npz")
    whole = arrays.read_bytes()
    refused = []
    cut = [whole[:length] for length in range(0, len(whole), 7)]
    altered = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(0, len(whole), 3)]
    for content in [*cut, *altered, b"\0" * 500, b"\x93NUMPY\x01\x00"]:
        arrays.write_bytes(content)
        try:
            load_view(path)
        except CellwiseError as error:
            refused.append(str(error))
    assert not [line for line in refused if "\n" in line]
    assert len(refused) > 0.7 * len(cut + altered)
