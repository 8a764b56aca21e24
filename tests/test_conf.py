"""Every file of `conf/` composes and trains one step, and says the same defaults as the code."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from cellwise.cells.registry import cell_info
from cellwise.errors import CellwiseError
from cellwise.network.settings import SequenceSettings
from cellwise.records.mirrors.settings import LOGGERS
from cellwise.recurrent.options import LayerOptions
from cellwise.resources import resource_folder
from cellwise.sweep.compose import cell_node, compose_config
from cellwise.sweep.plan import plan
from cellwise.tasks.language.sentences import Sentences
from cellwise.tasks.language.settings import Modelling, NetworkSettings
from cellwise.tasks.language.sources import OFFICIAL
from cellwise.tasks.nowcasting.data_settings import MovingDigits, MovingMnist, Radar, SyntheticRain
from cellwise.tasks.nowcasting.network_settings import ForecasterSettings
from cellwise.tasks.nowcasting.settings import NowcastingKeys
from cellwise.tasks.vqa.data_settings import EasyVqa, ImageQa, ShapesQA, VqaV2
from cellwise.tasks.vqa.network_settings import JointSettings
from cellwise.tasks.vqa.settings import VqaKeys
from cellwise.training.settings import OptimSettings, TrainerSettings, read
from cellwise.training.train import train

CONF = resource_folder("conf")
FILES = sorted(str(path.relative_to(CONF).with_suffix("")) for path in CONF.glob("*/*.yaml"))
SMALL = (
    *("task.batch_size=4", "task.steps=10", "network.hidden_size=4", "network.embedding_size=4"),
    *("trainer.threads=1", "trainer.max_steps=1"),
)
# The same for what belongs to the other task.
MEMORY = (
    *("task=memory", "data.length=4", "data.train_sequences=8", "data.valid_sequences=8", "data.test_sequences=8"),
    *("network.hidden_size=4", "trainer.threads=1", "trainer.max_steps=1"),
)
OF_MEMORY = ("task/memory", "data/sequences", "network/sequence")
NOWCASTING = (
    *("task=nowcasting", "data.in_steps=2", "data.lead_steps=2", "network.hidden_size=2", "task.batch_size=2"),
    *("trainer.threads=1", "trainer.max_steps=1"),
)
SEQUENCES = tuple(f"data.{split}_sequences=2" for split in ("train", "valid", "test"))
NOT_SET: dict[str, Any] = dict.fromkeys(("path", "format", "train", "valid", "test"), "???")
OF_NOWCASTING = (
    *("task/nowcasting", "data/moving_digits", "data/moving_mnist", "data/synthetic_rain", "data/radar"),
    *("network/encoder_forecaster", "network/fully_connected", "network/frame_cnn"),
)
VQA = (
    *("task=vqa", "network.hidden_size=4", "network.image_channels=8", "task.batch_size=2"),
    *("trainer.threads=1", "trainer.max_steps=1"),
)
SPLITS = ("train", "valid", "test")
QUESTIONS = tuple(f"data.{split}_questions=3" for split in SPLITS)
OF_VQA = (
    *("task/vqa", "network/joint_embedding"),
    *("data/shapes_qa", "data/easy_vqa", "data/vqa_v2", "data/image_qa"),
)
TEXT = "the cat sat on the mat . the dog ran to the barn .\n" * 60


def test_every_group_of_the_vocabulary_is_here() -> None:
    groups = {file.split("/")[0] for file in FILES}
    assert groups == {"cell", "task", "data", "network", "layer", "optim", "trainer", "logger", "launcher"}
    assert sorted(path.name for path in CONF.iterdir()) == sorted([*groups, "config.yaml"])
    assert len(list(CONF.rglob("*"))) == len(FILES) + len(groups) + 1  # nothing that this test does not see


def choosing(group: str, choice: str, folder: Path) -> list[str]:
    """The overrides of a very small run with one choice of one group."""
    if f"{group}/{choice}" in OF_MEMORY:
        return [*MEMORY, *([f"{group}={choice}"] if group != "task" else []), f"runs_dir={folder / 'runs'}"]
    if f"{group}/{choice}" in OF_NOWCASTING:
        chosen = [f"{group}={choice}"] if group != "task" else []
        size = ["data.size=32", *SEQUENCES]
        if choice == "radar":
            (folder / "201505151600.pgm").write_text("nobody reads it: the file's checksum is all that a plan wants")
            times = [f"data.{split}=['2015']" for split in ("train", "valid", "test")]
            size = [f"data.path={folder}", "data.format=fmi_pgm", "data.crop=32", *times]
        return [*NOWCASTING, *chosen, *size, f"runs_dir={folder / 'runs'}"]
    if f"{group}/{choice}" in OF_VQA:
        chosen = [f"{group}={choice}"] if group != "task" else []
        return [*VQA, *chosen, *_questions_of(choice, folder), f"runs_dir={folder / 'runs'}"]
    words = [f"{group}={choice}", f"runs_dir={folder / 'runs'}", *SMALL]
    if group == "layer":  # every network brings it as network.layer
        words[0] = f"network.layer.bias={str(LayerOptions().bias).lower()}"
    if group != "data" or choice == "sentences":
        return [*words, "data.train_tokens=3000", "data.valid_tokens=600", "data.test_tokens=600"]
    if choice == "text":
        (folder / "text.txt").write_text(TEXT)
        return [*words, f"data.path={folder / 'text.txt'}"]
    return [*words, "data.vocabulary_size=50"]  # a large vocabulary would only cost time


def _questions_of(choice: str, folder: Path) -> list[str]:
    """What visual question answering is told of its data: of the user's own, two questions about two images."""
    if choice == "vqa_v2":
        return _of_vqa_v2(folder)
    if choice == "easy_vqa":
        return []
    if choice != "image_qa":
        return list(QUESTIONS)
    for name in ("black", "white"):
        Image.new("RGB", (8, 8), name).save(folder / f"{name}.png")
    answers = {"black.png": "yes", "white.png": "no"}
    asked = [f"{split},{name},is it dark,{said}" for split in SPLITS for name, said in answers.items()]
    (folder / "questions.csv").write_text("\n".join(["split,image,question,answer", *asked]))
    return [f"data.path={folder / 'questions.csv'}", f"data.cache_dir={folder}", "data.image_size=8"]


def _of_vqa_v2(folder: Path) -> list[str]:
    about = [{"question_id": number, "image_id": number} for number in (1, 2)]
    said = [{"answers": [{"answer": word}], "multiple_choice_answer": word} for word in ("yes", "no")]
    kind = {"question_type": "is it", "answer_type": "yes/no"}
    content = {
        "questions": {"questions": [{**each, "question": "Is it dark?"} for each in about]},
        "annotations": {"annotations": [{**each, **answer, **kind} for each, answer in zip(about, said, strict=True)]},
    }
    for name, what in content.items():
        (folder / f"{name}.json").write_text(json.dumps(what))
    np.savez(folder / "features.npz", features=np.ones((2, 3, 4), np.float32), image_ids=np.array([1, 2]))
    files = [f"data.{split}_{name}={folder / name}.json" for split in SPLITS for name in content]
    return [*files, f"data.features={folder / 'features.npz'}", f"data.cache_dir={folder}"]


# Every cell is composed by its file and trained in tests/probes/test_probe.py.
@pytest.mark.parametrize("file", [file for file in FILES if not file.startswith("cell/")])
def test_every_file_but_a_cells_composes_and_trains_one_step(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, choice = file.split("/")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    [run] = plan(choosing(group, choice, tmp_path))
    read(run.config)
    if choice == "radar":  # its files are read by packages that only an extra installs
        assert len(run.config["data"]["sha256"]) == 64
        return
    if choice == "easy_vqa":  # of another package, and 14,000 images to decode
        return
    if choice == "moving_mnist" and "CELLWISE_DATA" not in os.environ:
        with pytest.raises(CellwiseError, match=r"mnist_train is not in .*; type `cellwise data get mnist_train`"):
            train({**run.config, "data_dir": str(tmp_path)})
        return
    if choice == "gpu" and not torch.cuda.is_available():
        with pytest.raises(CellwiseError, match="torch sees no GPU here; type trainer=cpu"):
            train(run.config)
        return
    if choice in OFFICIAL and "CELLWISE_DATA" not in os.environ:  # they may not be shipped with the tests
        with pytest.raises(CellwiseError, match=f"{choice} is not in .*; type `cellwise data get {choice}` or set"):
            train({**run.config, "data_dir": str(tmp_path)})
        return
    folder = train(run.config).folder
    assert json.loads((folder / "summary.json").read_text())["selected_step"] == 1


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("trainer/cpu", TrainerSettings),
        ("optim/adam", OptimSettings),
        ("network/language_model", NetworkSettings),
        ("network/sequence", SequenceSettings),
        ("network/encoder_forecaster", ForecasterSettings),
        ("network/joint_embedding", JointSettings),
        ("layer/standard", LayerOptions),
        ("data/moving_digits", MovingDigits),
        ("data/moving_mnist", MovingMnist),
        ("data/synthetic_rain", SyntheticRain),
        ("data/radar", partial(Radar, **NOT_SET)),
        ("data/shapes_qa", ShapesQA),
        ("data/easy_vqa", EasyVqa),
        ("data/vqa_v2", VqaV2),
        ("data/image_qa", partial(ImageQa, path="???")),
    ],
)
def test_a_file_says_the_defaults_of_its_settings(file: str, settings: Any) -> None:
    expected = {key: value for key, value in vars(settings()).items() if key != "layer"}  # a file of its own
    if settings is LayerOptions:
        del expected["dropout"]  # the network's
    said = yaml.safe_load((CONF / f"{file}.yaml").read_text())
    one = {"kernel_size": (3,)}  # is typed without brackets
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    assert {key: one.get(key, value) for key, value in plain.items() if key != "defaults"} == expected


def test_the_embedded_text_has_the_defaults_of_its_generator() -> None:
    assert yaml.safe_load((CONF / "data" / "sentences.yaml").read_text()) == {"name": "sentences", **vars(Sentences())}


def test_the_task_and_the_mirrors_say_the_defaults_of_their_settings() -> None:
    for name, keys in (("language", Modelling), ("nowcasting", NowcastingKeys), ("vqa", VqaKeys)):
        task = yaml.safe_load((CONF / "task" / f"{name}.yaml").read_text())["task"]
        assert task == dict(vars(keys()))
    for name, settings in LOGGERS.items():
        assert yaml.safe_load((CONF / "logger" / f"{name}.yaml").read_text()) == {name: vars(settings())}
    assert {path.stem for path in (CONF / "logger").iterdir()} == {*LOGGERS, "none"}


def test_the_smoke_trainer_is_the_cpu_trainer_but_short() -> None:
    smoke, cpu, gpu = (compose_config([f"trainer={name}"])["trainer"] for name in ("smoke", "cpu", "gpu"))
    assert smoke == {**cpu, "max_steps": 4, "validate_every_steps": 2, "log_every_steps": 1}
    assert gpu == {**cpu, "accelerator": "gpu"}


def test_sgd_is_zaremba_et_al_2014_small() -> None:
    """Learning rate 1, halved after 4 epochs, gradient norm clipped at 5; section 4.1 of the paper."""
    sgd = compose_config(["optim=sgd"])["optim"]
    assert (sgd["learning_rate"], sgd["decay_after_epochs"], sgd["decay_factor"], sgd["clip_norm"]) == (
        1.0,
        4,
        2.0,
        5.0,
    )


@pytest.mark.parametrize("cell", [file.split("/")[1] for file in FILES if file.startswith("cell/")])
def test_a_cell_has_the_defaults_of_its_constructor(cell: str) -> None:
    assert compose_config([f"cell={cell}"])["cell"] == cell_node(cell)
    built = cell_info(cell).factory()
    for option in cell_info(cell).options:
        assert getattr(built, option.name, option.default) == option.default


def test_what_nothing_chooses_is_an_lstm_on_embedded_text() -> None:
    config = compose_config([])
    chosen = {group: config[group]["name"] for group in ("cell", "task", "data", "optim")}
    assert chosen == {"cell": "lstm", "task": "language", "data": "sentences", "optim": "adam"}
    assert config["logger"] == {}
    read(config)
