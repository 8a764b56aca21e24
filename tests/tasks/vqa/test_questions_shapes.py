"""shapes_qa: every answer is right for its scene, the first words decide, and nothing else tells the answer."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pytest
import torch

from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.data_settings import ShapesQA, build_questions, image_shape_of, read_data
from cellwise.tasks.vqa.scenes import COLOURS, RADIUS, SHAPES, Scene, draw
from cellwise.tasks.vqa.shapes_language import HEAD_WORDS, Asked
from cellwise.tasks.vqa.shapes_qa import asked_at, asked_of

SMALL = ShapesQA(train_questions=60, valid_questions=8, test_questions=8)
MANY = ShapesQA(train_questions=3_000)


@pytest.fixture(scope="module")
def asked() -> list[Asked]:
    return asked_of(MANY, "train")


@dataclass(frozen=True)
class Seen:
    """One object of a scene."""

    colour: str
    shape: str
    x: float
    y: float

    def beside(self, side: str, x: float, y: float) -> str:
        holds = {"left": self.x < x, "right": self.x > x, "above": self.y < y, "below": self.y > y}[side]
        return "yes" if holds else "no"

    def away(self, other: Seen) -> float:
        return math.dist((self.x, self.y), (other.x, other.y))


def named(objects: list[Seen], word: str) -> Seen:
    [found] = [each for each in objects if word in (each.colour, each.shape)]
    return found


def answered(words: list[str], scene: Scene) -> str:
    """The answer to a question's first words, by looking at every object; it knows nothing of the generator."""
    objects = [
        Seen(list(COLOURS)[c], SHAPES[s], x, y)
        for c, s, (x, y) in zip(scene.colours, scene.shapes, scene.places.tolist(), strict=True)
    ]
    match words:
        case ["is", "there", _, name, "one", *_]:
            return "yes" if any(name == each.colour for each in objects) else "no"
        case ["shape", "of", "the", name, "one", *_] | ["what", "shape", "is", "the", name, "one"]:
            return named(objects, name).shape
        case ["colour", "of", "the", name, "one", *_] | ["what", "colour", "is", "the", name, "one"]:
            return named(objects, name).colour
        case ["how", "many", plural, "are", "there", *_] | ["how", "many", "of", "the", "objects", "are", plural]:
            singular = {"circles": "circle", "squares": "square", "triangles": "triangle", "crosses": "cross"}[plural]
            return str(sum(each.shape == singular for each in objects))
        case ["is", "the", name, "one", side, *_, "centre"] | ["is", name, side, "of" | "the", "centre", *_]:
            return named(objects, name).beside(side, 0.5, 0.5)
    return related(words, objects)


def related(words: list[str], objects: list[Seen]) -> str:
    match words:
        case ["how", "many", "have", "the", "shape", "of", "the", name, "one"]:
            return str(sum(each.shape == named(objects, name).shape for each in objects))
        case ["is", "the", name, "one", side, *_, word, "one"]:
            other = named(objects, word)
            return named(objects, name).beside(side, other.x, other.y)
        case ["what", "shape", "is", "the", "one", "nearest" | "farthest" as which, _, "the", name, "one"]:
            one = named(objects, name)
            others = [each for each in objects if each is not one]
            return (min if which == "nearest" else max)(others, key=one.away).shape
    raise AssertionError(words)


def test_every_answer_is_right_for_its_scene(asked: list[Asked]) -> None:
    assert [each.answer for each in asked] == [answered(each.text.split(), each.scene) for each in asked]


def test_the_image_shows_the_scene(asked: list[Asked]) -> None:
    """Each colour is where its object is, as large as its shape; nothing overlaps or touches the border."""
    scenes = [each.scene for each in asked[:200]]
    side = 64
    full = {
        "circle": math.pi,
        "square": 4 * 0.85**2,
        "triangle": 3 * math.sqrt(3) * 0.55**2,
        "cross": 4 * 0.36 * (2 - 0.36),
    }
    for scene, image in zip(scenes, draw(scenes, side).astype(float), strict=True):
        light = image - 24
        assert light.min() >= -0.5
        assert not light[[0, -1]].any() and not light[:, [0, -1]].any()
        for colour, shape, (x, y) in zip(scene.colours, scene.shapes, scene.places, strict=True):
            wanted = np.array(list(COLOURS.values())[colour], dtype=float) - 24
            rows, columns = np.indices(light.shape[:2]) + 0.5
            near = np.hypot(columns - x * side, rows - y * side) < 1.25 * RADIUS * side + 1
            inside = (light * near[..., None]) @ wanted / (wanted @ wanted)
            assert inside.max() == pytest.approx(1, abs=0.02)
            assert inside.sum() == pytest.approx(full[SHAPES[shape]] * (RADIUS * side) ** 2, rel=0.06)
            assert (inside * columns).sum() / inside.sum() == pytest.approx(x * side, abs=0.15)
            assert (inside * rows).sum() / inside.sum() == pytest.approx(y * side, abs=0.15)


def test_what_follows_the_first_words_changes_nothing_and_the_first_words_everything(asked: list[Asked]) -> None:
    """A compositional question's head alone gives the answer; another question's head gives another one mostly."""
    long = [each for each in asked if each.question_type == "compositional"]
    heads = [each.text.split()[:HEAD_WORDS] for each in long]
    assert [answered(head, each.scene) for head, each in zip(heads, long, strict=True)] == [e.answer for e in long]
    other = 0
    for each, head in zip(long, [*heads[1:], heads[0]], strict=True):
        try:
            other += answered(head, each.scene) != each.answer
        except ValueError:  # asks for an object that is not there, or for one of two
            other += 1
    assert other > 0.85 * len(long)


def test_without_its_first_words_a_question_tells_nothing_of_its_answer(asked: list[Asked]) -> None:
    """The best guess from the first, or the last, request that is left is no better than the most frequent answer."""
    long = [each for each in asked if each.question_type == "compositional" and len(each.text.split()) >= 11]
    learnt, judged = long[: len(long) // 2], long[len(long) // 2 :]
    for part in (0, -1):
        left = {id(each): " ".join(each.text.split()[HEAD_WORDS:]).split("then ")[1:][part] for each in long}
        seen: dict[str, Counter[str]] = {}
        for each in learnt:
            seen.setdefault(left[id(each)], Counter())[each.answer] += 1
        majority = Counter(each.answer for each in learnt).most_common(1)[0][0]
        guessed = [seen.get(left[id(each)], Counter([majority])).most_common(1)[0][0] for each in judged]
        right = np.mean([guess == each.answer for guess, each in zip(guessed, judged, strict=True)])
        chance = np.mean([each.answer == majority for each in judged])
        assert right < chance + 3 * math.sqrt(0.2 * 0.8 / len(judged))


def test_answers_kinds_and_lengths_are_balanced(asked: list[Asked]) -> None:
    types = Counter(each.question_type for each in asked)
    assert [types[name] / len(asked) for name in ("compositional", "relational", "non_relational")] == pytest.approx(
        [0.6, 0.2, 0.2], abs=0.03
    )
    long = [each for each in asked if each.question_type == "compositional"]
    lengths = Counter(len(each.text.split()) for each in long)
    assert sorted(lengths) == list(range(5, 41))
    assert max(lengths.values()) < 2.2 * min(lengths.values())  # 50 each
    answers = Counter(each.answer for each in long)
    kinds = (("yes", "no"), ("0", "1", "2", "3"), SHAPES, tuple(COLOURS))
    assert set(answers) == {answer for kind in kinds for answer in kind}
    for kind in kinds:
        share = np.array([answers[answer] for answer in kind]) / len(long)
        wanted = (0.4 if "yes" in kind else 0.2) / len(kind)  # is there, and where is it: two kinds of five
        assert share == pytest.approx(wanted, abs=4 * math.sqrt(wanted / len(long)))
    # Length says nothing of the answer.
    half = [
        Counter(e.answer in ("yes", "no") for e in long if (len(e.text.split()) < 20) is low) for low in (True, False)
    ]
    assert half[0][True] / half[0].total() == pytest.approx(half[1][True] / half[1].total(), abs=0.07)


def test_a_question_is_a_function_of_its_number_alone() -> None:
    one = asked_at(replace(SMALL, train_questions=1_000), "train", 7)
    few = asked_of(SMALL, "train")
    assert (one.text, one.answer) == (few[7].text, few[7].answer)
    assert np.array_equal(one.scene.places, few[7].scene.places)
    others = [asked_at(replace(SMALL, seed=1), "train", 7), *(asked_at(SMALL, split, 7) for split in get_args(Split))]
    assert len({each.scene.places.tobytes() for each in others}) == 4


def test_a_batch_has_words_images_and_credit_of_its_rows() -> None:
    questions = build_questions(SMALL)
    train = questions["train"]
    rows = np.array([5, 0, 41])
    batch = train[rows]
    words = train.vocabulary.words
    for column, row in enumerate(rows):
        question = train.question(int(row))
        length = int(batch.lengths[column])
        assert [words[k] for k in batch.words[:length, column]] == list(question.tokens) == question.text.split()
        assert not batch.words[length:, column].any()
        assert train.vocabulary.answers[int(batch.mode[column])] == question.mode
        assert batch.credit[column].nonzero().tolist() == [[int(batch.mode[column])]]
        pixels = train.pixels(int(row))
        assert pixels is not None
        assert torch.equal(batch.images[column], pixels.permute(2, 0, 1).float() / 255)
    assert batch.rows.tolist() == rows.tolist()
    assert train.lengths()[rows].tolist() == batch.lengths.tolist()
    assert train.image_shape == image_shape_of(SMALL) == (3, 32, 32)
    assert len({questions[split].sha256() for split in questions}) == 3
    assert questions["train"].sha256() == build_questions(SMALL)["train"].sha256()
    assert questions["train"].sha256() != build_questions(replace(SMALL, size=40))["train"].sha256()


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong, said in (
        ({"objects_max": 3, "objects_min": 4}, "data.objects_max=3 is less than data.objects_min=4"),
        ({"words_min": 30, "words_max": 20}, "data.words_max=20 is less"),
        ({"compositional": 0.7, "relational": 0.5}, "together they must be 1 or less"),
        ({"words_min": 4}, "must be 5 or more"),
    ):
        with pytest.raises(CellwiseError, match=said):
            read_data({"name": "shapes_qa", **wrong})
