"""A finished run is scored on other data with its own vocabulary, metrics and floors; its record stays as it is."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cellwise.cli import main
from cellwise.sweep.compose import compose_config
from cellwise.sweep.other_data import with_other_data
from cellwise.sweep.plan import plan
from cellwise.tasks import build_task
from cellwise.training.evaluate import Evaluation, evaluate
from cellwise.training.settings import read
from cellwise.training.train import train
from cellwise.training.trained import load_trained, read_config
from tests.training.cut_runs import MEMORY, configured

WORDS = "the cat sat on the mat . the dog sat on the log . a cat saw the dog . the dog saw a cat .\n"


def scored(run: Path, *words: str, split: Any = "test") -> Evaluation:
    return evaluate(run, with_other_data(read_config(run), words), split)


def summary(run: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return read


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """A finished run on the adding problem, sequences of 4 steps."""
    return train(configured(tmp_path / "runs", *MEMORY)).folder


@pytest.fixture
def own_text(tmp_path: Path) -> Callable[..., Path]:
    """``own_text(name, train, other, *overrides)``: a finished run on a text of the user's."""

    def build(name: str, train_text: str, other: str, *overrides: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for split, text in (("train", train_text), ("valid", other), ("test", other)):
            (folder / f"{split}.txt").write_text(text)
        words = ["data=text", f"data.path={folder}", "task.batch_size=2", "task.steps=3", "network.hidden_size=4"]
        [run] = plan([*words, "trainer.max_epochs=1", "trainer.threads=1", f"runs_dir={tmp_path / 'runs'}", *overrides])
        return train(run.config).folder

    return build


def test_on_its_own_data_a_run_has_the_scores_of_its_record(
    memory: Path, own_text: Callable[..., Path], tiny: Callable[..., dict[str, Any]]
) -> None:
    for run in (memory, own_text("cats", WORDS * 3, WORDS), train(tiny()).folder):
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        found, recorded = scored(run), summary(run)
        assert found.metrics == recorded["metrics"]
        assert (found.value, found.floors, found.optimum) == tuple(recorded[k] for k in ("value", "floors", "optimum"))
        assert found.recorded == recorded["value"]
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_validation_scored_as_other_data_is_what_selected_the_weights(memory: Path) -> None:
    assert scored(memory, split="valid").value == summary(memory)["validation"]


def test_longer_sequences_are_scored_as_a_run_on_them_would_be(memory: Path, tmp_path: Path) -> None:
    found = scored(memory, "data.length=100", "data.test_sequences=30", "task.eval_batch_size=7")
    _, network = load_trained(memory)
    config = compose_config([*MEMORY, "data.length=100", "data.test_sequences=30"])
    other = build_task("memory", read(config).task)
    answers = [(network(inputs)[0].detach().numpy(), sums.numpy()) for inputs, sums in other.loader("test")]
    squared = sum(float(np.square(answer - sums).sum()) for answer, sums in answers)
    assert found.value == pytest.approx(squared / 30, rel=1e-6)
    assert found.floors == other.floors()
    assert found.remarks == ("30 sequences of 100 steps",)
    assert found.checksums == {"adding/test": other.checksums["adding/test"]}
    assert found.data["length"] == 100


def test_another_text_is_read_in_the_runs_vocabulary(own_text: Callable[..., Path]) -> None:
    run = own_text("cats", WORDS * 3, WORDS)
    other = own_text("dogs", "dog the . cat a saw " * 9, "a dog sat .")  # other words first, so other numbers
    texts = run.parents[3]
    found = scored(run, f"data.path={texts / 'dogs'}")
    task, _ = load_trained(run)
    numbers = [task.corpus.vocabulary.index(word) for word in ["a", "dog", "sat", ".", "<eos>"]]  # type: ignore[attr-defined]
    same = task.on_other_data(read(with_other_data(read_config(run), [f"data.path={texts / 'dogs'}"])).task, "test")
    assert same.corpus.splits["test"].tolist() == numbers  # type: ignore[attr-defined]
    counts = np.bincount(task.corpus.splits["train"])  # type: ignore[attr-defined]
    unigram = math.exp(-np.log(counts[numbers[1:]] / counts.sum()).mean())
    assert found.floors["unigram"] == pytest.approx(unigram, rel=1e-12)
    assert found.remarks == (f"5 tokens of test of {texts / 'dogs'}",)
    assert found.data["sha256"] == read_config(other)["data"]["sha256"]


def test_unknown_words_are_unk_where_the_run_has_it_and_counted(own_text: Callable[..., Path], tmp_path: Path) -> None:
    run = own_text("cats", WORDS * 3, WORDS + "zebra\n")  # validation needs <unk>
    (tmp_path / "other.txt").write_text("the cat ate the fish . " * 20)
    found = scored(run, f"data.path={tmp_path / 'other.txt'}")
    tokens = 121 - 121 * 95 // 100  # <eos> at the end
    assert found.remarks[0] == f"{tokens} tokens of test of {tmp_path / 'other.txt'}"
    assert "of them are unknown to the run and count as <unk>" in found.remarks[1]


def refused(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> str:
    """What the command line says to an evaluation, in one line."""
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(run), *words])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_unknown_words_are_refused_by_name_and_number_where_the_run_has_no_unk(
    own_text: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = own_text("cats", WORDS * 3, WORDS)
    folder = tmp_path / "fish"
    shutil.copytree(tmp_path / "cats", folder)
    (folder / "test.txt").write_text("the fish saw a fish and the cat")
    said = refused(capsys, run, f"data.path={folder}")
    assert "3 of the 9 word tokens" in said and "'fish' (2 times), 'and' (1 times);" in said and "<unk>" in said


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("network.hidden_size=8", "network.hidden_size=8 would be another run; evaluation takes data=..., "),
        ("seed=3", "seed=3 would be another run"),
        ("task.batch_size=3", "task.batch_size=3 would be another run"),
        (
            "task.eval_size=3",
            "would be another run; evaluation takes data=..., data.<key>=..., data_dir=..., task.eval_",
        ),
        ("data.lenght=9", "unknown key in 'data' 'lenght'; did you mean 'length'?"),
        ("data.length=0", "data.length=0 is too small"),
        ("data.length=3,4", "data.length=3,4 has several values"),
        ("data=nowhere", "unknown data 'nowhere'; allowed: "),
        ("data=ptb", "unknown data 'ptb'"),
        ("data=text", "data.path is not set; give data.path=..."),
    ],
)
def test_what_is_no_other_data_of_the_same_task_is_refused(
    memory: Path, capsys: pytest.CaptureFixture[str], word: str, told: str
) -> None:
    assert told in refused(capsys, memory, word)


def test_a_vocabulary_of_its_own_is_refused(own_text: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    run = own_text("cats", WORDS * 3, WORDS)
    assert "the vocabulary stays the run's" in refused(capsys, run, "data.vocabulary_size=5")


def test_the_generated_text_with_longer_distances_knows_its_best_possible(tiny: Callable[..., dict[str, Any]]) -> None:
    run = train(tiny()).folder
    words = ("data.distance=uniform", "data.distance_min=20", "data.distance_max=30")
    found = scored(run, *words)
    other = build_task("language", read(tiny(*words)).task)
    assert found.optimum == other.optimum() != summary(run)["optimum"]
    assert found.floors["unigram"] != other.floors()["unigram"]  # the run's own text has the counts


def test_it_is_printed_and_written(memory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(memory), "data.length=9", "--split", "valid", "--out", str(tmp_path / "found.json")])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert f"{memory.parent.name}/seed-0 on valid of data=sequences: mse {found['value']:.5g}" in said
    assert "mean " in said and "second_number " in said and "8 sequences of 9 steps" in said
    assert found["metrics"]["mse"] == found["value"] and found["data"]["length"] == 9
    assert "can't write" in refused(capsys, memory, "--out", str(tmp_path / "no" / "found.json"))


def test_a_cleaned_run_is_refused(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["clean", str(memory)])
    assert "selected.pt is missing" in refused(capsys, memory)
