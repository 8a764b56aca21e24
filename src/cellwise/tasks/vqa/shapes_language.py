"""The questions of shapes_qa: a scene for each, drawn so that every answer of its kind is as frequent.

Kinds, with the number of their words and their answers, each kind as frequent as the others of its type:

non_relational (5 to 8 words)
    *is there any red one*: yes, no; *what shape is the red one*: four shapes; *what colour is the square one*, of which
    there is one: six colours; *is the red one left of the centre*, or *right of*, *above*, *below*: yes, no; *how many
    of the objects are squares*: 0 to 3.
relational (8 to 10 words)
    *what shape is the one nearest to the red one*, or *farthest from*: four shapes; *is the red one left of the blue
    one*, or *right of*, *above*, *below*: yes, no; *how many have the shape of the red one*: 1 to 3.
compositional (`words_min` to `words_max` words)
    A list of requests, of which the first is to be answered. It is a non-relational question in five words (*is there
    a red one*, *shape of the red one*, *colour of the square one*, *is red left of centre*, *how many squares are
    there*); what follows asks for something else in the same words, whole or cut short (*then how many circles are
    there*, *then the blue one*, *then the cross*, *then green*), and does not change the answer. Whoever reads the list
    from its beginning must keep kind, object and side through all that follows; whoever forgets can only guess: what
    follows is drawn without a look at question, scene or answer, and so is the number of words.

*is there* is the one kind that asks about a colour alone: something to begin with. Without it a GRU of 64 units with
attention over a grid answered no kind better than by chance after 1,500 batches of 64; with it colours were learnt by
then, and shapes next.

The kinds are those of Sort-of-CLEVR (Santoro et al. 2017, arXiv:1706.01427) in words; there a question is a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from cellwise.tasks.vqa.scenes import COLOURS, RADIUS, REACH, SHAPES, Places, Scene

QuestionType = Literal["non_relational", "relational", "compositional"]
AnswerType = Literal["yes/no", "number", "other"]
Kind = Literal["exists", "shape", "colour", "side", "count", "shape_of_other", "side_of_other", "count_alike"]

HEAD_WORDS = 5
"""Words of a compositional question that decide its answer: the first ones."""

PLURALS = ("circles", "squares", "triangles", "crosses")
SIDES = ("left of", "right of", "above", "below")

_NAMES = tuple(COLOURS)
_NON_RELATIONAL: tuple[Kind, ...] = ("exists", "shape", "colour", "side", "count")
_RELATIONAL: tuple[Kind, ...] = ("shape_of_other", "side_of_other", "count_alike")
_MOST = 3  # the greatest answer that is a number
_APART = 2 * REACH * RADIUS  # centres of two objects: they do not touch
_CLEAR = 0.6 * RADIUS  # how much nearer, or further to a side, something must be for a question about it
_TRIED = 64  # arrangements drawn at once

Fits = Callable[[Places], npt.NDArray[np.bool_]]


class Asked(NamedTuple):
    """A question about a scene.

    Attributes:
        scene: what it is about.
        text: its words, parted by blanks.
        answer: the right one.
        question_type: of the three.
        answer_type: of it.
    """

    scene: Scene
    text: str
    answer: str
    question_type: QuestionType
    answer_type: AnswerType


class _Case(NamedTuple):
    """A scene with what is asked about it; `phrase` says it in words, long or in `HEAD_WORDS`."""

    kind: Kind
    scene: Scene
    first: str  # the name of the colour, or of the shape, that is asked about
    second: str  # the other object's colour, or the place that the first may be at
    answer: str

    def phrase(self, *, short: bool) -> str:
        return _phrase(self.kind, self.first, self.second, short=short)


def ask(rng: np.random.Generator, question_type: QuestionType, objects: tuple[int, int], words: int) -> Asked:
    """Return a question with its scene, drawn from a stream.

    Args:
        rng: of which a number of draws is used that depends on what is drawn.
        question_type: of the three.
        objects: fewest and most.
        words: of a compositional question, `HEAD_WORDS` or more.
    """
    kinds = _RELATIONAL if question_type == "relational" else _NON_RELATIONAL
    case = _case(rng, kinds[rng.integers(len(kinds))], int(rng.integers(objects[0], objects[1] + 1)))
    text = case.phrase(short=question_type == "compositional")
    if question_type == "compositional":
        text = " ".join([text, *_rest(rng, words - HEAD_WORDS)])
    return Asked(case.scene, text, case.answer, question_type, _answer_type(case.kind))


def _answer_type(kind: Kind) -> AnswerType:
    if kind in ("exists", "side", "side_of_other"):
        return "yes/no"
    return "number" if kind in ("count", "count_alike") else "other"


def _phrase(kind: Kind, first: str, second: str, *, short: bool) -> str:
    if short:
        of_centre = f"{second} centre" if second.endswith("of") else f"{second} the centre"
        return {
            "exists": f"is there a {first} one",
            "shape": f"shape of the {first} one",
            "colour": f"colour of the {first} one",
            "side": f"is {first} {of_centre}",
            "count": f"how many {first} are there",
        }[kind]
    return {
        "exists": f"is there any {first} one",
        "shape": f"what shape is the {first} one",
        "colour": f"what colour is the {first} one",
        "side": f"is the {first} one {second} the centre",
        "count": f"how many of the objects are {first}",
        "shape_of_other": f"what shape is the one {second} the {first} one",
        "side_of_other": f"is the {first} one {second}",
        "count_alike": f"how many have the shape of the {first} one",
    }[kind]


def _rest(rng: np.random.Generator, words: int) -> list[str]:
    """Return so many words that ask for something else."""
    if words == 1:
        return ["first"]
    found: list[str] = []
    while words:
        sizes = [size for size in (6, 6, 6, 4, 3, 2) if size <= words and words - size != 1]
        size = sizes[rng.integers(len(sizes))]
        found += _aside(rng, size).split()
        words -= size
    return found


def _aside(rng: np.random.Generator, words: int) -> str:
    colour, shape = _NAMES[rng.integers(len(_NAMES))], int(rng.integers(len(SHAPES)))
    if words < 6:
        return {4: f"then the {colour} one", 3: f"then the {SHAPES[shape]}", 2: f"then {colour}"}[words]
    kind = _NON_RELATIONAL[rng.integers(len(_NON_RELATIONAL))]
    first = {"colour": SHAPES[shape], "count": PLURALS[shape]}.get(kind, colour)
    return "then " + _phrase(kind, first, SIDES[rng.integers(len(SIDES))], short=True)


def _case(rng: np.random.Generator, kind: Kind, objects: int) -> _Case:
    """Draw the answer first, then a scene that has it; object 0 is the one that is asked about."""
    colours = tuple(int(k) for k in rng.permutation(len(COLOURS))[:objects])
    shapes = [int(k) for k in rng.integers(len(SHAPES), size=objects)]
    return _DRAWN[kind](rng, colours, shapes)


def _exists(rng: np.random.Generator, colours: tuple[int, ...], shapes: list[int]) -> _Case:
    yes = bool(rng.integers(2))
    missing = sorted(set(range(len(COLOURS))) - set(colours))
    # All six colours may be there: then the first object takes the place of none, and the answer is yes.
    colour = colours[0] if yes or not missing else missing[rng.integers(len(missing))]
    scene = Scene(colours, tuple(shapes), arranged(rng, len(shapes)))
    return _Case("exists", scene, _NAMES[colour], "", "yes" if colour in colours else "no")


def _shape(rng: np.random.Generator, colours: tuple[int, ...], shapes: list[int]) -> _Case:
    # Colours and shapes are uniform already, so the answer is.
    scene = Scene(colours, tuple(shapes), arranged(rng, len(shapes)))
    return _Case("shape", scene, _NAMES[colours[0]], "", SHAPES[shapes[0]])


def _colour(rng: np.random.Generator, colours: tuple[int, ...], shapes: list[int]) -> _Case:
    others = _shapes_but(rng, shapes[0], len(shapes) - 1)
    scene = Scene(colours, (shapes[0], *others), arranged(rng, len(shapes)))
    return _Case("colour", scene, SHAPES[shapes[0]], "", _NAMES[colours[0]])


def _count(rng: np.random.Generator, colours: tuple[int, ...], shapes: list[int]) -> _Case:
    number = int(rng.integers(_MOST + 1))
    found = rng.permutation([shapes[0]] * number + _shapes_but(rng, shapes[0], len(shapes) - number))
    scene = Scene(colours, tuple(int(k) for k in found), arranged(rng, len(shapes)))
    return _Case("count", scene, PLURALS[shapes[0]], "", str(number))


def _side(rng: np.random.Generator, colours: tuple[int, ...], shapes: list[int]) -> _Case:
    side, yes = int(rng.integers(len(SIDES))), bool(rng.integers(2))
    axis, less = side // 2, side % 2 == 0
    places = arranged(rng, len(shapes), lambda tried: abs(tried[:, 0, axis] - 0.5) >= _CLEAR)
    if (places[0, axis] < 0.5) != (less == yes):
        places[:, axis] = 1 - places[:, axis]
    scene = Scene(colours, tuple(shapes), places)
    return _Case("side", scene, _NAMES[colours[0]], SIDES[side], "yes" if yes else "no")


def _side_of_other(rng: np.random.Generator, colours: tuple[int, ...], shapes: list[int]) -> _Case:
    side, yes = int(rng.integers(len(SIDES))), bool(rng.integers(2))
    axis, less = side // 2, side % 2 == 0
    places = arranged(rng, len(shapes), lambda tried: abs(tried[:, 0, axis] - tried[:, 1, axis]) >= _CLEAR)
    if (places[0, axis] < places[1, axis]) != (less == yes):
        places[:, axis] = 1 - places[:, axis]
    scene = Scene(colours, tuple(shapes), places)
    second = f"{SIDES[side]} the {_NAMES[colours[1]]} one"
    return _Case("side_of_other", scene, _NAMES[colours[0]], second, "yes" if yes else "no")


def _shape_of_other(rng: np.random.Generator, colours: tuple[int, ...], shapes: list[int]) -> _Case:
    nearest = bool(rng.integers(2))

    def clear(tried: Places) -> npt.NDArray[np.bool_]:
        away = np.sort(_from_first(tried), axis=-1)
        return away[:, 1] - away[:, 0] >= _CLEAR if nearest else away[:, -1] - away[:, -2] >= _CLEAR

    places = arranged(rng, len(shapes), clear)
    away = _from_first(places[None])[0]
    other = 1 + int(away.argmin() if nearest else away.argmax())
    scene = Scene(colours, tuple(shapes), places)
    second = "nearest to" if nearest else "farthest from"
    return _Case("shape_of_other", scene, _NAMES[colours[0]], second, SHAPES[shapes[other]])


def _count_alike(rng: np.random.Generator, colours: tuple[int, ...], shapes: list[int]) -> _Case:
    number = int(rng.integers(1, _MOST + 1))
    others = rng.permutation([shapes[0]] * (number - 1) + _shapes_but(rng, shapes[0], len(shapes) - number))
    scene = Scene(colours, (shapes[0], *(int(k) for k in others)), arranged(rng, len(shapes)))
    return _Case("count_alike", scene, _NAMES[colours[0]], "", str(number))


_DRAWN: Mapping[Kind, Callable[[np.random.Generator, tuple[int, ...], list[int]], _Case]] = {
    "exists": _exists,
    "shape": _shape,
    "colour": _colour,
    "side": _side,
    "count": _count,
    "shape_of_other": _shape_of_other,
    "side_of_other": _side_of_other,
    "count_alike": _count_alike,
}


def _shapes_but(rng: np.random.Generator, shape: int, number: int) -> list[int]:
    return [int(k) for k in (shape + rng.integers(1, len(SHAPES), size=number)) % len(SHAPES)]


def _from_first(places: Places) -> npt.NDArray[np.float64]:
    """Return how far all others are from object 0, (arrangements, objects - 1)."""
    away = places[:, 1:] - places[:, :1]
    return np.hypot(away[..., 0], away[..., 1])


@cache
def _pairs(objects: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return np.triu_indices(objects, 1)


def arranged(rng: np.random.Generator, objects: int, fits: Fits | None = None) -> Places:
    """Return places of objects that do not overlap, wholly inside, float64 (objects, 2): the first ones that fit."""
    one, other = _pairs(objects)
    border = REACH * RADIUS
    while True:
        tried = border + rng.random((_TRIED, objects, 2)) * (1 - 2 * border)
        between = tried[:, one] - tried[:, other]
        good = (between * between).sum(-1).min(-1) >= _APART * _APART
        if fits is not None:
            good &= fits(tried)
        if good.any():
            return np.array(tried[good.argmax()])
