"""The views of answers, told by hand; how far gates move at a word, against the layer's own trace."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cellwise.data.bucketed import by_length
from cellwise.records.schema import Curves, Gallery, Heatmap, Table
from cellwise.recurrent.layer import Recurrent
from cellwise.tasks.vqa import gates_by_word as moving
from cellwise.tasks.vqa import views
from cellwise.tasks.vqa.answers import answers_of, said_of
from cellwise.tasks.vqa.floors import credits_of_floors
from cellwise.tasks.vqa.questions import Batch
from tests.tasks.vqa.eval_made_up import TEST, TRAIN, UNPUBLISHED, Asked, Says, answer, made_up

MANY: tuple[Asked, ...] = tuple(one for one in TEST for _ in range(5))
SAID = ("red", "yes", "two", "no", "no")


def views_of(asked: tuple[Asked, ...], said: tuple[str, ...], *, redistributable: bool = True) -> dict[str, object]:
    splits = made_up(asked, redistributable=redistributable)
    found = said_of(Says(splits["test"], said), answer, "cross_entropy", by_length(splits["test"], 4))
    floors = credits_of_floors(splits["train"], splits["test"])
    return {view.name: view for view in views.of_test(found, splits["test"], floors)}


def test_accuracy_is_shown_by_type_of_answer_of_question_and_by_length_beside_the_floors() -> None:
    found = views_of(MANY, tuple(one for one in SAID for _ in range(5)))
    table, kinds, lengths = (
        found[f"accuracy_by_{what}"] for what in ("answer_type", "question_type", "question_length")
    )
    assert isinstance(table, Table) and isinstance(kinds, Curves) and isinstance(lengths, Curves)
    assert [column.name for column in table.columns] == [
        *("answer", "questions", "model", "majority", "question type prior")
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["yes/no", "number", "other", "all"]
    assert rows["yes/no"] == pytest.approx((10, 95.0, 0.0, 100.0))  # 0.9 and 1
    assert rows["other"] == pytest.approx((10, 100.0, 65.0, 65.0))
    assert rows["all"] == pytest.approx((25, 78.0, 26.0, 66.0))
    model, majority, prior = kinds.series
    assert (list(model.x), model.role, majority.role, prior.name) == (
        *(["is", "what", "how many", "why"], "measured", "floor", "question type prior"),
    )
    assert model.y == pytest.approx([95.0, 100.0, 0.0, 100.0])
    assert (lengths.series[0].x.tolist(), lengths.x.unit) == ([1.0, 2.0, 4.0, 5.0, 13.0], "words")
    assert lengths.series[0].y == pytest.approx([100.0, 0.0, 90.0, 100.0, 100.0])


def test_confusion_has_a_row_for_each_right_answer_that_adds_up_to_all() -> None:
    said = (*("yes",) * 5, *("blue", *["red"] * 4), *("two",) * 10)
    heatmap = views_of((*MANY[5:10], *MANY[:5], *MANY[10:20]), said)["confusion"]
    assert isinstance(heatmap, Heatmap)
    assert (heatmap.y_values.tolist(), heatmap.x_values.tolist()) == (
        ["no", "red", "2"],
        ["no", "red", "2", "any other"],
    )
    np.testing.assert_allclose(heatmap.values, [[0, 0, 0, 100], [0, 80, 0, 20], [0, 0, 0, 100]])


def test_examples_are_the_same_questions_for_every_network_and_say_whether_they_may_be_passed_on() -> None:
    one, other = (views_of((*TEST, UNPUBLISHED), (said,) * 6)["examples"] for said in ("red", "no"))
    assert isinstance(one, Gallery) and isinstance(other, Gallery)
    assert one.captions == other.captions and one.images is not None
    # Types in turn, the most frequent first: is, what, how many, why, then the others of is.
    assert one.captions == tuple((*TEST, UNPUBLISHED)[row][0] for row in (1, 0, 2, 3, 4, 5))
    assert one.right == ("no", "red", "2", "no", "no", "")
    assert one.images.shape == (6, 8, 8, 3) and {each[0] for each in one.answers} == {"red"}
    private = views_of(TEST, SAID, redistributable=False)["examples"]
    assert isinstance(private, Gallery) and one.redistributable and not private.redistributable
    alone = views_of((UNPUBLISHED,), ("no",))
    assert list(alone) == ["examples"]


def test_large_pictures_are_stored_small() -> None:
    pixels = np.zeros((300, 200, 3), np.uint8)
    pixels[:150] = 100
    small = views._thumbnail(pixels)
    assert small.shape == (100, 67, 3) and small[0, 0, 0] == 100 and small[99, 66, 2] == 0


def test_answers_are_given_by_the_questions_ids() -> None:
    questions = made_up()["test"]
    said = said_of(Says(questions, SAID), answer, "cross_entropy", by_length(questions, 2))
    assert answers_of(said, questions) == dict(zip(range(100, 105), SAID, strict=True))


class Reader(nn.Module):
    """Reads words both ways in two layers."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 3)
        self.recurrent = Recurrent("lstm", 3, 4, 2, bidirectional=True)


def read(network: nn.Module, batch: Batch) -> Tensor:
    assert isinstance(network, Reader)
    outputs: Tensor = network.recurrent(network.embedding(batch.words), None, batch.lengths)[0]
    return outputs[0]


@pytest.mark.parametrize("at_once", [3, 256])
def test_how_far_a_gate_moves_at_a_word_is_a_mean_over_its_occurrences(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "_AT_ONCE", at_once)
    questions = made_up((*TEST, *TEST, *TRAIN), TRAIN)["test"]
    torch.manual_seed(0)
    network = Reader(len(questions.vocabulary.words)).eval()
    found = {view.name: view for view in moving.gates_by_word(network, [network.recurrent], read, questions)}
    ends = ("", "_layer_1_backward", "_layer_2", "_layer_2_backward")
    assert sorted(found) == sorted(f"gates_by_word{end}" for end in ends)
    for place, end in enumerate(ends):
        moved: dict[str, list[float]] = {}  # of the forget gate, question by question
        for row in range(len(questions)):
            batch = questions[np.array([row])]
            with torch.no_grad():
                trace = network.recurrent.trace(network.embedding(batch.words))
            forget = trace.gates["forget"][place, :, 0]
            words = [questions.vocabulary.words[word] for word in batch.words[:, 0].tolist()]
            if place % 2:
                forget, words = forget.flip(0), words[::-1]
            for step in range(1, len(words)):
                moved.setdefault(words[step], []).append(float((forget[step] - forget[step - 1]).abs().mean()))
        view = found[f"gates_by_word{end}"]
        expected = {word: np.mean(each) for word, each in moved.items() if len(each) >= 5}
        shown = dict(zip(view.words, view.values[view.y_values.tolist().index("forget")], strict=True))
        assert shown == pytest.approx(expected, abs=1e-6)
        occurrences = [len(moved[word]) for word in view.words]
        assert occurrences == sorted(occurrences, reverse=True) and len(shown) > 2
    assert all(view.about == "cell" for view in found.values())


def test_questions_of_one_word_move_no_gate() -> None:
    short = [dataclasses.astuple(made_up()["test"].question(3))[2]]
    assert short == ["why ?"]
    questions = made_up((("why", ["no"] * 10, "why", "other"),) * 1)["test"]
    network = Reader(len(questions.vocabulary.words)).eval()
    assert moving.gates_by_word(network, [network.recurrent], read, questions) == []
