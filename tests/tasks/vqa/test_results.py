"""Files of answers: read, written, judged as on the command line, and refused with what is wrong in them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cellwise.cli import main
from cellwise.errors import CellwiseError
from cellwise.tasks.vqa.evaluation import Annotation, judge, read_annotations, require_same_questions
from cellwise.tasks.vqa.results import read_results, results_json


def annotation(number: int, answers: list[str], kind: str = "what", of: str = "other") -> dict[str, Any]:
    people = [
        {"answer": answer, "answer_id": place, "answer_confidence": "yes"} for place, answer in enumerate(answers, 1)
    ]
    return {"question_id": number, "question_type": kind, "answer_type": of, "image_id": 1, "answers": people}


ANNOTATIONS = [
    annotation(1, ["red"] * 8 + ["blue"] * 2),
    annotation(2, ["yes"] * 10, "is", "yes/no"),
    annotation(3, ["2"] * 4 + ["3"] * 6, "how many", "number"),
]


def write(path: Path, value: Any) -> Path:
    content = json.dumps(value).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_answers_come_back_as_they_were_written(tmp_path: Path) -> None:
    answers: dict[int | str, str] = {3: "état", 1: 'a "b"\n', "x": ""}
    path = tmp_path / "answers.json"
    path.write_bytes(results_json(answers))
    assert read_results(path) == answers
    assert path.read_text().splitlines()[1] == '{"question_id": 3, "answer": "état"},'
    assert json.loads(results_json({})) == []


def test_a_file_is_scored_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["score", "vqa", "--results", str(tmp_path / "r.json"), "--annotations", str(tmp_path / "a.json.gz")]
    write(tmp_path / "a.json.gz", {"annotations": ANNOTATIONS})
    write(tmp_path / "q.json", {"questions": [{"question_id": number} for number in (3, 2, 1)]})
    write(tmp_path / "r.json", [{"question_id": n, "answer": a} for n, a in ((1, "Blue."), (2, "Yes"), (3, "two"))])
    with pytest.raises(SystemExit) as ended:
        main([*files, "--questions", str(tmp_path / "q.json"), "--out", str(tmp_path / "scores.json")])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "accuracy 53.33 % over 3 questions" in said  # 0.6, 0 and 1
    assert json.loads((tmp_path / "scores.json").read_text()) == {
        "overall": 53.33,
        "perAnswerType": {"other": 60.0, "yes/no": 0.0, "number": 100.0},
        "perQuestionType": {"what": 60.0, "is": 0.0, "how many": 100.0},
        "evalQA": {"1": 60.0, "2": 0.0, "3": 100.0},
    }
    write(tmp_path / "r.json", [{"question_id": 1, "answer": "red"}])
    with pytest.raises(SystemExit) as ended:
        main(files)
    assert ended.value.code == 2
    assert "the results lack 2 questions (2, 3) of 3" in capsys.readouterr().err


def test_halves_are_rounded_away_from_zero_as_python_2_did() -> None:
    """1 of 32 right is 3.125 %, which Python 3 rounds to 3.12."""
    annotations = [Annotation(number, ("yes",) * 4, "is", "yes/no") for number in range(32)]
    judged = judge({number: "yes" if number == 0 else "no" for number in range(32)}, annotations)
    assert (round(100 / 32, 2), judged.overall) == (3.12, 3.13)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"results": []}, "is not a list"),
        ([1], "entry 1 is '1'"),
        ([{"question_id": 1, "answer": "a"}, {"question_id": True, "answer": "a"}], "entry 2"),
        ([{"question_id": 1, "answer": 2}], 'each is {"question_id": a number, "answer": "..."}'),
        ([{"question_id": n % 5, "answer": "a"} for n in range(9)], r"answered twice: 4 questions \(0, 1, 2, ...\)"),
    ],
)
def test_results_of_another_form_are_refused(content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(CellwiseError, match=said):
        read_results(write(tmp_path / "r.json", content))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(b"[" * 1000)[:20])
    (tmp_path / "odd.json").write_text('[{"question_id": 1')
    for name, said in (("none.json", "No such file"), ("cut.json.gz", "is no JSON"), ("odd.json", "is no JSON")):
        with pytest.raises(CellwiseError, match=said) as caught:
            read_results(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], 'no list "annotations"'),
        ({"annotations": []}, "has no annotations"),
        ({"annotations": [ANNOTATIONS[0], {"question_id": 2}]}, r"annotation 2 is not of the official form \(KeyError"),
        ({"annotations": [annotation(1, [])]}, "annotation 1 needs a question_id, at least one answer"),
        ({"annotations": [*ANNOTATIONS, ANNOTATIONS[1]]}, r"annotated twice: 1 question \(2\)"),
    ],
)
def test_annotations_of_another_form_are_refused(content: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(CellwiseError, match=said):
        read_annotations(write(tmp_path / "a.json", content))


def test_questions_and_answers_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    annotations = read_annotations(write(tmp_path / "a.json", {"annotations": ANNOTATIONS}))
    for ids, said in (
        ([1, 2, 3, 4], r"1 question \(4\) without annotation"),
        ([1], r"lacks 2 questions \(2, 3\) that are annotated"),
        ([1, 2, 3, 3], r"asked twice: 1 question \(3\)"),
        ([1, None], "question 2 has no question_id"),
    ):
        path = write(tmp_path / "q.json", {"questions": [{"question_id": number} for number in ids]})
        with pytest.raises(CellwiseError, match=said):
            require_same_questions(annotations, path)
    with pytest.raises(CellwiseError, match=r"answer 1 question \(9\) that the annotations do not have"):
        judge({1: "a", 2: "b", 3: "c", 9: "d"}, annotations)
