"""Questions of files: official JSON, CSV, DAQUAR, NLVR and their images; what is bad is named, refused or skipped."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Split
from cellwise.tasks.vqa.data_settings import ImageQa, VqaV2, build_questions, image_shape_of, pin_data, read_data
from cellwise.tasks.vqa.image_files import by_name, by_number, pixels_of
from cellwise.tasks.vqa.questions import Questions

COLOURS = {"a.png": (255, 0, 0), "b.png": (0, 255, 0), "c.png": (0, 0, 255), "d.png": (255, 255, 0)}
HEADER = "image,question,answer,split"
LINES = (
    "a.png,What colour is it?,red,train",
    "b.png,What colour is it?,green,train",
    'c.png,"Is it blue, or green?",blue|blue|green,valid',
    "d.png,Is it yellow?,red,test",
)


def png(colour: tuple[int, ...], size: tuple[int, int] = (12, 8), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "png")
    return out.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures of one colour each."""
    for name, colour in COLOURS.items():
        (tmp_path / "pictures").mkdir(exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(png(colour))
    return tmp_path


@pytest.fixture
def ask(folder: Path) -> Callable[..., dict[Split, Questions]]:
    """``ask(*lines, header=..., **settings)``: the questions of a CSV file."""

    def asked(*lines: str, header: str = HEADER, **settings: Any) -> dict[Split, Questions]:
        (folder / "asked.csv").write_text("\n".join((header, *lines)) + "\n")
        given = dict(
            name="image_qa", path="asked.csv", images="pictures", image_size=8, cache_dir=str(folder / "cache")
        )
        return dict(build_questions(read_data({**given, **settings}), str(folder)))

    return asked


def test_a_csv_is_read_with_its_images(ask: Callable[..., dict[Split, Questions]]) -> None:
    questions = ask(*LINES)
    assert {split: len(each) for split, each in questions.items()} == {"train": 2, "valid": 1, "test": 1}
    valid = questions["valid"].question(0)
    assert valid.tokens == ("is", "it", "blue", "or", "green")
    assert valid.answers == ("blue", "blue", "green")
    assert (valid.mode, valid.question_type, valid.answer_type, valid.id) == ("blue", "is it", "other", "line 4")
    assert questions["train"].vocabulary.answers == ("green", "red")
    batch = questions["train"][np.array([1, 0])]
    assert batch.images.shape == (2, 3, 8, 8)
    assert batch.images[0].mean((1, 2)).tolist() == [0, 1, 0]
    assert batch.images[1].mean((1, 2)).tolist() == [1, 0, 0]
    # Two of three people say blue, which no class is; one says green.
    assert questions["valid"][np.array([0])].credit[0, 0] == pytest.approx((1 / 3 + 1 / 3 + 0) / 3)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("e.png,Why?,red,train",), r"question line 6 is about image e.png, which is not in .*pictures"),
        (("a.png, ?! ,red,train",), r"asked.csv, line 6, has no words in its question"),
        (("a.png,Why?, ,train",), r"asked.csv, line 6, has no answer"),
        (("a.png,Why, then?,red,train",), r"asked.csv, line 6, has 5 fields, the first line 4"),
        (
            ("broken.png,Why?,red,train",),
            r"question line 6 is about image broken.png, which can't be read \(it is of no known kind",
        ),
        (("cut.png,Why?,red,train",), r"question line 6 is about image cut.png, which can't be read \(.*truncated"),
    ],
)
def test_a_bad_line_is_named_and_refused_or_skipped(
    lines: tuple[str, ...], said: str, ask: Callable[..., dict[Split, Questions]], folder: Path
) -> None:
    (folder / "pictures" / "broken.png").write_text("no picture")
    noise = np.random.default_rng(0).integers(256, size=(40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "pictures" / "whole.png")
    (folder / "pictures" / "cut.png").write_bytes((folder / "pictures" / "whole.png").read_bytes()[:2_000])
    with pytest.raises(CellwiseError, match=said + ".*mend the data, or type data.bad_questions=skip") as error:
        ask(*LINES, *lines)
    assert "\n" not in str(error.value)
    questions = ask(*LINES, *lines, bad_questions="skip")
    assert len(questions["train"]) == 2
    [remark] = [line for line in questions["train"].remarks if "skipped" in line]
    assert re.match(rf"train: questions skipped: 1; .*{said}", remark)


def test_ids_that_are_there_twice_are_refused(ask: Callable[..., dict[Split, Questions]]) -> None:
    lines = [f"{number},{line}" for number, line in zip((1, 1, 2, 3), LINES, strict=True)]
    with pytest.raises(CellwiseError, match="question 1 is there twice"):
        ask(*lines, header=f"id,{HEADER}")
    with pytest.raises(CellwiseError, match="train has 1 answers"):
        ask(*lines, header=f"id,{HEADER}", bad_questions="skip")


def test_columns_are_checked_and_several_answers_may_have_one_each(
    ask: Callable[..., dict[Split, Questions]],
) -> None:
    with pytest.raises(
        CellwiseError, match=r"has no column question; its first line is 'image,asked,answer'.*allowed are"
    ):
        ask("a.png,Why?,red", header="image,asked,answer")
    with pytest.raises(CellwiseError, match="has the column split twice"):
        ask("a.png,Why?,red,train,train", header=f"{HEADER},split")
    lines = [
        line.replace("|", ",") if "|" in line else f"{line.rsplit(',', 1)[0]},,,{line.rsplit(',', 1)[1]}"
        for line in LINES
    ]
    questions = ask(*lines, header="image,question,answer_1,answer_2,answer_3,split")
    assert questions["valid"].question(0).answers == ("blue", "blue", "green")
    with pytest.raises(CellwiseError, match="answer_type 'colour'; allowed: yes/no, number, other"):
        ask("a.png,Why?,red,colour", header="image,question,answer,answer_type")


def test_other_splits_and_columns_are_left_out_and_told(ask: Callable[..., dict[Split, Questions]]) -> None:
    lines = [f"{line},x" for line in (*LINES, "d.png,Why?,red,extra")]
    questions = ask(*lines, header=f"{HEADER},note")
    assert "columns that are not used: note" in questions["test"].remarks
    assert any("are left out: 'extra' (1)" in line for line in questions["test"].remarks)
    with pytest.raises(CellwiseError, match=r"data.train and data.valid both name 'train'"):
        ask(*LINES, valid=["train"])
    with pytest.raises(CellwiseError, match="test has no question that can be used"):
        ask(*LINES[:3])


def test_without_splits_an_image_is_in_one_alone_whatever_others_there_are(folder: Path) -> None:
    (folder / "pictures" / "many").mkdir()
    for number in range(60):
        (folder / "pictures" / "many" / f"m{number}.png").write_bytes(png((number, 0, 0), (4, 4)))

    def of(count: int) -> dict[Split, Questions]:
        lines = [f"m{number},Is it {word}?,{number % 3}" for number in range(count) for word in ("big", "small")]
        (folder / "asked.csv").write_text("image,question,answer\n" + "\n".join(lines))
        data = ImageQa("asked.csv", images="pictures", image_size=8, cache_dir=str(folder / "cache"), test_share=0.3)
        return dict(build_questions(data, str(folder)))

    def images(questions: dict[Split, Questions]) -> dict[str, Split]:
        pairs = {(q.question(row).image, split) for split, q in questions.items() for row in range(len(q))}
        found: dict[str, Split] = dict(pairs)
        assert len(found) == len(pairs)
        return found

    few, many = images(of(40)), images(of(60))
    assert few.items() <= many.items()
    assert len(many) == 60
    assert {split: list(many.values()).count(split) for split in ("train", "valid", "test")} == pytest.approx(
        {"train": 36, "valid": 6, "test": 18}, abs=7
    )


def official(folder: Path, name: str, records: Any, wrap: bool = True) -> str:
    (folder / f"{name}.json").write_text(json.dumps({"info": {}, name.split("_")[0]: records} if wrap else records))
    return f"{name}.json"


def asked(number: int, image: int, text: str = "Is it red?") -> dict[str, Any]:
    return {"question_id": number, "image_id": image, "question": text}


def told(number: int, image: int, *answers: str, **more: Any) -> dict[str, Any]:
    people = [{"answer": answer, "answer_id": k, "answer_confidence": "yes"} for k, answer in enumerate(answers, 1)]
    return {"question_id": number, "image_id": image, "answers": people, "answer_type": "yes/no", **more}


QUESTIONS = [asked(1, 7), asked(2, 7, "How many?"), asked(3, 8), asked(4, 9)]
ANNOTATIONS = [
    told(2, 7, *["2"] * 9, "two", answer_type="number", multiple_choice_answer="2", question_type="how many"),
    told(1, 7, *["yes"] * 6, *["no"] * 4, multiple_choice_answer="yes"),
    told(3, 8, *["no"] * 10),
    told(4, 9, *["no"] * 5, *["yes"] * 5),
]


@pytest.fixture
def vqa(tmp_path: Path) -> Callable[..., dict[Split, Questions]]:
    """``vqa(questions, annotations)``: train and test of the same records, with images by COCO's names."""
    (tmp_path / "coco").mkdir()
    for number in (7, 8, 9):
        Image.new("RGB", (20, 10), (20 * number, 0, 0)).save(tmp_path / "coco" / f"COCO_train2014_{number:012}.jpg")

    def read(questions: Any = QUESTIONS, annotations: Any = ANNOTATIONS, **settings: Any) -> dict[Split, Questions]:
        one, other = (
            official(tmp_path, "questions_a", questions),
            official(tmp_path, "annotations_a", annotations, False),
        )
        given: dict[str, Any] = {f"{split}_questions": one for split in ("train", "valid", "test")}
        given |= {f"{split}_annotations": other for split in ("train", "valid", "test")}
        given |= dict(name="vqa_v2", images="coco", image_size=8, image_width=16, cache_dir=str(tmp_path / "cache"))
        return dict(build_questions(read_data({**given, **settings}), str(tmp_path)))

    return read


def test_official_json_is_read_with_credit_by_the_official_accuracy(vqa: Callable[..., dict[Split, Questions]]) -> None:
    train = vqa()["train"]
    assert train.vocabulary.answers == ("no", "2", "yes")
    first = train.question(1)
    assert (first.id, first.image, first.mode, first.question_type) == (2, "7", "2", "how many")
    assert train.question(0).question_type == "is it"
    batch = train[np.arange(4)]
    assert batch.mode.tolist() == [2, 1, 0, 0]
    assert batch.answer_type.tolist() == [0, 1, 0, 0]
    assert batch.credit.numpy() == pytest.approx(np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0, 1]]))
    assert batch.images.shape == (4, 3, 8, 16)
    assert not train.redistributable and train.pixels(0) is not None  # photographs of others
    again = vqa()["train"]  # out of the cache
    assert again.sha256() == train.sha256()
    assert [again.question(row) for row in range(4)] == [train.question(row) for row in range(4)]
    assert any("3 of its 3 images are train's" in line for line in vqa()["test"].remarks)


@pytest.mark.parametrize(
    ("questions", "annotations", "said"),
    [
        ([*QUESTIONS, asked(1, 7)], ANNOTATIONS, r"questions_a.json, question 4, \(question_id 1\) has no annotation"),
        ([*QUESTIONS, asked(5, 7)], ANNOTATIONS, r"question 4, \(question_id 5\) has no annotation in .*annotations_a"),
        (QUESTIONS[:3], ANNOTATIONS, r"annotations_a.json, question 4, is not asked in .*questions_a.json"),
        ([asked(1, 8), *QUESTIONS[1:]], ANNOTATIONS, r"question 0, .* is about image 8, its annotation in .* about 7"),
        (QUESTIONS, [*ANNOTATIONS, told(3, 8, "no")], "has a second annotation for question 3"),
        ([*QUESTIONS, {"question_id": 9}], ANNOTATIONS, "question 4, has no image_id, question"),
        ([*QUESTIONS, asked(9, 7, "??")], ANNOTATIONS, r"question 4, has no words \(question_id 9\)"),
        (QUESTIONS, [*ANNOTATIONS[:3], told(4, 9)], r"annotation 3, has no list of answers \(question_id 4\)"),
        ([*QUESTIONS[:3], asked(4, 10)], [*ANNOTATIONS[:3], told(4, 10, "no")], "about image 10, which is not in"),
    ],
)
def test_records_that_do_not_fit_are_named_and_refused_or_skipped(
    questions: Any, annotations: Any, said: str, vqa: Callable[..., dict[Split, Questions]]
) -> None:
    with pytest.raises(CellwiseError, match=said + ".*type data.bad_questions=skip"):
        vqa(questions, annotations)
    kept = vqa(questions, annotations, bad_questions="skip")["train"]
    assert 3 <= len(kept) <= 4
    assert re.search(f"train: questions skipped: [12]; .*{said}", "\n".join(kept.remarks))


def test_files_of_another_form_are_refused(vqa: Callable[..., dict[Split, Questions]], tmp_path: Path) -> None:
    with pytest.raises(
        CellwiseError, match=r"must be official JSON of VQA with a list 'questions', or that list; it has 'info'"
    ):
        vqa("nothing", ANNOTATIONS)
    (tmp_path / "cut.json").write_text('{"questions": [')
    with pytest.raises(CellwiseError, match=r"cut.json is no JSON"):
        vqa(train_questions="cut.json")
    with pytest.raises(CellwiseError, match=r"no gone.json, nor .*gone.json \(or .gz\); give data.train_questions"):
        vqa(train_questions="gone.json")
    with pytest.raises(CellwiseError, match=r"either data.images=FOLDER or data.features"):
        vqa(features=["x.npz"])
    unanswered = vqa(test_annotations=None)["test"]
    assert unanswered.question(0).answers == ()
    assert "test: nobody gave answers to its questions, so no score of it counts" in unanswered.remarks


def test_the_users_files_are_pinned_and_others_than_planned_refused(folder: Path) -> None:
    (folder / "asked.csv").write_text("\n".join((HEADER, *LINES)))
    data = {"name": "image_qa", "path": "asked.csv", "images": "pictures", "cache_dir": str(folder / "cache")}
    pinned = pin_data(data, str(folder))
    assert re.fullmatch("[0-9a-f]{64}", pinned["sha256"])
    assert pin_data(pinned, str(folder)) == pinned
    assert pinned["path"] == "asked.csv"  # of the data folder: wherever that lies
    assert pin_data({**data, "path": str(folder / "asked.csv")}, str(folder))["sha256"] == pinned["sha256"]
    build_questions(read_data(pinned), str(folder))
    (folder / "pictures" / "a.png").write_bytes(png((1, 2, 3)))
    with pytest.raises(CellwiseError, match="are not those that were planned"):
        build_questions(read_data(pinned), str(folder))


def test_images_are_upright_on_white_and_found_by_name_or_number() -> None:
    half = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    half.putpixel((0, 0), (255, 0, 0, 255))
    out = io.BytesIO()
    half.save(out, "png")
    assert pixels_of(out.getvalue(), (1, 2)).tolist() == [[[255, 0, 0], [255, 255, 255]]]
    files = ["x/1.png", "y/1.png", "y/COCO_val2014_000000000042.jpg"]
    find = by_name(files)
    assert [find(name) for name in ("x/1.png", "1", "COCO_val2014_000000000042", "z")] == [
        "x/1.png",
        "",
        files[2],
        None,
    ]
    assert by_number(files)("42") == files[2]
    assert by_number(files)("1") == ""


def test_daquar_is_read_natively(tmp_path: Path) -> None:
    triples = [(f"what is on desk {k} ?", f"book, lamp {k % 2}", f"image{k}") for k in range(1, 13)]
    for part in ("train", "test"):
        lines = [line for triple in triples for line in triple]
        (tmp_path / f"qa.894.raw.{part}.format_triple").write_text("\n".join(lines) + "\n")
    for number in range(1, 13):
        (tmp_path / f"image{number}.png").write_bytes(png((number, 0, 0)))
    data = ImageQa(str(tmp_path), format="daquar", image_size=8, cache_dir=str(tmp_path / "cache"), valid_share=0.4)
    questions = build_questions(data)
    assert len(questions["train"]) + len(questions["valid"]) == len(questions["test"]) == 12
    assert questions["train"].vocabulary.answers == ("book, lamp 0", "book, lamp 1")
    last = questions["test"].question(11)
    assert (last.image, last.answers, last.question_type) == ("image12", ("book, lamp 0",), "what is")
    assert not questions["test"].redistributable
    assert questions["test"][np.array([11])].images[0, 0].mul(255).round().eq(12).all()
    (tmp_path / "qa.894.raw.train.format_triple").write_text("\n".join(lines[:4]))
    with pytest.raises(CellwiseError, match=r"format_triple, line 4: '' is no image's name .* must come in threes"):
        build_questions(data)


def test_nlvr_is_read_natively(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "nlvr.tar", "w") as tar:

        def add(name: str, content: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

        for split in ("dev", "hidden", "test"):
            records = [
                {"sentence": "There is one box", "label": label, "identifier": f"{label[0]}-0"}
                for label in ("true", "false")
            ]
            add(f"./nlvr/{split}/{split}.json", "\n".join(map(json.dumps, records)).encode())
            for label in "tf":
                add(f"./nlvr/{split}/images/0/{split}-{label}-0-0.png", png((9, 9, 9, 255), (40, 10), "RGBA"))
    data = ImageQa(
        str(tmp_path / "nlvr.tar"), format="nlvr", image_size=8, image_width=32, cache_dir=str(tmp_path / "cache")
    )
    with pytest.raises(CellwiseError, match=r"has no train.json .* it has dev, hidden, test: give data.train=\[...\]"):
        build_questions(data)
    some = ImageQa(**{**vars(data), "train": ("dev",), "valid": ("hidden",)})
    questions = build_questions(some)
    assert {split: len(each) for split, each in questions.items()} == {"train": 2, "valid": 2, "test": 2}
    assert questions["test"].question(1).answer_type == "yes/no"
    assert questions["train"].image_shape == image_shape_of(some) == (3, 8, 32)


def test_a_features_shape_is_in_its_file() -> None:
    assert image_shape_of(VqaV2(features=("x.npz",))) is None
