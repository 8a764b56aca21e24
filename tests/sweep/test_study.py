"""A study is a file that says a question and the runs that answer it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellwise.errors import CellwiseError
from cellwise.sweep.plan import plan
from cellwise.sweep.study import load_study_file, study_names
from cellwise.sweep.tuning import Tuning
from cellwise.training.settings import read

GOOD = """
question: Which is better?
overrides: [network.hidden_size=4, optim=sgd]
sweep:
  cell: [rnn, gru]
  seed: [0, 1]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "my_study"
    place.mkdir()
    (place / "study.yaml").write_text(GOOD)
    return place


@pytest.mark.parametrize("name", study_names())
def test_every_shipped_study_can_be_planned_and_its_settings_are_good(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study_file(name)
    if name == "nowcasting_radar":  # planned from the checksum of files that can't be shipped: any will do
        monkeypatch.setenv("CELLWISE_DATA", str(tmp_path))
        for radar, file in (("mch", "a.gif"), ("fmi", "a.pgm"), ("knmi", "a.h5")):
            (tmp_path / f"radar-{radar}").mkdir()
            (tmp_path / f"radar-{radar}" / file).write_text("")
    assert study.name == name
    assert study.question.endswith("?")
    if study.phases is not None:
        tuning = Tuning(study, [])  # tries each cell at both ends of the space
        assert len(tuning.combinations) >= 2
        assert tuning.folder.name == name
        return
    runs = plan([f"study={name}", *study.overrides], study.sweep)
    assert len(runs) >= len(study.sweep["seed"])
    for run in runs:
        read(run.config)
        assert run.config["study"] == name


@pytest.mark.parametrize(("name", "seeds", "data"), [("demo", 5, "sentences"), ("adding", 10, "sequences")])
def test_the_shown_studies_tune_five_cells_and_confirm_them_with_fresh_seeds(name: str, seeds: int, data: str) -> None:
    study = load_study_file(name)
    assert study.phases is not None
    assert len(study.phases.confirm_seeds) == seeds
    assert not set(study.phases.confirm_seeds) & set(study.phases.tune.seeds)
    assert list(study.phases.tune.space) == ["optim.learning_rate"]
    runs = plan([f"study={name}", *study.overrides], study.sweep)
    assert {run.config["cell"]["name"] for run in runs} == {"rnn", "lstm", "gru", "peephole_lstm", "coupled_lstm"}
    assert {run.config["data"]["name"] for run in runs} == {data}


def test_a_study_of_ones_own_is_found_by_its_folder_or_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_folder = load_study_file(str(folder))
    assert by_folder.name == "my_study"
    assert by_folder.question == "Which is better?"
    assert load_study_file(str(folder / "study.yaml")) == by_folder
    monkeypatch.chdir(tmp_path)
    assert load_study_file("my_study") == by_folder
    monkeypatch.chdir(folder)
    assert load_study_file(".") == by_folder
    assert len(plan(by_folder.overrides, by_folder.sweep)) == 4


def test_what_is_typed_wins_over_the_study(folder: Path) -> None:
    study = load_study_file(str(folder))
    typed = ["network.hidden_size=9", "optim=adam", "cell=lstm", "seed=5,6"]
    runs = plan([*study.overrides, *typed], study.sweep)
    assert [run.label for run in runs] == ["lstm seed 5", "lstm seed 6"]
    assert {(run.config["network"]["hidden_size"], run.config["optim"]["name"]) for run in runs} == {(9, "adam")}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("demmo", "unknown study 'demmo'; did you mean 'demo'? allowed: "),
        ("none/here", "no study in 'none/here'; give a folder that holds study.yaml, or one of "),
    ],
)
def test_a_study_that_is_not_there_is_one_line(name: str, said: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        load_study_file(name)
    assert str(caught.value).startswith(said)
    assert "demo" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("question: [", "not readable as YAML"),
        ("just words", "must hold the keys question, overrides, sweep"),
        ("", "must hold the keys question, overrides, sweep"),
        ("sweeps: {}", "did you mean 'sweep'? allowed: confirm, overrides, question, sweep, tune"),
        ("overrides: cell=gru", "overrides must be a list of key=value"),
        ("overrides: [{cell: gru}]", "overrides must be a list of key=value"),
        ("sweep: [cell]", "sweep must map keys to lists of values"),
        ("sweep: {cell: gru}", "sweep must map keys to lists of values"),
        ("sweep: {cell: []}", "sweep must map keys to lists of values"),
    ],
)
def test_a_file_that_is_no_study_is_one_line(folder: Path, content: str, said: str) -> None:
    (folder / "study.yaml").write_text(content)
    with pytest.raises(CellwiseError) as caught:
        load_study_file(str(folder))
    assert said in str(caught.value)
    assert str(folder / "study.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_one_line(folder: Path) -> None:
    (folder / "study.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CellwiseError, match="not readable as YAML"):
        load_study_file(str(folder))
