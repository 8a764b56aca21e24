"""The published sets: their counts, their splits, and what a person who knows them would check."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.data_settings import EasyVqa, VqaV2, build_questions, pin_data, read_data
from cellwise.tasks.vqa.easy_vqa import TAR
from cellwise.tasks.vqa.encoded import EncodedQuestions
from cellwise.tasks.vqa.image_files import ImageFiles, by_name
from cellwise.tasks.vqa.nlvr import read_nlvr
from cellwise.tasks.vqa.questions import Questions
from cellwise.tasks.vqa.sources import DATA_SETS

here = pytest.mark.skipif("CELLWISE_DATA" not in os.environ, reason="the publishers' own files, in CELLWISE_DATA")


def images(questions: Questions) -> set[str]:
    return {questions.question(row).image for row in range(len(questions))}


def built(data: dict[str, Any]) -> dict[Split, Questions]:
    return dict(build_questions(read_data(data)))


@here
def test_easy_vqa_has_its_counts_and_no_image_in_two_splits(tmp_path: Path) -> None:
    questions = built({"name": "easy_vqa", "image_size": 32, "cache_dir": str(tmp_path)})
    sizes = {split: len(each) for split, each in questions.items()}
    assert sizes["train"] + sizes["valid"] == 38_575 and sizes["test"] == 9_673
    assert sizes["valid"] == pytest.approx(3_857, abs=300)
    apart = [images(each) for each in questions.values()]
    assert sum(map(len, apart)) == len(set.union(*apart)) == 5_000
    train = questions["train"]
    assert len(train.vocabulary.answers) == 13 and len(train.vocabulary.words) == 2 + 26
    assert int(train.lengths().max()) == 9
    kinds = Counter(questions["test"].question(row).answer_type for row in range(9_673))
    assert kinds["yes/no"] == 7_136
    modes = Counter(questions["test"].question(row).mode for row in range(9_673))
    assert 100 * max(modes.values()) / 9_673 == pytest.approx(37.3, abs=0.05)
    assert all(each.upper_bound() == 1 and not each.remarks for each in questions.values())


def test_easy_vqa_without_package_or_tar_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(
        CellwiseError, match=r"needs the package easy-vqa; type `pip install 'cellwise\[vqa\]'`, or put"
    ):
        build_questions(EasyVqa(), str(tmp_path))
    (tmp_path / TAR).parent.mkdir()
    (tmp_path / TAR).write_text("no tar")
    with pytest.raises(CellwiseError, match=f"cannot read the images of .*{TAR}"):
        build_questions(EasyVqa(), str(tmp_path))


@here
def test_daquar_has_its_counts(tmp_path: Path) -> None:
    given = {"name": "image_qa", "format": "daquar", "path": "daquar", "images": "daquar/images_128x96.tar"}
    questions = built({**given, "image_size": 12, "image_width": 16, "cache_dir": str(tmp_path)})
    assert len(questions["train"]) + len(questions["valid"]) == 6_795
    assert len(questions["test"]) == 5_673
    assert len(images(questions["train"]) | images(questions["valid"])) == 794
    assert len(images(questions["test"])) == 653
    test = Counter(questions["test"].question(row).mode for row in range(5_673))
    assert 100 * test["2"] / 5_673 == pytest.approx(4.97, abs=0.005)


@here
def test_nlvr_has_its_counts() -> None:
    path = Path(os.environ["CELLWISE_DATA"], "nlvr", "nlvr_dev_test_hidden_perm0.tar.gz")
    tables = read_nlvr(path, {"dev": "train", "hidden": "valid", "test": "test"})
    assert {split: len(each) for split, each in tables.items()} == {"train": 989, "valid": 985, "test": 990}
    assert [each.modes.count("true") for each in tables.values()] == [547, 546, 556]
    find = by_name(ImageFiles(path).names())
    assert all(find(image) for each in tables.values() for image in each.images)


@here
def test_the_part_of_vqa_v2_is_read_with_its_few_images(tmp_path: Path) -> None:
    parts: tuple[Split, ...] = ("train", "valid", "test")
    given: dict[str, Any] = {"name": "vqa_v2", "images": "vqa-v2-subset/images", "cache_dir": str(tmp_path)}
    for split in parts:
        for kind in ("questions", "annotations"):
            given[f"{split}_{kind}"] = f"vqa-v2-subset/{kind}_{split}.json"
    with pytest.raises(CellwiseError, match=r"question \d+ is about image \d+, which is not in .*\(and 48,001 more\)"):
        built(given)
    questions = built(pin_data({**given, "bad_questions": "skip"}))
    assert sum(len(each) for each in questions.values()) == 73
    assert "train: questions skipped: 48,002" in "\n".join(questions["train"].remarks)
    tables = []
    for split in parts:
        encoded = questions[split]
        assert isinstance(encoded, EncodedQuestions)
        tables.append(encoded.table)
        assert len(encoded.table.bad) + len(encoded) == {"train": 48_061, "valid": 8_977, "test": 2_962}[split]
    assert {len(answers) for table in tables for answers in table.answers} == {10}


def test_a_missing_official_file_says_how_it_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(CellwiseError, match=r"or type `cellwise data get vqa_v2_train_questions`"):
        build_questions(VqaV2(images="coco"), str(tmp_path))
    for dataset in DATA_SETS.values():
        assert dataset.archive == "zip"
        assert all(file.member and not file.sha256 for file in dataset.files)
