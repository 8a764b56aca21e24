"""Pictures hold what the views hold: each value in its own colour, each frame its own time."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cellwise.records.mirrors.canvas import Sheet, spread
from cellwise.records.mirrors.colours import STEPS, ColourScale, LevelScale, rgb
from cellwise.records.mirrors.line_picture import draw_curves
from cellwise.records.mirrors.pictures import as_gif, draw_film, draw_heatmap, film_images
from cellwise.records.mirrors.plots import plot_curves
from cellwise.records.mirrors.words import axes, number
from cellwise.records.schema import Axis, Curves, Filmstrip, Heatmap, Series
from cellwise.report.fields import DIVERGING

GREY = (190, 190, 190)


def heatmap(values: Any, x: Any = None, y: Any = None) -> Heatmap:
    values = np.asarray(values, float)
    x = np.arange(values.shape[1]) if x is None else x
    y = np.arange(values.shape[0]) if y is None else y
    return Heatmap("field", "Field", "What is where?", Axis("time", "ms"), Axis("unit"), Axis("gate"), x, y, values)


def colours(image: Image.Image) -> dict[tuple[int, ...], tuple[int, int]]:
    """The mean place, x and y, of each colour that covers much of a picture."""
    pixels = np.asarray(image)
    found = {}
    for colour, count in zip(*np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True), strict=True):
        if count > 5000:
            y, x = np.nonzero((pixels == colour).all(-1))
            found[tuple(map(int, colour))] = (int(x.mean()), int(y.mean()))
    return found


def test_a_field_has_its_first_row_lowest_and_each_value_its_colour() -> None:
    scale = ColourScale(np.array([0.0, 1.0, 2.0, 3.0]))
    places = colours(draw_heatmap(heatmap([[0, 1], [2, 3]])))
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (places[tuple(map(int, scale.pixels(np.array(v))))] for v in range(4))
    assert (x0, x1) == (x2, x3) and (y0, y2) == (y1, y3)
    assert x0 < x1 and y0 > y2


def test_one_row_of_a_single_value_and_nothing_at_all_are_drawn() -> None:
    for values in ([[1.0]], [[float("nan")]], np.zeros((0, 0)), np.zeros((3, 0))):
        draw_heatmap(heatmap(values)).verify()


def test_what_is_not_finite_is_grey_and_does_not_set_the_scale() -> None:
    scale = ColourScale(np.array([1.0, np.nan, np.inf, 3.0]))
    assert (scale.low, scale.high) == (1.0, 3.0)
    assert [tuple(pixel) for pixel in scale.pixels(np.array([np.nan, np.inf]))] == [GREY, GREY]
    assert GREY in colours(draw_heatmap(heatmap([[1.0, float("nan")], [2.0, 3.0]])))


def test_with_both_signs_zero_is_in_the_middle_as_on_the_page() -> None:
    scale = ColourScale(np.array([-1.0, 4.0]))
    assert (scale.low, scale.high) == (-4.0, 4.0)
    ends = ["#{:02x}{:02x}{:02x}".format(*scale.pixels(np.array(value))) for value in (-4.0, 0.0, 4.0)]
    assert ends == [str(colour).lower() for _, colour in DIVERGING]


def test_a_field_of_more_values_than_pixels_is_the_mean_of_neighbours() -> None:
    values = np.zeros((3, 3000))
    values[:, 1500:] = 1.0
    values[:, ::7] = np.nan  # counts nothing
    places = colours(draw_heatmap(heatmap(values)))
    low, high = (tuple(map(int, ColourScale(np.array([0.0, 1.0])).pixels(np.array(v)))) for v in (0.0, 1.0))
    assert places.keys() >= {low, high}
    assert GREY not in places


def test_a_film_has_a_frame_for_each_time_however_alike_they_are() -> None:
    frames = np.ones((2, 5, 8, 12))  # nothing moves
    rows = ("observed", "forecast")
    view = Filmstrip(
        "film", "Rain", "Where?", Axis("lead time", "min"), Axis("rain", "mm/h"), np.arange(5) * 5, rows, frames
    )
    pictures = draw_film(view)
    assert len({picture.size for picture in pictures}) == 1
    with Image.open(io.BytesIO(as_gif(pictures))) as film:
        assert getattr(film, "n_frames", 1) == 5
    assert [len(row) for row in film_images(view)] == [2] * 5


def test_a_films_images_have_their_first_row_on_top_and_share_a_scale() -> None:
    frames = np.zeros((1, 2, 2, 1))
    frames[0, 0, 0], frames[0, 1, 1] = 1.0, 2.0
    view = Filmstrip("film", "t", "q", Axis("time"), Axis("v"), np.arange(2), ("seen",), frames)
    first, second = (np.asarray(images[0]) for images in film_images(view))
    scale = ColourScale(frames)
    assert (first[0, 0] == scale.pixels(np.array(1.0))).all()
    assert (second[-1, 0] == scale.pixels(np.array(2.0))).all()


def test_levels_are_steps_of_colour_and_differences_have_a_scale_of_their_own() -> None:
    rain = np.array([[0.0, 0.49], [0.5, 1.9], [2.0, np.nan]])
    frames = np.stack([rain, rain - 1])[:, None]
    roles: Any = ("measured", "difference")
    axis = Axis("rain", "mm/h")
    view = Filmstrip("f", "t", "q", axis, axis, np.arange(1), ("a", "b"), frames, roles=roles, levels=(0.5, 2.0))
    image, difference = (np.asarray(picture) for picture in film_images(view)[0])
    block = image.shape[0] // 3
    colours = [[tuple(map(int, image[block * row, block * column])) for column in (0, 1)] for row in range(3)]
    low, high = (rgb(colour) for colour in (STEPS[0], STEPS[-1]))
    assert colours == [[(255, 255, 255)] * 2, [low, low], [high, GREY]]
    scale = ColourScale(frames[1])
    assert (scale.low, scale.high) == (-1.0, 1.0)
    assert (difference[0, 0] == scale.pixels(np.array(-1.0))).all()
    assert [value for _, value in LevelScale((0.5, 2.0)).bar(10)[1]] == [0.5, 2.0]
    [picture] = draw_film(view)
    seen = {tuple(map(int, pixel)) for pixel in np.asarray(picture.convert("RGB")).reshape(-1, 3)}
    assert {low, high} <= seen  # in the bar, and in the image


@pytest.mark.parametrize("scale", ["linear", "log", "category"])
def test_curves_are_drawn_where_their_values_are(scale: Any) -> None:
    x = np.array(["a", "b", "c"]) if scale == "category" else np.array([1, 10, 100])
    rising = Series("rising", x, np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.5, 2.5]), np.array([1.5, 2.5, 3.5]))
    best = Series("best", x, np.array([3.0, 3.0, np.nan]), role="optimum")
    view = Curves("c", "Curves", "Up?", Axis("distance", "words", scale), Axis("share"), (rising, best))
    pixels = np.asarray(draw_curves(view).convert("RGB"))
    y, x_pixels = np.nonzero((pixels[:, :600] == (0, 114, 178)).all(-1))
    assert y[x_pixels.argmin()] > y[x_pixels.argmax()]  # lower on the left
    thirds = np.histogram(x_pixels, 3)[0]
    assert (thirds > 0).all()
    assert (pixels == (134, 142, 150)).all(-1).any()  # the best possible is grey


def test_curves_of_one_point_and_of_none_are_drawn() -> None:
    for x in ([], [4]):
        series = (Series("m", np.array(x), np.array(x)), Series("floor", np.array(x), np.array(x), role="floor"))
        for scale in ("linear", "log", "category"):
            axis = Axis("x", "", scale)
            draw_curves(Curves("c", "C", "?", axis, Axis("y"), series)).verify()


def test_dots_are_not_joined() -> None:
    series = (Series("units", np.array([0.0, 1.0]), np.array([0.0, 1.0])),)
    lines = Curves("c", "C", "?", Axis("x"), Axis("y"), series)
    dots = dataclasses.replace(lines, marks="dots")
    inked = [(np.asarray(draw_curves(view).convert("RGB")) == (0, 114, 178)).all(-1).sum() for view in (lines, dots)]
    assert inked[1] < inked[0] / 3
    assert [plot_curves(view).data[0].mode for view in (lines, dots)] == ["lines+markers", "markers"]


def test_words_stand_below_a_field_in_place_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(Sheet, "write", lambda sheet, x, y, text, **options: written.append(text))
    draw_heatmap(dataclasses.replace(heatmap([[0, 1]], x=np.array([71, 72])), words=("the", "cat")))
    assert {"the", "cat"} <= set(written)
    assert not {"71", "72"} & set(written)


def test_ticks_are_evenly_apart_by_a_round_number() -> None:
    assert spread(10, 20) == list(range(10))
    assert spread(1500, 12) == list(range(0, 1500, 200))
    assert spread(0, 5) == []


def test_axes_are_said_with_their_units_and_numbers_shortly() -> None:
    assert axes(heatmap([[1.0]])) == ("time (ms)", "unit", "gate")
    assert [number(value) for value in (0.123456, 1e6, "word", 3)] == ["0.1235", "1e+06", "word", "3"]
