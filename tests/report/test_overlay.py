"""Views are drawn from their kind alone, the same view of different cells together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from scipy import stats

from cellwise.records.schema import (
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
)
from cellwise.report.overlay import Panel, draw_view
from cellwise.report.theme import BLUE, CHOSEN, faded, styles
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


def worded(*words: str, units: int = 2) -> Heatmap:
    x, y = np.arange(1, len(words) + 1), np.array([str(unit) for unit in range(units)])
    field = np.zeros((units, len(words)))
    return Heatmap(
        "h", "T", "Why?", Axis("read"), Axis("unit", scale="category"), Axis("gate"), x, y, field, words=words
    )


def test_words_stand_below_the_columns_also_where_they_repeat() -> None:
    figure = draw({"gru": [(0, worded("the", "<b>", "the"))]}).variants[""]
    below = figure["layout"]["xaxis"]
    assert (below["tickvals"], below["ticktext"]) == ([1, 2, 3], ["the", "&lt;b&gt;", "the"])
    assert figure["data"][0]["text"] == [["the", "&lt;b&gt;", "the"]] * 2


def test_the_same_words_stand_below_the_last_cell_alone_and_each_cell_has_the_whole_width() -> None:
    both = draw({"gru": [(0, worded("a", "b"))], "lstm": [(0, worded("a", "b"))]}).variants[""]["layout"]
    assert both["xaxis"]["domain"] == both["xaxis2"]["domain"] == [0, 1]
    assert both["yaxis"]["domain"][0] > both["yaxis2"]["domain"][1]
    assert (both["xaxis"].get("ticktext"), both["xaxis"]["showticklabels"]) == (None, False)
    assert both["xaxis2"]["ticktext"] == ["a", "b"]
    other = draw({"gru": [(0, worded("a", "b"))], "lstm": [(0, worded("a", "c"))]}).variants[""]["layout"]
    assert (other["xaxis"]["ticktext"], other["xaxis2"]["ticktext"]) == (["a", "b"], ["a", "c"])


def test_dots_are_those_of_the_first_seed_between_the_ends_of_their_axes() -> None:
    share = Axis("share", least=0.0, most=1.0)

    def dots(*x: float) -> Curves:
        units = Series("units", np.array(x), np.array(x))
        return Curves("d", "T", "Why?", share, share, (units,), about="cell", marks="dots")

    panel = draw({"gru": [(3, dots(0.5, 0.5, 0.1)), (4, dots(0.9))], "lstm": [(3, dots(0.2))]})
    found = trace(panel, "gru")
    assert (found["mode"], found["x"], found["marker"]["color"]) == ("markers", [0.5, 0.5, 0.1], CHOSEN["gru"])
    assert panel.variants[""]["layout"]["xaxis"]["range"] == pytest.approx([-0.04, 1.04])
    assert "seed 3" in panel.note


def test_on_a_log_axis_means_are_geometric_and_bands_stay_above_0() -> None:
    def view(y: float) -> Curves:
        series = (Series("m", np.array([1]), np.array([y])),)
        return Curves("v", "T", "Why?", Axis("lag"), Axis("norm", "", "log"), series)

    panel = draw({"gru": [(seed, view(10.0**-power)) for seed, power in enumerate((1, 3, 20))]})
    assert trace(panel, "gru")["y"] == pytest.approx([1e-8])
    (area,) = [t for t in panel.variants[""]["data"] if t.get("fill")]
    assert 0 < min(area["y"]) < 1e-8 < max(area["y"])
    assert panel.note.startswith("Lines are geometric means over up to 3 seeds")


def test_what_has_vanished_has_no_place_in_a_geometric_mean() -> None:
    x = np.array([1, 2])
    views = [
        Curves("v", "T", "Why?", Axis("lag"), Axis("n", "", "log"), (Series("m", x, np.array(y)),))
        for y in ([1e-3, 0.0], [1e-5, 0.0])
    ]
    assert trace(draw({"gru": list(enumerate(views))}), "gru")["y"] == [pytest.approx(1e-4), None]


def test_an_axis_over_many_decades_has_ticks_at_powers_of_ten() -> None:
    def ticks(*y: float) -> list[float]:
        series = (Series("m", np.arange(len(y)), np.array(y)),)
        view = Curves("v", "T", "Why?", Axis("lag"), Axis("norm", "", "log"), series)
        return list(draw({"gru": [(0, view)]}).variants[""]["layout"]["yaxis"]["tickvals"])

    far = ticks(1.0, 1e-28)
    assert len(far) <= 11 and far[0] == 1 and far[-1] <= 1e-26
    assert np.log10(far) == pytest.approx(np.round(np.log10(far)))
    assert 0.5 in ticks(1.0, 0.01)


def test_a_film_strip_has_a_frame_for_every_time(made_up_views: Callable[[str, int], list[View]]) -> None:
    figure = draw({"gru": [(0, made_up_views("gru", 0)[3])]}).variants[""]
    assert [frame["name"] for frame in figure["frames"]] == ["0", "1", "2", "3"]
    assert [step["label"] for step in figure["layout"]["sliders"][0]["steps"]] == ["0", "5", "10", "15"]
    assert figure["frames"][1]["data"][0]["z"][0][:2] == [11.0, 0.0]


def radar_film(forecast: float) -> Filmstrip:
    observed = np.array([[0.0, 0.5], [1.9, np.nan]])
    frames = np.stack([observed, np.full((2, 2), forecast), forecast - observed])[:, None]
    rows = ("observed", "forecast", "error")
    mm_h = Axis("rain", "mm/h")
    times = np.array([5])
    roles: Any = ("given", "measured", "difference")
    return Filmstrip(
        "f", "T", "Why?", Axis("lead time"), mm_h, times, rows, frames, roles=roles, levels=(0.5, 1.0, 2.0)
    )


def test_what_is_the_same_for_every_cell_is_drawn_once_and_differences_have_a_scale_of_their_own() -> None:
    figure = draw({"gru": [(0, radar_film(0.6))], "lstm": [(0, radar_film(5.0))]}).variants[""]
    titles = [each["text"] for each in figure["layout"]["annotations"]]
    assert titles == ["observed", "gru: forecast", "gru: error", "lstm: forecast", "lstm: error"]
    images = figure["frames"][0]["data"]
    assert [image["coloraxis"] for image in images] == ["coloraxis", *["coloraxis", "coloraxis2"] * 2]
    assert images[0]["z"] == [[0, 1], [2, None]]  # classes: below the first level, and on it
    assert images[3]["z"] == [[3, 3], [3, 3]]
    assert images[4]["z"][0] == [5.0, 4.5]
    scales = [figure["layout"][name] for name in ("coloraxis", "coloraxis2")]
    assert scales[0]["colorbar"]["ticktext"] == ["0.5", "1", "2"]
    assert (scales[0]["cmin"], scales[0]["cmax"]) == (-0.5, 3.5)
    assert (scales[1]["cmin"], scales[1]["cmax"]) == (-5.0, 5.0)
    lines = [figure["layout"][f"yaxis{suffix}"]["domain"][0] for suffix in ("", "2", "3", "4", "5")]
    assert lines[0] == lines[1] == lines[2] > lines[3] == lines[4]
    columns = [figure["layout"][f"xaxis{suffix}"]["domain"][0] for suffix in ("", "2", "3", "4", "5")]
    assert columns[0] < columns[1] == columns[3] < columns[2] == columns[4]


def test_the_strongest_word_has_the_strongest_background() -> None:
    view = Text("t", "T", "Why?", Axis("gradient"), ("I", "speak", "French"), np.array([0.0, -1.0, 2.0]))
    ((label, tokens),) = draw({"gru": [(3, view)]}).texts
    assert label == "gru"
    assert [colour for _, colour, _ in tokens] == [
        "rgba(0,114,178,0)",
        "rgba(213,94,0,0.375)",
        "rgba(0,114,178,0.75)",
    ]


def test_an_example_is_one_card_with_what_each_cell_says_of_it() -> None:
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[1] = 255
    asked, value = ("what colour ?", "what colour ?"), Axis("probability")
    lstm = Gallery(
        "g", "T", "Why?", value, asked, ("red", "blue"), (("red",), ("red",)), np.array([[0.8], [0.4]]), images
    )
    gru = dataclasses.replace(lstm, answers=(("red",), ("blue",)), values=np.array([[0.2], [np.nan]]))
    other = dataclasses.replace(lstm, captions=("what colour ?", "how many ?"), right=("red", "2"), images=None)
    panel = draw({"lstm": [(1, lstm)], "gru": [(1, gru)], "rnn": [(4, other)]})
    assert [(card.caption, card.right, list(card.said)) for card in panel.cards] == [
        ("what colour ?", "red", ["lstm", "gru"]),
        ("what colour ?", "blue", ["lstm", "gru"]),
        ("what colour ?", "red", ["rnn"]),  # without its picture it is not known to be the same
        ("how many ?", "2", ["rnn"]),
    ]
    first, second, *unseen = panel.cards
    assert first.picture.startswith("data:image/png;base64,") and first.picture != second.picture
    assert [card.picture for card in unseen] == ["", ""]
    (right,), (wrong,) = first.said["lstm"], second.said["lstm"]
    assert (right.answer, right.value, right.right, wrong.right) == ("red", "0.800", True, False)
    assert right.colour == faded(BLUE, 0.5) and wrong.colour == faded(BLUE, 0.25)
    (unknown,) = second.said["gru"]
    assert (unknown.right, unknown.colour) == (True, faded(BLUE, 0.0))
    assert "seed 1, 4" in panel.note


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
