"""Scenes of coloured shapes, and how they are drawn.

In the manner of Sort-of-CLEVR (Santoro et al. 2017, arXiv:1706.01427): a few objects on an empty square, each of a
colour of its own, so that a colour names an object. Differences: four shapes, not two; a number of objects that varies;
smooth edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (60, 90, 240),
    "yellow": (240, 210, 40),
    "purple": (190, 60, 220),
    "cyan": (60, 210, 220),
}
SHAPES = ("circle", "square", "triangle", "cross")
BACKGROUND = 24  # of each channel, of 255

RADIUS = 0.12
"""Of an object, as a share of the side; a square's and a triangle's are as large to the eye."""

Images = npt.NDArray[np.uint8]
Places = npt.NDArray[np.float64]
Distances = npt.NDArray[np.float32]

REACH = 1.25
"""How far an object reaches from its centre at most, in radii: the corner of a square."""

_SQUARE, _TRIANGLE, _CROSS = 0.85, 0.55, 0.36  # half a side, radius inside, half an arm's width; of the radius
_COLOUR_VALUES = np.array(list(COLOURS.values()), dtype=np.float32)
_AT_ONCE = 512  # scenes that are drawn together: their arrays fit the cache


class Scene(NamedTuple):
    """Objects on a square of side 1; none overlaps another.

    Attributes:
        colours: numbers of `COLOURS`, of each object; no two the same.
        shapes: numbers of `SHAPES`.
        places: float64 (objects, 2), the centres: across from the left, down from the top.
    """

    colours: tuple[int, ...]
    shapes: tuple[int, ...]
    places: Places


def draw(scenes: Sequence[Scene], size: int) -> Images:
    """Return images of scenes, uint8 (scenes, size, size, 3)."""
    images = np.empty((len(scenes), size, size, 3), dtype=np.uint8)
    for start in range(0, len(scenes), _AT_ONCE):
        images[start : start + _AT_ONCE] = _drawn(scenes[start : start + _AT_ONCE], size)
    return images


def _drawn(scenes: Sequence[Scene], size: int) -> Images:
    canvas = np.full((len(scenes), size, size, 3), BACKGROUND, dtype=np.float32)
    for number in range(max(len(scene.colours) for scene in scenes)):
        here = np.array([k for k, scene in enumerate(scenes) if number < len(scene.colours)])
        places = np.array([scenes[k].places[number] for k in here], dtype=np.float32) * size
        colours = _COLOUR_VALUES[[scenes[k].colours[number] for k in here]]
        shapes = np.array([scenes[k].shapes[number] for k in here])
        _add(canvas, here, places, colours, shapes)
    return np.rint(canvas).astype(np.uint8)


def _add(
    canvas: npt.NDArray[np.float32],
    here: npt.NDArray[np.int64],
    places: npt.NDArray[np.float32],
    colours: npt.NDArray[np.float32],
    shapes: npt.NDArray[np.int64],
) -> None:
    """Add an object to each of some images, within the square of pixels that it can touch.

    Args:
        canvas: (images, size, size, 3), changed in place.
        here: (objects,), the image of each.
        places: (objects, 2), in pixels, across and down.
        colours: (objects, 3).
        shapes: (objects,), numbers of `SHAPES`.
    """
    size = canvas.shape[1]
    radius = RADIUS * size
    side = min(int(np.ceil(2 * REACH * radius)) + 2, size)
    corners = np.clip(np.floor(places - REACH * radius).astype(np.int64), 0, size - side)
    pixels = corners[:, :, None] + np.arange(side)  # (objects, 2, side)
    away = (pixels + np.float32(0.5) - places[:, :, None]) / np.float32(radius)
    for shape in range(len(SHAPES)):
        of = shapes == shape
        x, y = pixels[of, 0], pixels[of, 1]
        # Covered by how far the edge is, in pixels: smooth over one.
        outside = _outside(shape, away[of, 0][:, None, :], away[of, 1][:, :, None])
        inside = np.clip(0.5 - outside * np.float32(radius), 0, 1)[..., None]
        canvas[here[of][:, None, None], y[:, :, None], x[:, None, :]] += inside * (
            colours[of][:, None, None] - BACKGROUND
        )


def _outside(shape: int, x: Distances, y: Distances) -> Distances:
    """Return how far a point is from a shape's edge in radii, negative inside; exact across straight edges."""
    if shape == SHAPES.index("circle"):
        round_: Distances = np.sqrt(x * x + y * y) - np.float32(1)
        return round_
    if shape == SHAPES.index("square"):
        return np.maximum(abs(x), abs(y)) - np.float32(_SQUARE)
    if shape == SHAPES.index("triangle"):
        return np.maximum(y, np.float32(np.sqrt(0.75)) * abs(x) - y / 2) - np.float32(_TRIANGLE)
    lying: Distances = np.maximum(abs(x) - np.float32(1), abs(y) - np.float32(_CROSS))
    standing: Distances = np.maximum(abs(y) - np.float32(1), abs(x) - np.float32(_CROSS))
    return np.minimum(lying, standing)
