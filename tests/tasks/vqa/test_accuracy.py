"""The official accuracy: cases told by hand, another writing of the rules, and the official script's own scores."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.credit import credit_of as credits_of
from cellwise.tasks.vqa.evaluation import judge, read_annotations, require_same_questions
from cellwise.tasks.vqa.metrics import credit_of, official_accuracy
from cellwise.tasks.vqa.metrics.normalisation import normalised, stripped
from cellwise.tasks.vqa.results import read_official_json, read_results


def people(**answers: int) -> list[str]:
    """So many people for each answer."""
    return [answer for answer, count in answers.items() for _ in range(count)]


@pytest.mark.parametrize(("matches", "accuracy"), [*enumerate([0.0, 0.3, 0.6, 0.9, 1.0, 1.0, 1.0])])
def test_of_ten_people_so_many_must_agree(matches: int, accuracy: float) -> None:
    humans = ["red"] * matches + ["blue"] * (10 - matches)
    random.Random(matches).shuffle(humans)
    assert official_accuracy("red", humans) == pytest.approx(accuracy, abs=1e-15)
    m = matches  # and in closed form
    assert official_accuracy("red", humans) == pytest.approx(
        (m * min(1, max(m - 1, 0) / 3) + (10 - m) * min(1, m / 3)) / 10, abs=1e-15
    )


def test_where_all_people_agree_an_answer_must_be_theirs_letter_for_letter_but_for_blanks_around_it() -> None:
    agreed = people(yes=10)
    assert [official_accuracy(said, agreed) for said in ("yes", " yes\n", "\tyes", "Yes", "yes!", "the yes")] == [
        *(1.0, 1.0, 1.0, 0.0, 0.0, 0.0)
    ]
    assert official_accuracy("2", people(two=10)) == 0.0
    assert official_accuracy("a b", ["a\nb"] * 10) == 1.0  # a line's end is a blank
    # What differs in blanks around it alone is the same; in anything else it is not, and all are normalised.
    assert official_accuracy("Yes", ["yes", " yes"] * 5) == 0.0
    assert official_accuracy("YES!", ["yes"] * 9 + ["Yes"]) == 1.0


NORMALISED = {
    "N/A": "n",  # the mark touches no blank, so it becomes one, and "a" is an article
    "none": "0",
    "Ten": "10",
    "eleven": "eleven",
    "the man": "man",
    "a an the": "",
    "t-shirt": "t shirt",
    "t -shirt": "t shirt",
    "t- shirt,ok": "t shirt ok",
    "black, white": "black white",
    "black,white": "black white",
    "1,000": "1000",
    "1,000 a-b": "1000 ab",  # digit, comma, digit anywhere: every mark goes
    "1, 000-b": "1 000 b",
    "U.S.": "us",
    "3.5": "3.5",
    "5.": "5",
    ".5": ".5",
    "a.m.": "am",
    "...": "",
    "what?!": "what",
    "it's": "it's",  # an apostrophe is no mark
    "dont": "don't",
    "couldnt've": "couldn't've",
    "couldn'tve": "couldn't've",
    "somebody'd": "somebodyd",
    "somebodys": "somebody's",
    "lets": "lets",
    "shes": "shes",
    "Im": "im",
    "dont.": "don't",
    "10:30": "10:30",
    "50%": "50%",
    "one two": "1 2",
    "none of the above": "0 of above",
    "x" + "." * 40: "x" + "." * 8,  # 32 periods at most
}


@pytest.mark.parametrize(("answer", "expected"), NORMALISED.items())
def test_answers_are_normalised_with_the_scripts_oddities(answer: str, expected: str) -> None:
    assert normalised(answer) == expected


def test_normalising_twice_is_not_normalising_once() -> None:
    once = normalised("x" + "." * 40)
    assert (once, normalised(once)) == ("x........", "x")


def test_letters_are_lowered_as_python_2_did() -> None:
    assert normalised("ΑΣ") == "ασ"  # not the final sigma of today
    assert normalised("İX") == "ix"
    assert normalised("٣,٤ a-b") == "٣ ٤ b"  # only 0 to 9 are digits


def test_without_people_there_is_no_accuracy_and_one_person_has_nobody_to_agree_with() -> None:
    with pytest.raises(CellwiseError, match="needs human answers"):
        official_accuracy("red", [])
    assert official_accuracy("red", ["red"]) == 0.0
    assert (credit_of("red", ["red"]), credit_of("Red", ["red"]), credit_of("red", [])) == (1.0, 0.0, 0.0)
    assert credit_of("Red", people(red=3, blue=7)) == official_accuracy("red", people(red=3, blue=7))


# The rules once more, letter by letter, without a regular expression or `replace`: slow and of another build.
_MARKS = set(';/[]"{}()=+\\_-><@`,?!')
_NUMBERS = {"none": "0", "zero": "0", "one": "1", "two": "2", "ten": "10"}
_SHORT = {"dont": "don't", "youdve": "youdve", "youd've": "you'd've", "somebody'd": "somebodyd", "its": "its"}


def slow_normalised(answer: str) -> str:
    pairs = list(itertools.pairwise(answer))
    blanked = {b for a, b in pairs if a == " "} | {a for a, b in pairs if b == " "}
    digits = "0123456789"
    triples = zip(answer, answer[1:], answer[2:], strict=False)
    all_go = any(a in digits and b == "," and c in digits for a, b, c in triples)
    kept = [letter if letter not in _MARKS else "" if all_go or letter in blanked else " " for letter in answer]
    text, gone, out = "".join(kept), 0, ""
    for place, letter in enumerate(text):
        before_digit = place + 1 < len(text) and text[place + 1] in digits
        if letter == "." and not before_digit and gone < 32:
            gone += 1
            continue
        out += letter
    words, word = [], ""
    for letter in [*out, " "]:
        if letter.isspace():
            if word:
                words.append(word)
            word = ""
        else:
            word += letter.lower()
    numbered = [_NUMBERS.get(each, each) for each in words]
    return " ".join(_SHORT.get(each, each) for each in numbered if each not in ("a", "an", "the"))


def slow_accuracy(answer: str, humans: list[str]) -> float:
    def clean(text: str) -> str:
        spaced = [" " if letter in "\n\t" else letter for letter in text]
        while spaced and spaced[0].isspace():
            del spaced[0]
        while spaced and spaced[-1].isspace():
            del spaced[-1]
        return "".join(spaced)

    cleaned, said = [clean(each) for each in humans], clean(answer)
    if any(each != cleaned[0] for each in cleaned):
        cleaned, said = [slow_normalised(each) for each in cleaned], slow_normalised(said)
    total = 0.0
    for left_out in range(len(cleaned)):
        agree = [each for place, each in enumerate(cleaned) if place != left_out and each == said]
        total += min(1.0, len(agree) / 3)
    return total / len(cleaned)


def test_another_writing_of_the_rules_gives_the_same_bits() -> None:
    draw = random.Random(8)
    parts = ["yes", "No", "none", "two", "2", "1,000", "a", "The", "t-shirt", "N/A", "U.S.", "3.5", "dont", "its"]
    parts += ["youd've", "somebody'd", "é", ".", "..", "! ", " -", "\n", "\t", "\xa0", *_MARKS]
    for _ in range(1500):
        pool = ["".join(draw.choice(parts) + draw.choice(["", " "]) for _ in range(draw.randint(1, 4))) for _ in "ab"]
        pool += [draw.choice([each.upper(), each.strip(), f"the {each}", f"{each}!"]) for each in pool]
        humans = [draw.choice(pool) for _ in range(draw.choice([10, 10, 10, 2, 3, 7]))]
        humans = humans if draw.random() < 0.85 else humans[:1] * len(humans)
        answer = draw.choice(pool)
        assert normalised(stripped(answer)) == slow_normalised(stripped(answer)), answer
        assert official_accuracy(answer, humans) == slow_accuracy(answer, humans), (answer, humans)


@pytest.mark.skipif("CELLWISE_DATA" not in os.environ, reason="the publishers' own files, in CELLWISE_DATA")
@pytest.mark.parametrize("name", ["messy", "oracle", "prior"])
def test_the_official_scripts_own_scores_are_met_to_the_last_digit(name: str) -> None:
    """Overall, of each answer type, of each question type, and of each of 8,977 questions."""
    folder = Path(os.environ["CELLWISE_DATA"]) / "vqa-v2-subset" / "eval_check"
    annotations = read_annotations(folder / "annotations.json.gz")
    require_same_questions(annotations, folder / "questions.json.gz")
    judged = judge(read_results(folder / f"results_{name}.json.gz"), annotations)
    assert judged.to_plain() == read_official_json(folder / "expected.json.gz")[name]


@pytest.mark.skipif("CELLWISE_DATA" not in os.environ, reason="the publishers' own files, in CELLWISE_DATA")
def test_credit_gathered_at_the_predicted_class_is_the_accuracy_of_its_string() -> None:
    folder = Path(os.environ["CELLWISE_DATA"]) / "vqa-v2-subset" / "eval_check"
    annotations = read_annotations(folder / "annotations.json.gz")[:1500]
    classes = list(dict.fromkeys(answer for each in annotations[:300] for answer in each.answers))
    credit = credits_of([each.answers for each in annotations], classes)
    predicted = torch.randint(len(classes), (len(annotations),), generator=torch.Generator().manual_seed(1))
    known = {answer: number for number, answer in enumerate(classes)}
    for row, each in enumerate(annotations[:900:3]):  # where something counts, too
        predicted[3 * row] = known.get(each.answers[0], 0)
    dense = credit.dense(np.arange(len(annotations))).gather(1, predicted[:, None])[:, 0]
    expected = [official_accuracy(classes[k], each.answers) for k, each in zip(predicted, annotations, strict=True)]
    assert torch.equal(dense, torch.tensor(expected, dtype=torch.float32))
    assert 100 < int((dense > 0).sum()) < 1400
