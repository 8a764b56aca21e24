"""Views are drawn from their kind alone, the same view of different cells together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from scipy import stats

from cellwise.records.schema import Axis, Column, Curves, Distribution, Series, Table, Text, View
from cellwise.report.overlay import Panel, draw_view
from cellwise.report.theme import CHOSEN, styles
from cellwise.report.traces import MOST_POINTS

STYLE = styles({name: name for name in ("lstm", "gru", "rnn", "<b>x")})


def draw(views: Mapping[str, Sequence[tuple[int, View]]]) -> Panel:
    panel = draw_view(views, STYLE)
    for figure in panel.variants.values():
        go.Figure(figure)
        json.dumps(figure, allow_nan=False)
    return panel


def curves(*series: Series, scale: Any = "linear") -> Curves:
    return Curves("v", "T", "Why?", Axis("distance", "words", scale), Axis("share"), series)


def trace(panel: Panel, name: str) -> dict[str, Any]:
    (found,) = [t for t in panel.variants[""]["data"] if t.get("name") == name]
    return dict(found)


@pytest.mark.parametrize("place", range(6))
def test_each_kind_is_drawn_for_several_cells_and_seeds(
    place: int, made_up_views: Callable[[str, int], list[View]]
) -> None:
    views = {cell: [(seed, made_up_views(cell, seed)[place]) for seed in range(3)] for cell in ("lstm", "gru", "rnn")}
    panel = draw(views)
    first = views["lstm"][0][1]
    assert (panel.title, panel.question) == (first.title, first.question)
    assert panel.variants or panel.rows or panel.texts


def test_curves_are_means_over_seeds_with_their_interval() -> None:
    x, ys = np.array([1, 2]), [[1.0, 4.0], [2.0, 6.0], [6.0, 5.0]]
    panel = draw({"gru": [(seed, curves(Series("measured", x, np.array(y)))) for seed, y in enumerate(ys)]})
    assert trace(panel, "gru")["y"] == [3.0, 5.0]
    assert trace(panel, "gru")["line"]["color"] == CHOSEN["gru"]
    (area,) = [t for t in panel.variants[""]["data"] if t.get("fill")]
    low, high = stats.t.interval(0.95, 2, 3.0, stats.sem([1, 2, 6]))
    assert (area["y"][0], area["y"][-1]) == pytest.approx((low, high), rel=1e-5)
    assert "up to 3 seeds" in panel.note


def test_one_seed_shows_the_band_that_it_stored() -> None:
    x = np.array([1.0, 2.0])
    panel = draw({"gru": [(0, curves(Series("measured", x, x, x - 0.5, x + 0.25)))]})
    (area,) = [t for t in panel.variants[""]["data"] if t.get("fill")]
    assert area["y"] == [0.5, 1.5, 2.25, 1.25]


def test_optimum_and_floor_are_drawn_once() -> None:
    x = np.array([1, 2])
    one = curves(Series("m", x, x), Series("best", x, x + 1, role="optimum"), Series("trivial", x, x - 1, role="floor"))
    panel = draw({"gru": [(0, one), (1, one)], "lstm": [(0, one)]})
    names = [t.get("name") for t in panel.variants[""]["data"] if t.get("name")]
    assert names == ["gru", "lstm", "best", "trivial"]


def test_several_series_of_one_cell_share_its_colour_and_differ_in_dash() -> None:
    x = np.array([1, 2])
    panel = draw({"gru": [(0, curves(Series("near", x, x), Series("far", x, x)))]})
    near, far = trace(panel, "gru: near")["line"], trace(panel, "gru: far")["line"]
    assert near["color"] == far["color"]
    assert near["dash"] != far["dash"]


def test_seeds_with_different_or_missing_points_are_averaged_where_they_are() -> None:
    first = curves(Series("m", np.array([1, 3]), np.array([1.0, np.nan])))
    second = curves(Series("m", np.array([1, 2]), np.array([3.0, 5.0])))
    panel = draw({"gru": [(0, first), (1, second)]})
    assert (trace(panel, "gru")["x"], trace(panel, "gru")["y"]) == ([1, 2, 3], [2.0, 5.0, None])


def test_categories_keep_their_order() -> None:
    x = np.array(["rare", "common"])
    view = curves(Series("m", x, np.array([0.1, 0.9])), scale="category")
    assert trace(draw({"gru": [(0, view), (1, view)]}), "gru")["x"] == ["rare", "common"]


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    x = np.arange(10_000)
    line = trace(draw({"gru": [(0, curves(Series("m", x, x)))]}), "gru")
    assert len(line["x"]) <= MOST_POINTS
    assert (line["x"][0], line["x"][-1]) == (0, 9999)


def test_a_table_has_a_cell_column_and_means_over_seeds() -> None:
    def table(near: float, far: float) -> Table:
        columns = (Column("kind"), Column("distance", "words"), Column("share"))
        return Table("t", "T", "Why?", columns, (("cause", 2, near), ("cause", 8, far)))

    panel = draw({"gru": [(0, table(0.5, 0.25)), (1, table(0.7, 0.35))], "rnn": [(0, table(0.125, 0.0))]})
    assert panel.heading == ("cell", "kind", "distance (words)", "share")
    assert panel.rows == (
        ("gru", "cause", "2", "0.6000"),
        ("gru", "cause", "8", "0.3000"),
        ("rnn", "cause", "2", "0.1250"),
        ("rnn", "cause", "8", "0"),
    )


def test_few_samples_are_dots_and_many_are_a_density_that_sums_to_one() -> None:
    def view(count: int) -> Distribution:
        values = np.random.default_rng(0).normal(size=count)
        return Distribution("d", "T", "Why?", Axis("gate"), {"end": values})

    assert trace(draw({"gru": [(0, view(10))]}), "gru")["mode"] == "markers"
    shares = trace(draw({"gru": [(0, view(500)), (1, view(500))]}), "gru")["y"]
    assert sum(shares) == pytest.approx(1.0, abs=1e-4)


def test_cells_that_stored_different_groups_are_all_drawn() -> None:
    def view(group: str) -> Distribution:
        return Distribution("d", "T", "Why?", Axis("gate"), {group: np.array([0.5])})

    names = {t["name"] for t in draw({"gru": [(0, view("reset"))], "lstm": [(0, view("forget"))]}).variants[""]["data"]}
    assert names == {"gru: reset", "lstm: forget"}


def test_heat_maps_share_one_scale_and_name_their_seed(
    made_up_views: Callable[[str, int], list[View]],
) -> None:
    panel = draw({cell: [(seed, made_up_views(cell, seed)[2]) for seed in (4, 5)] for cell in ("lstm", "gru")})
    figure = panel.variants[""]
    assert [a["text"] for a in figure["layout"]["annotations"]] == ["lstm", "gru"]
    assert {t["coloraxis"] for t in figure["data"]} == {"coloraxis"}
    assert figure["layout"]["coloraxis"]["cmin"] == -figure["layout"]["coloraxis"]["cmax"]
    assert "seed 4" in panel.note


def test_a_film_strip_has_a_frame_for_every_time(made_up_views: Callable[[str, int], list[View]]) -> None:
    figure = draw({"gru": [(0, made_up_views("gru", 0)[3])]}).variants[""]
    assert [frame["name"] for frame in figure["frames"]] == ["0", "1", "2", "3"]
    assert [step["label"] for step in figure["layout"]["sliders"][0]["steps"]] == ["0", "5", "10", "15"]
    assert figure["frames"][1]["data"][0]["z"][0][:2] == [11.0, 0.0]


def test_the_strongest_word_has_the_strongest_background() -> None:
    view = Text("t", "T", "Why?", Axis("gradient"), ("I", "speak", "French"), np.array([0.0, -1.0, 2.0]))
    ((label, tokens),) = draw({"gru": [(3, view)]}).texts
    assert label == "gru"
    assert [colour for _, colour, _ in tokens] == [
        "rgba(0,114,178,0)",
        "rgba(213,94,0,0.375)",
        "rgba(0,114,178,0.75)",
    ]


def test_a_cells_name_is_text_and_not_a_tag() -> None:
    x = np.array([1, 2])
    panel = draw({"<b>x": [(0, curves(Series("m", x, x)))]})
    assert trace(panel, "&lt;b&gt;x")["legendgroup"] == "&lt;b&gt;x"


def test_a_band_ends_where_its_quantity_does() -> None:
    share = Axis("probability", least=0.0, most=1.0)
    views = {
        "gru": [
            (seed, Curves("c", "T", "Why?", Axis("lag"), share, (Series("measured", np.array([1, 2]), np.array(y)),)))
            for seed, y in enumerate(([0.1, 0.5], [0.9, 0.5]))
        ]
    }
    (drawn,) = draw_view(views, styles({"gru": "gru"})).variants.values()
    edges = [y for trace in drawn["data"] for y in trace["y"]]
    assert (min(edges), max(edges)) == (0.0, 1.0)
