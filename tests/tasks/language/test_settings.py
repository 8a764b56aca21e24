"""The settings of language modelling are checked, and a text of the user's own is pinned."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.tasks import pin_data, read_task
from cellwise.tasks.language.sentences import Sentences
from cellwise.tasks.language.settings import TextSettings, pin, read

Tiny = Callable[..., dict[str, Any]]
TEXT = "the cat sat on the mat .\n" * 40


def test_the_embedded_text_is_typed(tiny: Tiny) -> None:
    settings = read(tiny("data.pairs=7", "data.distance=uniform"))
    assert isinstance(settings.data, Sentences)
    assert (settings.data.pairs, settings.data.distance, settings.data.train_tokens) == (7, "uniform", 3000)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["task.level=character"], "data=sentences is made of words; type task.level=word, or choose data=timemachine"),
        (["task.level=letter"], "task.level=letter is not allowed; allowed: word, character"),
        (["task.loss=sum"], "task.loss=sum is not allowed; allowed: token_mean, step_sum"),
        (["task.steps=0"], "task.steps=0 is too small; it must be 1 or more"),
        (["task.eval_batch_size=0"], "task.eval_batch_size=0 is too small; it must be 1 or more"),
        (["network.tied=true", "network.embedding_size=4"],
         "network.tied=true needs network.embedding_size=8 (the hidden size), not 4"),
        (["network.embedding_size=0"], "network.embedding_size=0 is too small; it must be 1 or more"),
        (["network.init_range=-1"], "network.init_range=-1.0 is too small; it must be 0 or more"),
        (["data.pairs=21"], "data.pairs=21 is not allowed; it must be a whole number from 1 to 20"),
        (["data.distance=far"], "unknown data.distance 'far'; allowed: geometric, uniform; for one fixed "),
        (["data.distance_mean=50"], "data.distance_mean=50.0 is not allowed; it must be a number from 0 to 30"),
        (["data.distractors=2"], "data.distractors=2.0 is not allowed; it must be a number from 0.0 to 1.0"),
        (["data.name=brown"], "unknown data 'brown'; allowed: ptb, sentences, text, timemachine, wikitext2"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_line(tiny: Tiny, overrides: list[str], said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        read(tiny(*overrides))
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("name", ["ptb", "wikitext2", "timemachine"])
def test_an_official_text_takes_no_keys_but_its_own(tiny: Tiny, name: str) -> None:
    config = {**tiny(), "data": {"name": name, "vocabulary_size": 100}}
    assert read(config).data == TextSettings(name, vocabulary_size=100)
    with pytest.raises(
        CellwiseError, match="unknown key in 'data' 'pairs'; allowed: name, path, sha256, vocabulary_size"
    ):
        read({**config, "data": {"name": name, "pairs": 3}})


def test_a_text_needs_a_path(tiny: Tiny) -> None:
    with pytest.raises(CellwiseError, match=r"data.path is not set; give data.path=my_text.txt, or a folder of"):
        read({**tiny(), "data": {"name": "text"}})


def test_an_unknown_task_lists_the_known(tiny: Tiny) -> None:
    for ask in (read_task, pin_data):
        with pytest.raises(CellwiseError, match="unknown task 'speech'; allowed: language"):
            ask({**tiny(), "task": {"name": "speech"}})


def test_a_text_is_pinned_by_its_content_however_it_lies(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text(TEXT)
    (tmp_path / "windows.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    (tmp_path / "zipped.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "other.txt").write_text(TEXT + "!")
    found = {
        name: pin({"name": "text", "path": str(tmp_path / name)})["sha256"]
        for name in ("plain.txt", "windows.txt", "zipped.txt", "other.txt")
    }
    assert found["plain.txt"] == found["windows.txt"] == found["zipped.txt"] != found["other.txt"]


def test_a_folder_of_texts_is_pinned_by_all_three(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text(TEXT)
    first = pin({"name": "text", "path": str(tmp_path)})
    (tmp_path / "valid.txt").write_text(TEXT + "more\n")
    assert pin({"name": "text", "path": str(tmp_path)})["sha256"] != first["sha256"]


def test_what_is_no_text_of_ones_own_or_pinned_already_is_left_as_it_is() -> None:
    for data in (
        {"name": "sentences"},
        {"name": "ptb"},
        {"name": "text"},
        {"name": "text", "path": "x", "sha256": "y"},
    ):
        assert pin(data) == data


def test_a_text_that_changed_since_it_was_planned_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    from cellwise.sweep.plan import plan
    from cellwise.training.train import train

    (tmp_path / "text.txt").write_text(TEXT)
    [run] = plan(["data=text", f"data.path={tmp_path / 'text.txt'}", "task.batch_size=2", "task.steps=5",
                  f"runs_dir={tmp_path / 'runs'}"])  # fmt: skip
    (tmp_path / "text.txt").write_text(TEXT + "more\n")
    with pytest.raises(CellwiseError, match=r"text.txt has changed since the run was planned: its sha256 was"):
        train(run.config)
    assert not (tmp_path / "runs").exists()
