"""`cellwise predict RUN --image FILE --question "..."`, and a run's answers as an official file, of one small run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cellwise.cli import main
from cellwise.errors import CellwiseError
from cellwise.sweep.compose import compose_config
from cellwise.tasks.vqa import predict as predicting
from cellwise.tasks.vqa.metrics import credit_of
from cellwise.tasks.vqa.predict import predict
from cellwise.tasks.vqa.task import VqaTask
from cellwise.training.train import train
from cellwise.training.trained import load_trained, read_config

TINY = (
    *("task=vqa", "data=shapes_qa", "cell=gru", "network.hidden_size=4", "network.embedding_size=4"),
    *("data.train_questions=120", "data.valid_questions=10", "data.test_questions=30", "data.size=24"),
    *("trainer.max_steps=2", "trainer.threads=1", "task.batch_size=8", "task.eval_batch_size=8"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    return train(compose_config([*TINY, f"runs_dir={runs}"])).folder


def ends(words: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_answers_are_the_networks_own_for_a_picture_of_the_data(run: Path, tmp_path: Path) -> None:
    task, network = load_trained(run)
    assert isinstance(task, VqaTask)
    questions = task.questions["test"]
    pixels = questions.pixels(3)
    assert pixels is not None
    Image.fromarray(pixels.numpy()).save(tmp_path / "picture.png")
    lines = predict(run, read_config(run), tmp_path / "picture.png", questions.question(3).text)
    with torch.inference_mode():
        logits = task.answer(network, questions[np.array([3])])[0]
    expected = logits.softmax(0).sort(descending=True)
    answers = questions.vocabulary.answers
    said = [line.split() for line in lines[:5]]
    assert [words[0] for words in said] == [answers[k] for k in expected.indices[:5].tolist()]
    assert [float(words[1]) for words in said] == pytest.approx((100 * expected.values[:5]).tolist(), abs=0.051)
    assert lines[5:] == [f"{len(answers)} answers are possible, those of the data that it was trained on"]


def test_on_the_command_line_unknown_words_are_named_and_the_picture_may_have_any_size(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("LA", (90, 30), (200, 100)).save(tmp_path / "grey.png")
    asked = ["predict", str(run), "--image", str(tmp_path / "grey.png"), "--question"]
    assert ends([*asked, "What colour is the Zebra of the zebra's crossing?"]) == 0
    said = capsys.readouterr().out
    assert "unknown to the run, and so all read as the same word: 'zebra', \"zebra's\", 'crossing'" in said
    for words, reason in (
        ([*asked, " ?! "], "--question ' ?! ' has no word"),
        (asked[:4], "--question must be given; of a run of task=vqa, cellwise predict takes --image, --question"),
        ([*asked, "is it red", "--lead", "1h"], "--lead means nothing here"),
        ([*asked[:3], str(tmp_path / "none.png"), "--question", "is it red"], "No such file"),
    ):
        assert ends(words) == 2
        assert reason in capsys.readouterr().err


def test_what_is_no_picture_and_a_run_on_features_are_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (30, 30)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    (tmp_path / "text.png").write_text("no picture")
    for name in ("cut.png", "text.png"):
        with pytest.raises(CellwiseError, match=f"{name} is damaged or no picture"):
            predict(run, read_config(run), tmp_path / name, "is it red")
    task, network = load_trained(run)
    assert isinstance(task, VqaTask)
    monkeypatch.setattr(type(task.questions["train"]), "image_kind", "regions")
    monkeypatch.setattr(predicting, "load_trained", lambda folder: (task, network))
    with pytest.raises(CellwiseError, match="was trained on features that another network computed"):
        predict(run, read_config(run), tmp_path / "text.png", "is it red")


@pytest.mark.parametrize(("sees", "unseen"), [("image", "question"), ("question", "picture")])
def test_a_run_that_sees_one_side_alone_says_so(sees: str, unseen: str, run: Path, tmp_path: Path) -> None:
    folder = train(compose_config([*TINY, f"network.sees={sees}", f"runs_dir={tmp_path}"])).folder
    Image.new("RGB", (24, 24)).save(tmp_path / "black.png")
    lines = predict(folder, read_config(folder), tmp_path / "black.png", "zebra")
    assert f"the run does not look at the {unseen}: its answers follow from the {_other(unseen)} alone" in lines
    assert any("unknown to the run" in line for line in lines) is (sees == "question")


def _other(side: str) -> str:
    return "picture" if side == "question" else "question"


def test_a_runs_answers_are_written_as_an_official_file_whose_score_is_the_runs(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, scores = tmp_path / "answers.json", tmp_path / "scores.json"
    assert ends(["evaluate", str(run), "--answers", str(out), "--out", str(scores)]) == 0
    answers: list[dict[str, Any]] = json.loads(out.read_text())
    task = load_trained(run).task
    assert isinstance(task, VqaTask)
    asked = [task.questions["test"].question(row) for row in range(30)]
    assert [each["question_id"] for each in answers] == [question.id for question in asked]
    right = [credit_of(each["answer"], question.answers) for each, question in zip(answers, asked, strict=True)]
    recorded = json.loads((run / "summary.json").read_text())
    assert 100 * sum(right) / 30 == pytest.approx(recorded["value"]) and "answers" not in json.loads(scores.read_text())
    assert f"written: {out}" in capsys.readouterr().out
    missing = tmp_path / "missing" / "answers.json"
    assert ends(["evaluate", str(run), "--answers", str(missing)]) == 2
    assert "give another file with --answers" in capsys.readouterr().err


def test_a_run_that_is_not_finished_predicts_nothing(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "summary.json").unlink()
    Image.new("RGB", (24, 24)).save(tmp_path / "black.png")
    with pytest.raises(CellwiseError, match="is not a finished run"):
        predict(copy, read_config(copy), tmp_path / "black.png", "is it red")
